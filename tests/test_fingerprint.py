import re

import pytest

from django_dlq.fingerprint import MOST_CHARACTERS, Failure, class_path, fingerprint, storable

pytestmark = pytest.mark.once


def caught(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:  # noqa: BLE001
        return error
    raise AssertionError("it did not fail")


def fails(text="no"):
    raise ValueError(text)


def calls_it(text="no"):
    fails(text)


def module(name, source):
    """Return the names that a module of this source has."""
    names = {"__name__": name}
    exec(compile(source, f"{name}.py", "exec"), names)
    return names


def test_a_fingerprint_is_32_hex_digits():
    assert re.fullmatch("[0-9a-f]{32}", fingerprint(ValueError("never raised")))


def test_another_message_is_the_same_cause():
    assert fingerprint(caught(fails, "order 1")) == fingerprint(caught(fails, "order 2"))


def test_a_line_that_moved_is_the_same_cause():
    before = module("shop", "def f():\n    raise ValueError\n")["f"]
    after = module("shop", "import os\n\n\ndef f():\n    # a comment\n    x = 1\n    raise ValueError\n")["f"]

    assert caught(before).__traceback__.tb_next.tb_lineno != caught(after).__traceback__.tb_next.tb_lineno
    assert fingerprint(caught(before)) == fingerprint(caught(after))


def test_another_class_way_or_place_is_another_cause():
    error = caught(fails)
    others = [
        fingerprint(caught(calls_it)),
        fingerprint(caught(module("tests.test_fingerprint", "def fails():\n    raise TypeError")["fails"])),
        fingerprint(caught(module("elsewhere", "def fails():\n    raise ValueError")["fails"])),
        fingerprint(caught(module("tests.test_fingerprint", "def fail():\n    raise ValueError")["fail"])),
        fingerprint(error, "shipping"),
        fingerprint(error, "shipping", "pack"),
    ]

    assert len({fingerprint(error), *others}) == 7


def test_how_the_app_called_the_function_does_not_count():
    source = "def fails():\n    raise ValueError"
    direct = module("shop", source)["fails"]
    names = module("django_dlq.retries", "def call(function):\n    function()")

    assert fingerprint(caught(names["call"], direct)) == fingerprint(caught(direct))


def test_the_whole_failure_is_described():
    error = caught(calls_it, "order 7")
    failure = Failure.of(error, "shipping", "pack")

    assert (failure.error_class, failure.error_message) == ("ValueError", "order 7")
    assert failure.fingerprint == fingerprint(error, "shipping", "pack")
    assert failure.traceback.startswith("Traceback (most recent call last):\n")
    assert failure.traceback.endswith("ValueError: order 7\n")
    assert "in calls_it" in failure.traceback


class Outer:
    class Unspeakable(Exception):
        def __str__(self):
            raise RuntimeError("not even this works")


def test_a_class_is_named_by_its_dotted_path():
    assert class_path(KeyError()) == "KeyError"
    assert class_path(Outer.Unspeakable()) == "tests.test_fingerprint.Outer.Unspeakable"


def test_an_exception_that_cannot_be_put_into_words_is_described_all_the_same():
    def speak():
        raise Outer.Unspeakable

    failure = Failure.of(caught(speak))

    assert "Unspeakable" in failure.error_message
    assert "in speak" in failure.traceback


@pytest.mark.parametrize(("text", "stored"), [("ü😀", "ü😀"), ("", ""), ("a\x00b", "a\\x00b"), ("\ud800!", "\\ud800!")])
def test_text_is_stored_as_utf8_columns_accept_it(text, stored):
    assert storable(text) == stored


def test_the_longest_text_is_kept_whole_and_a_longer_one_keeps_both_ends():
    longest = "a" * MOST_CHARACTERS
    longer = f"start{longest}end"

    assert storable(longest) == longest
    assert storable(longer).startswith("starta")
    assert storable(longer).endswith("aend")
    assert "… 8 characters left out …" in storable(longer)


def test_a_hostile_message_makes_no_trouble():
    failure = Failure.of(caught(fails, "\x00\ud800" + "x" * 10**6))

    assert "\x00" not in failure.error_message + failure.traceback
    assert len(failure.error_message.encode()) < MOST_CHARACTERS + 100
    assert len(failure.traceback.encode()) < MOST_CHARACTERS + 100


def test_endless_recursion_is_described():
    def endless():
        endless()

    assert Failure.of(caught(endless)).error_class == "RecursionError"
