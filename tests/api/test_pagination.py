"""Pages stay where they are while letters come and go."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from django_dlq.models import DeadLetter
from tests.api.conftest import MakeLetter

LETTERS = "/dlq/dead-letters/"


def page(client: APIClient, url: str = LETTERS, **query: Any) -> tuple[list[int], dict[str, Any]]:
    answer = client.get(url, query)
    assert answer.status_code == 200
    return [int(line["id"]) for line in answer.json()["results"]], answer.json()


def test_the_newest_come_first_and_every_letter_once(root: APIClient, make_letter: MakeLetter) -> None:
    ids = [make_letter().pk for _ in range(7)]
    seen, answer = page(root, page_size=3)
    while answer["next"]:
        more, answer = page(root, answer["next"])
        seen += more
    assert seen == sorted(ids, reverse=True)


def test_letters_that_come_meanwhile_move_no_page(root: APIClient, make_letter: MakeLetter) -> None:
    ids = [make_letter().pk for _ in range(4)]
    first, answer = page(root, page_size=2)
    make_letter()
    second, _ = page(root, answer["next"])
    assert first + second == sorted(ids, reverse=True)


def test_letters_that_go_meanwhile_take_no_other_with_them(root: APIClient, make_letter: MakeLetter) -> None:
    ids = [make_letter().pk for _ in range(4)]
    first, answer = page(root, page_size=2)
    DeadLetter.objects.filter(pk__in=first).delete()
    assert page(root, answer["next"])[0] == [ids[1], ids[0]]


def test_one_can_go_back(root: APIClient, make_letter: MakeLetter) -> None:
    for _ in range(4):
        make_letter()
    first, answer = page(root, page_size=2)
    _, answer = page(root, answer["next"])
    assert page(root, answer["previous"])[0] == first


def test_the_next_page_keeps_the_filters(root: APIClient, make_letter: MakeLetter) -> None:
    wanted = [make_letter(topic="a").pk for _ in range(3)]
    make_letter(topic="b")
    first, answer = page(root, page_size=2, topic="a")
    assert first + page(root, answer["next"])[0] == sorted(wanted, reverse=True)


@pytest.mark.parametrize(("size", "length"), [(1, 1), (200, 55), (None, 50)])
def test_a_page_is_as_long_as_asked(root: APIClient, make_letter: MakeLetter, size: int | None, length: int) -> None:
    for _ in range(55):
        make_letter()
    assert len(page(root, **({} if size is None else {"page_size": size}))[0]) == length


def test_an_empty_list_is_a_page_too(root: APIClient) -> None:
    assert page(root) == ([], {"next": None, "previous": None, "results": []})
