import pytest

from django_dlq.by_class import check_classes, nearest

pytestmark = pytest.mark.once

WORDS = {LookupError: "lookup", KeyError: "key", Exception: "any"}


@pytest.mark.parametrize(
    ("error", "word"),
    [(KeyError(), "key"), (IndexError(), "lookup"), (ValueError(), "any"), (SystemExit(), None)],
)
def test_a_class_stands_for_its_subclasses_and_the_nearest_counts(error, word):
    assert nearest(WORDS, error) == word


@pytest.mark.parametrize("wrong", [KeyError, 5, ["KeyError"], [KeyError()], [dict], [None]])
def test_what_are_no_exception_classes_is_refused_by_name(wrong):
    with pytest.raises(TypeError, match="never_retry names"):
        check_classes("never_retry", wrong)
