"""The explanations agree with the code and its tests."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from django_dlq.models import DECIDED, HALF_TRANSITIONS, TRANSITIONS, HalfState, State
from django_dlq.models.dead_letter import CLOSED
from tests.docs.pages import DOCS, PAGES, ROOT, name_of, section, table

pytestmark = pytest.mark.once

LIFECYCLE = DOCS / "explanation" / "lifecycle.md"
HALF_MESSAGES = DOCS / "explanation" / "half-messages.md"


LIVES = {LIFECYCLE: (TRANSITIONS, State, CLOSED), HALF_MESSAGES: (HALF_TRANSITIONS, HalfState, DECIDED)}
every_life = pytest.mark.parametrize("page", LIVES, ids=name_of)


@every_life
def test_the_table_of_verbs_is_the_code_s(page: Path) -> None:
    transitions: Any = LIVES[page][0]
    text = page.read_text()
    rows = table(text[text.index("| Verb |") :])
    written = {
        verb.strip("`"): (frozenset(re.findall(r"`(\w+)`", sources)), target.strip("`"))
        for verb, sources, target, _ in rows
    }
    assert len(rows) == len(written)
    assert written == {verb: (frozenset(map(str, sources)), str(to)) for verb, (sources, to) in transitions.items()}


@every_life
def test_the_diagram_of_states_is_the_code_s(page: Path) -> None:
    transitions: Any = LIVES[page][0]
    drawn = sorted(re.findall(r"^ +(\w+) --> (\w+): (\w+)$", page.read_text(), re.MULTILINE))
    assert drawn == sorted(
        (str(source), str(to), verb) for verb, (sources, to) in transitions.items() for source in sources
    )


@every_life
def test_the_table_of_states_is_the_code_s(page: Path) -> None:
    _, states, settled = LIVES[page]
    text = page.read_text()
    rows = table(text[text.index("| State |") :])
    assert [(row[0].strip("`"), row[2]) for row in rows] == [
        (str(state), "yes" if state in settled else "no") for state in states
    ]


def named_tests() -> list[str]:
    return sorted({name for page in PAGES for name in re.findall(r"`(tests/[\w/]+\.py::\w+)`", page.read_text())})


@pytest.mark.parametrize("name", named_tests())
def test_a_test_that_the_manual_names_exists(name: str) -> None:
    path, _, function = name.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_promise_names_a_test() -> None:
    promises = DOCS / "explanation" / "promises.md"
    numbered = re.findall(r"^## (\d\. .+)$", promises.read_text(), re.MULTILINE)
    assert len(numbered) == 7
    for heading in numbered:
        assert re.search(r"`tests/[\w/]+\.py::\w+`", section(promises, heading)), heading
