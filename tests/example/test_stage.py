"""What must be there before the demo starts."""

import socket
from collections.abc import Iterator

import pytest

from example_project import stage
from example_project.stage import CannotStart, Stage


@pytest.fixture
def taken() -> Iterator[int]:
    """A port where something runs."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.mark.once
@pytest.mark.parametrize("port", ["0x50", "-1", "70000"])
def test_a_port_that_cannot_be_is_refused(port: str) -> None:
    with pytest.raises(CannotStart, match=f"port {port} cannot be used"):
        Stage.from_environment({"PORT": port})


@pytest.mark.once
def test_a_port_that_was_asked_for_and_is_taken_is_refused(taken: int) -> None:
    with pytest.raises(CannotStart, match="Try another"):
        Stage.from_environment({"PORT": str(taken)})


@pytest.mark.once
def test_a_port_that_is_taken_is_passed_over(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "FIRST_PORT", taken)
    monkeypatch.setattr(stage, "LAST_PORT", taken + 20)
    chosen = Stage.from_environment({})
    assert taken < chosen.port <= taken + 20


@pytest.mark.once
def test_without_a_free_port_a_person_is_asked_for_one(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "FIRST_PORT", taken)
    monkeypatch.setattr(stage, "LAST_PORT", taken)
    with pytest.raises(CannotStart, match="name a free one"):
        Stage.from_environment({})


@pytest.mark.once
def test_a_kafka_that_does_not_answer_is_named(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("example_project.topic.SECONDS", 0.5)
    chosen = Stage.from_environment({"KAFKA": f"127.0.0.1:{taken}", "ONCE": "1"})
    with pytest.raises(CannotStart, match=f"Kafka at 127.0.0.1:{taken} does not answer"), chosen:
        pass
