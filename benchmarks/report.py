"""The figures as JSON, as tables, and in one line for each part."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Comparison, Result

RESULTS = Path(__file__).with_name("results.json")
HEAD = "| what | django_dlq | beside it | ratio | goal | |\n| --- | --- | --- | --- | --- | --- |"
RIVALS_HEAD = (
    "| outbox | distinct keys | one hot key | 5 ms to the broker | messages | order of a key | configuration |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)

Saved = Mapping[str, Any]


def save(scenario: str, machine: Mapping[str, str], result: Result) -> None:
    """Put one scenario's figures into results.json, beside what others have there."""
    figures = [figure.as_dict() for figure in result.figures]
    results = dict(saved()) | {scenario: {"machine": machine, "figures": figures, **result.series}}
    text = json.dumps(_rounded(results), indent=1, default=asdict)
    RESULTS.write_text(text + "\n", encoding="utf-8")


def saved() -> Saved:
    """Return what results.json has."""
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    return results


def tables(result: Saved) -> str:
    """Return one scenario's tables in Markdown."""
    found = []
    if result["figures"]:
        found.append("\n".join([HEAD, *map(_row, result["figures"])]))
    if rows := result.get("rivals"):
        found.append("\n".join([RIVALS_HEAD, *map(_rival, rows)]))
    if counted := result.get("statements"):
        found.append(
            f"For 1,000 messages the relay says {counted['statements']:.1f} statements to the database, "
            f"in {counted['round trips']:.1f} round trips."
        )
    return "\n\n".join(found)


def summary(parts: Iterable[str], results: Saved) -> list[str]:
    """Return one line for each part, the figures that people ask for first."""
    lines = {"publish": _publish, "half": _half, "metrics": _metrics, "relay": _relay, "consumer": _consumer}
    # The relay's is the last, for it is the one that is looked for.
    return [line for part in sorted(parts, key="relay".__eq__) for line in lines[part](results)]


def missed(scenarios: Iterable[str], results: Saved) -> list[str]:
    """Return a line for each figure of these scenarios that has missed its goal."""
    return [
        f"{scenario}: {figure['name']}: {_spread(figure['ours'], figure['unit'])}"
        + ("" if figure["ratio"] is None else f", {figure['ratio']:.2f} x {figure['against']}")
        + f"; the goal is {figure['goal']}"
        for scenario in scenarios
        for figure in results[scenario]["figures"]
        if Comparison.of(figure).missed
    ]


def _publish(results: Saved) -> list[str]:
    if "publish" not in results:
        return []
    one, many = results["publish"]["figures"]
    return [
        f"publish: +{median(one['ours']):.2f} ms per publish, {median(many['ours']):.0f} ms per 1,000 "
        f"(by hand {median(one['other']):.2f} ms, {median(many['other']):.0f} ms)"
    ]


def _half(results: Saved) -> list[str]:
    if "half" not in results:
        return []
    pair, commits, _ = results["half"]["figures"]
    return [f"half messages: {pair['ratio']:.2f} x publish, {median(commits['ours']):,.0f} checks/s"]


def _metrics(results: Saved) -> list[str]:
    if "metrics" not in results:
        return []
    return [f"metrics: a snapshot in {median(results['metrics']['figures'][0]['ours']):,.0f} ms"]


def _consumer(results: Saved) -> list[str]:
    found = {name: results[name]["figures"][0] for name in ("single", "batches") if name in results}
    if len(found) < 2:
        return []
    single, batch = (f"{median(one['ours']):,.0f} msg/s {{}} ({one['ratio']:.2f} x raw)" for one in found.values())
    return [f"consumer: {single.format('single')}, {batch.format('batch')}"]


def _relay(results: Saved) -> list[str]:
    if "distinct-keys" not in results:
        return []
    default = results["distinct-keys"]["figures"][0]
    peer = best_django_peer(results.get("rivals", {}).get("rivals", []))
    beside = f", {peer:.1f} x best django peer" if peer else ""
    days = [results[name]["machine"].get("date", "")[:10] for name in ("distinct-keys", "rivals") if name in results]
    # Each ratio is of one run; but the two may not be of the same one.
    mine, theirs = (f" ({day})" for day in days) if peer and len(set(days)) > 1 else ("", "")
    return [f"relay: {median(default['ours']):,.0f} msg/s, {default['ratio']:.2f} x raw loop{mine}{beside}{theirs}"]


def best_django_peer(rows: Sequence[Saved]) -> float | None:
    """Return our rate with distinct keys as a multiple of the best other Django app's, of the same rounds."""
    rates = {row["name"]: median(row["distinct"]) for row in rows if row["django"] and row.get("distinct")}
    ours = rates.pop("django_dlq", None)
    return ours / max(rates.values()) if ours and rates else None


def _row(figure: Saved) -> str:
    other = f"{_spread(figure['other'], figure['unit'])}, {figure['against']}" if figure["other"] else ""
    ratio = "" if figure["ratio"] is None else f"{figure['ratio']:.2f}"
    goal = f"{figure['goal']}, missed" if Comparison.of(figure).missed else figure["goal"]
    cells = [figure["name"], _spread(figure["ours"], figure["unit"]), other, ratio, goal, figure["note"]]
    return f"| {' | '.join(cells)} |"


def _rival(row: Saved) -> str:
    cells = [_turn(row, turn) for turn in ("distinct", "hot", "slow")]
    described = [_counts(row), row["order"], row["configuration"]]
    return f"| {' | '.join([row['name'] + ' ' + row['version'], *cells, *described])} |"


def _counts(row: Saved) -> str:
    many, hot = row["messages"], row["hot_messages"]
    return f"{many:,}" if many == hot or "hot" not in row else f"{many:,}, hot {hot:,}"


def _turn(row: Saved, turn: str) -> str:
    if turn in row["failed"]:
        return f"failed: {row['failed'][turn]}".replace("|", "/")
    return _spread(row[turn], "msg/s") if turn in row else "no order to keep"


def _spread(values: Sequence[float], unit: str) -> str:
    digits = 0 if unit in ("messages", "rows", "MB") or median(values) >= 1000 else 2
    middle, low, high = (f"{value:,.{digits}f}" for value in (median(values), min(values), max(values)))
    return f"{middle} {unit} ({low} to {high})" if len(values) > 1 else f"{middle} {unit}"


def _rounded(value: Any) -> Any:
    """Return figures with as many digits as mean something."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(item) for item in value]
    return value
