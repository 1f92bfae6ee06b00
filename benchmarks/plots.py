"""The pictures that the manual shows."""

from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.report import Saved

mpl.use("svg")
plt.rcParams.update(
    {
        "font.size": 10,
        "axes.grid": True,
        "grid.alpha": 0.3,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.constrained_layout.use": True,
        "svg.hashsalt": "django_dlq",  # the same picture is the same file
        "svg.fonttype": "path",
    }
)
IMAGES = Path(__file__).parent.parent / "docs" / "images"
PICTURES = {
    "backlog": {"bench-backlog.svg": "Throughput and memory by the length of the backlog"},
    "latency": {"bench-latency.svg": "Distribution of the time from commit to confirmed"},
    "rivals": {"bench-rivals.svg": "Messages per second of all outboxes, with distinct keys and with one hot key"},
    "sustained": {"bench-sustained.svg": "Backlog, latency and dead tuples over five minutes"},
}
OURS, OTHERS, SECOND = "#1b6ca8", "#9aa5b1", "#d9822b"


def draw(results: Saved) -> None:
    """Draw what has been measured."""
    IMAGES.mkdir(exist_ok=True)
    drawers = {"backlog": _backlog, "latency": _latency, "rivals": _rivals, "sustained": _sustained}
    for name, drawer in drawers.items():
        if name in results:
            (file,) = PICTURES[name]
            drawer(results[name]).savefig(IMAGES / file, metadata={"Date": None})
            plt.close()


def _backlog(result: Saved) -> Any:
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
    sizes = [one["size"] for one in result["backlog"]]
    for axis, name, title in ((left, "rates", "messages per second"), (right, "memory", "resident memory, MB")):
        middle = [median(one[name]) for one in result["backlog"]]
        spread = [
            [value - min(one[name]) for one, value in zip(result["backlog"], middle, strict=True)],
            [max(one[name]) - value for one, value in zip(result["backlog"], middle, strict=True)],
        ]
        axis.errorbar(sizes, middle, yerr=spread, marker="o", color=OURS, capsize=4)
        axis.set(xscale="log", xlabel="messages in the outbox", title=title)
        axis.set_ylim(bottom=0)
    right.set_ylim(top=max(165, *right.get_ylim()))
    right.axhline(150, color=SECOND, linestyle="--", label="goal")
    right.legend(frameon=False)
    return figure


def _latency(result: Saved) -> Any:
    figure, axis = plt.subplots(figsize=(8, 3.2))
    styles = {"mock": "-", "real": "--"}
    for curve in result["latency"]:
        notified = curve["side"] == "NOTIFY"
        values = curve["percentiles"]
        share = [100 * number / (len(values) + 1) for number in range(1, len(values) + 1)]
        label = f"{'with NOTIFY' if notified else 'polling only'}, {curve['kafka']} Kafka"
        axis.plot(values, share, styles[curve["kafka"]], color=SECOND if notified else OURS, label=label)
    axis.set(xlabel="milliseconds from commit to confirmed", ylabel="% of the messages", ylim=(0, 100))
    axis.set_xlim(left=0)
    axis.legend(frameon=False, loc="lower right")
    return figure


def _rivals(result: Saved) -> Any:
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.4), sharey=True)
    rows = sorted(result["rivals"], key=lambda row: median(row.get("distinct") or [1]))
    titles = {"distinct": "distinct keys", "hot": "one hot key", "slow": "5 ms to the broker"}
    for axis, (turn, title) in zip(axes, titles.items(), strict=True):
        for place, row in enumerate(rows):
            if values := row.get(turn):
                axis.barh(place, median(values), color=OURS if row["name"] == "django_dlq" else OTHERS)
                axis.text(median(values) * 1.15, place, f"{median(values):,.0f}", va="center", fontsize=8)
            else:
                why = "failed" if turn in row["failed"] else "promises no order"
                axis.text(13, place, why, va="center", fontsize=8, color="#606870")
        axis.set(xscale="log", xlim=(10, 3_000_000), title=title, xlabel="messages per second")
        axis.grid(visible=False, axis="y")
    axes[0].set_yticks(range(len(rows)), [row["name"] for row in rows])
    return figure


def _sustained(result: Saved) -> Any:
    measured = result["sustained"]
    seconds = [sample["second"] for sample in measured["samples"]]
    figure, axes = plt.subplots(3, 1, figsize=(8, 6), sharex=True)
    axes[0].plot(seconds, [sample["waiting"] for sample in measured["samples"]], color=OURS)
    axes[0].set(title=f"backlog, messages, at {measured['offered']:,} messages per second")
    moments, *lines = zip(*measured["late"], strict=True)
    for line, label, color in zip(lines, ("p50", "p99"), (OURS, SECOND), strict=True):
        axes[1].plot(moments, line, color=color, label=label)
    axes[1].set(title="from the INSERT to confirmed, milliseconds")
    axes[1].legend(frameon=False)
    axes[2].plot(seconds, [sample["dead"] for sample in measured["samples"]], color=OURS)
    axes[2].set(title="dead tuples in the outbox", xlabel="seconds")
    for axis in axes:
        axis.set_ylim(bottom=0)
    return figure
