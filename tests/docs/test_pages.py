"""Every block of the manual runs, and every link leads somewhere."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.docs import blocks
from tests.docs.pages import DOCS, PAGES, ROOT, TUTORIAL, examples, languages, name_of, slugs, without_fences


def _param(page: Path) -> Any:
    # SQL differs between databases; Python on these pages does not.
    marks = [] if "sql" in languages(page) else [pytest.mark.once]
    if "manage.py dlq_schedule" in page.read_text():
        marks.append(pytest.mark.skipif(not find_spec("django_celery_beat"), reason="needs django-celery-beat"))
    return pytest.param(page, id=name_of(page), marks=marks)


@pytest.mark.django_db(transaction=True, reset_sequences=True)
@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("page", [_param(page) for page in PAGES if page != TUTORIAL])
def test_every_block_of_the_page_runs(page: Path, request: pytest.FixtureRequest) -> None:
    namespace: dict[str, Any] = {}
    for example in examples(page, blocks.EVALUATORS):
        example.evaluate()
        namespace = example.namespace
    for test in [value for name, value in namespace.items() if name.startswith("test_")]:
        test(request.getfixturevalue("dlq"))


@pytest.mark.once
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_block_is_in_a_language_that_nothing_runs(page: Path) -> None:
    known = blocks.EVALUATORS.keys() | blocks.PICTURES | blocks.DIRECTIVES | blocks.ELSEWHERE
    assert set(languages(page)) <= known


@pytest.mark.once
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_block_escapes_the_parser(page: Path) -> None:
    executed = [language for language in languages(page) if language in blocks.EVALUATORS]
    assert len(list(examples(page, blocks.EVALUATORS))) == len(executed)


@pytest.mark.once
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_fences(page)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT)
        assert target.exists(), link
        assert not anchor or anchor in slugs(target), link


@pytest.mark.once
def test_every_page_is_in_the_table_of_contents() -> None:
    listed = set(re.findall(r"^([\w/-]+)$", (DOCS / "index.md").read_text(), re.MULTILINE))
    assert listed == {str(page.relative_to(DOCS).with_suffix("")) for page in PAGES if DOCS in page.parents} - {"index"}
