"""The explanations agree with the code and its tests."""

import ast
import re

import pytest

from django_dlq.models import TRANSITIONS, State
from django_dlq.models.dead_letter import CLOSED
from tests.docs.pages import DOCS, PAGES, ROOT, section, table

pytestmark = pytest.mark.once

LIFECYCLE = DOCS / "explanation" / "lifecycle.md"


def test_the_table_of_verbs_is_the_code_s() -> None:
    text = LIFECYCLE.read_text()
    rows = table(text[text.index("| Verb |") :])
    written = {
        verb.strip("`"): (frozenset(re.findall(r"`(\w+)`", sources)), target.strip("`"))
        for verb, sources, target, _ in rows
    }
    assert len(rows) == len(written)
    assert written == {verb: (frozenset(map(str, sources)), str(to)) for verb, (sources, to) in TRANSITIONS.items()}


def test_the_diagram_of_states_is_the_code_s() -> None:
    drawn = sorted(re.findall(r"^ +(\w+) --> (\w+): (\w+)$", LIFECYCLE.read_text(), re.MULTILINE))
    assert drawn == sorted(
        (str(source), str(to), verb) for verb, (sources, to) in TRANSITIONS.items() for source in sources
    )


def test_the_table_of_states_is_the_code_s() -> None:
    rows = table(LIFECYCLE.read_text())
    assert [(row[0].strip("`"), row[2]) for row in rows] == [
        (str(state), "yes" if state in CLOSED else "no") for state in State
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
