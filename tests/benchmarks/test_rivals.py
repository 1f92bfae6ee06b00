import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kafka import Cluster
from benchmarks.relay import rivals
from benchmarks.rivals import environment, run
from benchmarks.rivals.known import RIVALS, Rival

pytestmark = pytest.mark.once


@pytest.mark.parametrize("rival", RIVALS, ids=lambda rival: rival.name)
def test_every_rival_has_a_program_and_pinned_requirements(rival: Rival) -> None:
    assert importlib.util.find_spec(f"benchmarks.rivals.{rival.module}") is not None
    requirements = Path(environment.__file__).with_name(f"{rival.module}.txt").read_text().split()
    assert requirements[0] == f"{rival.name}=={environment.version(rival)}"
    assert all("==" in requirement for requirement in requirements)


def test_a_rival_that_fails_does_not_stop_the_others_and_is_not_asked_again() -> None:
    asked: list[str] = []

    def fail() -> float:
        asked.append("failing")
        raise run.Failed("it fell over")

    failing: dict[str, Any] = {"name": "failing", "order": "per key", "failed": {}}
    fine: dict[str, Any] = {"name": "fine", "order": "per key", "failed": {}}
    for _ in range(2):
        rivals._take(failing, "distinct", fail)
        rivals._take(fine, "distinct", lambda: 7.0)
    assert asked == ["failing"]
    assert failing["failed"] == {"distinct": "it fell over"}
    assert fine["distinct"] == [7.0, 7.0]


def test_who_promises_no_order_is_not_asked_for_a_hot_key() -> None:
    row: dict[str, Any] = {"name": "quick", "order": rivals.NO_ORDER, "failed": {}}
    rivals._take(row, "hot", lambda: 7.0)
    assert "hot" not in row


def test_a_rival_without_its_python_is_unavailable() -> None:
    with pytest.raises(environment.Unavailable, match=r"needs Python 9\.9"):
        environment._interpreter(Rival(name="x", django=True, configuration="", order="none", python="9.9"))


@pytest.mark.parametrize(
    ("done", "reason"),
    [
        (subprocess.CompletedProcess([], 1, "", "Traceback\nKeyError: 'x'"), "KeyError: 'x'"),
        (subprocess.CompletedProcess([], 0, "", ""), "it said nothing"),
        (subprocess.TimeoutExpired([], 1), "not done after"),
    ],
)
def test_a_rival_that_breaks_says_why(done: Any, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> Any:
        if isinstance(done, Exception):
            raise done
        return done

    monkeypatch.setattr(subprocess, "run", broken)
    with pytest.raises(run.Failed, match=reason):
        run._run(["python"])


def test_messages_that_are_missing_in_the_topic_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "python", lambda _: Path("python"))
    monkeypatch.setattr(run.database, "recreate", lambda _: None)
    monkeypatch.setattr(run.database, "drop", lambda _: None)
    monkeypatch.setattr(run, "_run", lambda *_, **__: {"seconds": 2.0})
    monkeypatch.setattr(Cluster, "topic", lambda _: "topic")
    cluster = Cluster("mock", "nowhere:1")
    monkeypatch.setattr(Cluster, "count", lambda *_: 2000)
    assert run.rate(RIVALS[0], cluster) == 1000
    monkeypatch.setattr(Cluster, "count", lambda *_: 1999)
    with pytest.raises(run.Failed, match="1,999 of 2,000"):
        run.rate(RIVALS[0], cluster)
