"""The pages of the manual, and what stands on them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser
from sybil.typing import Evaluator, Parser

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)]
)
TUTORIAL = DOCS / "tutorial" / "first-dead-letter.md"


def name_of(page: Path) -> str:
    """Return a page's path as tests and people name it."""
    return str(page.relative_to(ROOT))


def languages(page: Path) -> list[str]:
    """Return the language of each fenced block, empty where none is given, and of blocks that only tests see."""
    fence = r"^ *(?:```+|~~~+) *(\S*)[^\n]*\n.*?^ *(?:```+|~~~+) *$|^<!-- invisible-code-block: (\S+)$"
    found = re.findall(fence, page.read_text(), re.MULTILINE | re.DOTALL)
    return [shown or hidden for shown, hidden in found]


def examples(page: Path, evaluators: Mapping[str, Evaluator], *others: Parser) -> Iterator[Example]:
    """Return the blocks in these languages, in the order of the page; they share a namespace."""
    parsers = [CodeBlockParser(language, evaluator) for language, evaluator in evaluators.items()]
    document = Document.parse(str(page), *parsers, *others)
    # The module that the page's functions seem to be defined in.
    document.namespace["__name__"] = "shop.handlers"
    return document.examples()


def without_fences(page: Path) -> str:
    """Return a page's prose and tables."""
    return re.sub(r"^ *(```+|~~~+).*?^ *\1 *$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def section(page: Path, heading: str) -> str:
    """Return what stands under a heading, up to the next one of its level or above."""
    text = page.read_text()
    found = re.search(rf"^(#+) {re.escape(heading)}\n", text, re.MULTILINE)
    assert found, f"{name_of(page)} has no heading {heading!r}"
    following = re.compile(rf"^#{{1,{len(found[1])}}} ", re.MULTILINE).search(text, found.end())
    return text[found.end() : following.start() if following else len(text)]


def table(text: str) -> list[list[str]]:
    """Return the cells of the first table in a text, without its head."""
    found = re.search(r"(?:^\|.*\|\n?)+", text, re.MULTILINE)
    rows = found[0].splitlines() if found else []
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    return [row for row in cells[1:] if not all(set(cell) <= set("-: ") for cell in row)]


def slugs(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", without_fences(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
