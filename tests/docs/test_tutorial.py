"""The tutorial works, from an empty directory to a replayed letter."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from sybil import Document, Region

from tests.docs.pages import TUTORIAL, examples, languages
from tests.docs.reader import Reader


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.leave()


@pytest.mark.once
def test_a_reader_of_the_tutorial_builds_a_dead_letter_and_replays_it(reader: Reader) -> None:
    def comments(document: Document) -> Iterable[Region]:
        for found in re.finditer(r"^<!-- the reader (.+) -->$", document.text, re.MULTILINE):
            yield Region(found.start(), found.end(), parsed=found[1], evaluator=reader.acts)

    evaluators = {"console": reader.types, "python": reader.writes, "text": reader.watches}
    steps = list(examples(TUTORIAL, evaluators, comments))
    assert len(steps) == len(languages(TUTORIAL)) + 2
    for step in steps:
        step.evaluate()
