import threading
from datetime import timedelta

import pytest

from django_dlq import inbox
from django_dlq.exceptions import HandlerConflict
from django_dlq.probes import Asked, Probe, probes

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("registry")]


def ask(function, **options):
    return Asked(Probe(dependency="logistics", function=function, **options))


def test_a_probe_that_returns_is_content():
    assert ask(lambda: None).wait().error is None


def test_a_probe_that_raises_says_what_is_wrong():
    def probe():
        raise SystemExit("gone")

    assert isinstance(ask(probe).wait().error, SystemExit)


def test_a_probe_that_returns_false_is_not_content():
    assert str(ask(lambda: False).wait().error) == "the probe returned False"


def test_a_probe_that_takes_too_long_is_not_waited_for():
    may_end = threading.Event()
    asked = ask(may_end.wait, timeout=timedelta(milliseconds=20))
    assert isinstance(asked.wait().error, TimeoutError)
    assert isinstance(asked.answer().error, TimeoutError)
    assert asked.hangs
    may_end.set()
    asked._thread.join()
    assert not asked.hangs


def test_a_dependency_has_one_probe():
    inbox.probe("logistics")(print)
    inbox.probe("logistics", failures=3)(print)  # as when a module is imported again
    assert probes.of("logistics").failures == 3
    with pytest.raises(HandlerConflict, match="are both probes of"):
        inbox.probe("logistics")(len)


def test_a_dependency_without_a_probe_has_the_usual_limits():
    assert (probes.of("mail").function, probes.of("mail").failures) == (None, 5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"errors": ["ConnectionError"]},
        {"errors": 5},
        {"failures": 0},
        {"failures": True},
        {"timeout": 5},
        {"timeout": timedelta(0)},
    ],
)
def test_a_wrong_option_is_an_error_where_it_is_written(wrong):
    with pytest.raises(TypeError):
        inbox.probe("logistics", **wrong)


@pytest.mark.parametrize("name", ["", 5, "a" * 101])
def test_a_dependency_has_a_name(name):
    with pytest.raises(TypeError, match="a dependency is a text"):
        inbox.probe(name)
    if name:
        with pytest.raises(TypeError, match="a dependency is a text"):
            inbox.handler("orders", group="shipping", depends_on=name)
