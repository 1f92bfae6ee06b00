from typing import Any

import pytest

from benchmarks import report
from benchmarks.measure import Comparison, Result, in_turns

pytestmark = pytest.mark.once


def figure(**values: Any) -> Comparison:
    return Comparison(name="distinct keys, mock Kafka", unit="msg/s", **values)


def rival(name: str, *, django: bool = True, **values: Any) -> dict[str, Any]:
    common = {"version": "1.0", "order": "per key", "configuration": "the default", "failed": {}}
    common |= {"messages": 2000, "hot_messages": 1000}
    return common | {"name": name, "django": django} | values


ROWS = [
    rival("django_dlq", distinct=[30_000.0, 20_000.0, 31_000.0], hot=[9_000.0], slow=[8_000.0]),
    rival("slow", distinct=[100.0, 120.0, 110.0], failed={"hot": "it fell | over", "slow": "so did this"}),
    rival("quick", distinct=[600.0, 500.0, 610.0], order="none", slow=[100.0]),
    rival("asyncio", django=False, distinct=[6_000.0]),
]


@pytest.fixture
def results(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")


@pytest.mark.usefixtures("results")
def test_the_last_line_has_the_rate_the_raw_loop_and_the_best_django_peer() -> None:
    ours = figure(ours=[30_000.0, 20_000.0, 31_000.0], other=[30_000.0, 40_000.0, 31_000.0])
    report.save("distinct-keys", {}, Result(figures=[ours]))
    report.save("rivals", {}, Result(series={"rivals": ROWS}))
    assert report.summary(["relay"], report.saved())[-1] == (
        "relay: 30,000 msg/s, 1.00 x raw loop, 50.0 x best django peer"
    )


@pytest.mark.usefixtures("results")
def test_what_was_measured_before_stays_beside_what_is_measured_now() -> None:
    report.save("distinct-keys", {"date": "yesterday"}, Result(figures=[figure(ours=[1.23456789])]))
    report.save("hot-key", {"date": "today"}, Result(figures=[figure(ours=[2.0])]))
    saved = report.saved()
    assert [one["machine"]["date"] for one in saved.values()] == ["yesterday", "today"]
    assert saved["distinct-keys"]["figures"][0]["ours"] == [1.2346]


def test_a_row_has_the_median_and_the_spread_of_its_rounds() -> None:
    row = figure(ours=[3000.0, 1000.0, 2000.0], other=[1500.0, 2000.0, 1000.0], goal="1.0 x").as_dict()
    assert report.tables({"figures": [row]}).splitlines()[-1] == (
        "| distinct keys, mock Kafka | 2,000 msg/s (1,000 to 3,000) | 1,500 msg/s (1,000 to 2,000), raw loop "
        "| 2.00 | 1.0 x |  |"
    )


def test_a_rival_that_failed_is_shown_with_the_reason() -> None:
    table = report.tables({"figures": [], "rivals": ROWS})
    assert "| slow 1.0 | 110.00 msg/s (100.00 to 120.00) | failed: it fell / over | failed: so did this |" in table
    assert "| quick 1.0 | 600.00 msg/s (500.00 to 610.00) | no order to keep |" in table


def test_each_round_begins_with_another_side() -> None:
    order: list[str] = []

    def act(name: str) -> float:
        order.append(name)
        return len(order)

    found = in_turns(3, [lambda: act("a"), lambda: act("b"), lambda: act("c")])
    assert order == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert found == [[1, 6, 8], [2, 4, 9], [3, 5, 7]]
