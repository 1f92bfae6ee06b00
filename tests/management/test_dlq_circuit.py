import io
import re

import pytest
from django.core.management import CommandError, call_command

from django_dlq import inbox, metrics
from django_dlq.management import stats_table
from django_dlq.models import Circuit
from tests.letters import consumer_letter
from tests.outages import NAME, circuit, open_by_itself

pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture(autouse=True)
def handler(registry):
    inbox.handler("orders", group="shipping", depends_on=NAME)(print)


def run(*arguments):
    said = io.StringIO()
    call_command("dlq_circuit", *arguments, stdout=said)
    return said.getvalue().strip()


def test_a_circuit_is_opened_and_closed_and_each_answer_says_what_was_done():
    assert run("--open", NAME, "--reason", "they\nmigrate", "--by", "ana") == "opened the circuit of logistics"
    again = run("--open", NAME, "--reason", "me too")
    assert re.fullmatch(
        r"it was opened already\. logistics: open since 20.* by ana: they migrate; dead letters: 0", again
    )
    assert run("--close", NAME, "--reason", "done") == "closed the circuit of logistics"
    assert run("--close", NAME, "--reason", "done") == "it was not open; nothing was changed"


def test_without_options_it_lists_the_circuits():
    assert run() == "no dependency has failed yet"
    open_by_itself(error_class="ConnectionError", error_message="nobody\nlistens")
    consumer_letter(dependency=NAME)
    assert re.fullmatch(r"logistics: open since 20.*: ConnectionError: nobody listens; dead letters: 1", run())


def test_what_died_is_replayed():
    open_by_itself(state=Circuit.CLOSED)
    consumer_letter(dependency=NAME)
    assert run("--replay", NAME, "--by", "ana") == "1 letters will be replayed"
    assert circuit().replay_by == "ana"
    assert run("--replay", "nobody") == "0 letters will be replayed"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--open", NAME), "say why you open"),
        (("--close", NAME), "say why you close"),
        (("--open", "other", "--reason", "why"), "they depend on: logistics"),
    ],
)
def test_what_cannot_be_done_is_an_error(arguments, words):
    with pytest.raises(CommandError, match=words):
        run(*arguments)


def test_the_figures_name_every_circuit_that_is_not_closed():
    assert metrics.circuits() == ()
    open_by_itself(state=Circuit.HALF_OPEN, error_class="ConnectionError", error_message="nobody listens")
    (told,) = metrics.circuits()
    assert (told.dependency, told.state, told.actor) == (NAME, "half_open", "")
    assert told.reason == "ConnectionError: nobody listens"
    lines = "\n".join(stats_table.lines(metrics.snapshot()))
    assert re.search(r"circuit    logistics half-open since 20.*: ConnectionError: nobody listens", lines)

    circuit().delete()
    run("--open", NAME, "--reason", "they migrate", "--by", "ana")
    lines = "\n".join(stats_table.lines(metrics.snapshot()))
    assert re.search(r"circuit    logistics open since 20.* by ana: they migrate", lines)
