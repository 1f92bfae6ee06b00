from functools import partial
from typing import Any

import pytest

from benchmarks import report
from benchmarks.measure import Comparison, Result, in_turns, interleaved, rates_in_turns

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
def test_the_last_line_names_the_days_where_its_two_ratios_are_not_of_one() -> None:
    report.save("distinct-keys", {"date": "2026-11-28 13:02 UTC"}, Result(figures=[figure(ours=[8.0], other=[4.0])]))
    report.save("rivals", {"date": "2026-11-23 11:41 UTC"}, Result(series={"rivals": ROWS}))
    assert report.summary(["relay"], report.saved())[-1] == (
        "relay: 8 msg/s, 2.00 x raw loop (2026-11-28), 50.0 x best django peer (2026-11-23)"
    )


@pytest.mark.parametrize(
    ("goal", "unit", "ours", "other", "is_missed"),
    [
        ("", "msg/s", 1.0, 9.0, False),
        ("0.9 x", "msg/s", 9.0, 10.0, False),
        ("0.9 x", "msg/s", 8.9, 10.0, True),
        ("0.7 x, 15,000 msg/s", "msg/s", 15_000.0, 16_000.0, False),
        ("0.7 x, 15,000 msg/s", "msg/s", 14_999.0, 16_000.0, True),
        ("0.7 x, 15,000 msg/s", "msg/s", 20_000.0, 30_000.0, True),
        ("0.30 ms", "ms", 0.3, 9.0, False),
        ("0.30 ms", "ms", 0.31, 9.0, True),
        ("2.2 x", "ms", 2.3, 1.0, True),
        ("at most 0.20 ms", "ms", 0.2, 1.0, False),
        ("below 150 MB", "MB", 150.0, 1.0, True),
        ("under 50", "rows", 49.0, 1.0, False),
        ("0", "messages", 0.0, 1.0, False),
        ("0", "messages", 1.0, 1.0, True),
    ],
)
def test_a_goal_that_was_missed_is_marked_and_listed(
    goal: str, unit: str, ours: float, other: float, is_missed: bool
) -> None:
    row = Comparison(name="what", unit=unit, ours=[ours], other=[other], goal=goal).as_dict()

    assert (f"| {goal}, missed |" in report.tables({"figures": [row]})) is is_missed
    assert len(report.missed(["one"], {"one": {"figures": [row]}})) == is_missed


def test_a_figure_that_stands_alone_misses_its_goal_too() -> None:
    row = figure(ours=[3.0, 9.0, 5.0], goal="6 msg/s").as_dict()

    assert report.missed(["hot-key"], {"hot-key": {"figures": [row]}}) == [
        "hot-key: distinct keys, mock Kafka: 5.00 msg/s (3.00 to 9.00); the goal is 6 msg/s"
    ]


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


def test_those_who_take_turns_within_a_round_begin_in_turn_too() -> None:
    order: list[str] = []

    def act(name: str) -> int:
        order.append(name)
        return 1

    acts = [partial(act, "a"), partial(act, "b")]
    interleaved(2, acts)
    rates_in_turns(acts, 2)
    assert order == ["a", "b", "b", "a"] * 2


def test_each_round_begins_with_another_side() -> None:
    order: list[str] = []

    def act(name: str) -> float:
        order.append(name)
        return len(order)

    found = in_turns(3, [lambda: act("a"), lambda: act("b"), lambda: act("c")])
    assert order == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert found == [[1, 6, 8], [2, 4, 9], [3, 5, 7]]
