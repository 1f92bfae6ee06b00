import sys

import pytest

from django_dlq.payload import MASK, Payload, describe, describe_headers, is_secret

pytestmark = pytest.mark.once


def test_json_is_shown_indented_and_as_it_travelled():
    body = '{"b":[1,{}],"a":"ü"}'.encode()

    assert describe(body, masked=False) == Payload(
        kind="json",
        size=len(body),
        masked=False,
        pretty='{\n  "b": [\n    1,\n    {}\n  ],\n  "a": "ü"\n}',
        raw='{"b":[1,{}],"a":"ü"}',
    )


@pytest.mark.parametrize(
    ("body", "pretty"),
    [
        (b"1.10", "1.10"),
        (b"12345678901234567890123", "12345678901234567890123"),
        (b"1E400", "1E400"),
        (b"9" * 5000, "9" * 5000),
        (b"null", "null"),
        (b"true", "true"),
        (b'"x\\u0000"', '"x\\u0000"'),
        (b"[]", "[]"),
        (b"{}", "{}"),
        (b'{"a":1,"a":2}', '{\n  "a": 1,\n  "a": 2\n}'),
    ],
)
def test_numbers_keep_every_digit_and_repeated_names_stay(body, pretty):
    assert describe(body, masked=False).pretty == pretty
    assert describe(body, masked=False).raw == body.decode()


@pytest.mark.parametrize(("body", "kind"), [(None, "absent"), (b"", "empty")])
@pytest.mark.parametrize("masked", [True, False])
def test_nothing_is_nothing_to_mask(body, kind, masked):
    assert describe(body, masked=masked) == Payload(kind=kind, size=0, masked=False, pretty=None, raw="")


@pytest.mark.parametrize(
    ("body", "kind", "raw"),
    [
        (b"plain", "text", "plain"),
        (b'{"broken":', "text", '{"broken":'),
        (b"NaN", "text", "NaN"),
        (b'{"a": Infinity}', "text", '{"a": Infinity}'),
        (b"nul\x00", "text", "nul\\x00"),
        (b"\xff\xfe", "binary", "\\xff\\xfe"),
    ],
)
def test_what_is_not_json_is_shown_as_it_is_or_hidden_whole(body, kind, raw):
    assert describe(body, masked=False) == Payload(kind=kind, size=len(body), masked=False, pretty=None, raw=raw)
    assert describe(body, masked=True) == Payload(kind=kind, size=len(body), masked=True, pretty=None, raw=None)


@pytest.mark.parametrize("levels", [*range(100, sys.getrecursionlimit(), 100), 100_000])
def test_json_of_any_depth_can_be_looked_at(levels):
    body = b"[" * levels + b"]" * levels
    shown = describe(body, masked=False)

    assert shown.raw == body.decode()
    assert describe(body, masked=True).raw in {None, body.decode()}


def test_secret_fields_are_masked_at_any_depth_and_the_rest_stays():
    body = b'{"card": {"number": "4111"}, "items": [{"apiKey": 1.0, "sku": "a"}], "e-mail": null, "n": 1.10}'
    shown = describe(body, masked=True)

    assert (shown.kind, shown.masked, shown.size) == ("json", True, len(body))
    assert (
        shown.raw
        == f'{{"card": "{MASK}", "items": [{{"apiKey": "{MASK}", "sku": "a"}}], "e-mail": "{MASK}", "n": 1.10}}'
    )
    assert "4111" not in shown.pretty + shown.raw
    assert shown.pretty.startswith(f'{{\n  "card": "{MASK}",\n')


def test_a_repeated_secret_is_masked_each_time():
    assert describe(b'{"token":"a","token":"b"}', masked=True).raw == f'{{"token": "{MASK}", "token": "{MASK}"}}'


def test_json_without_secrets_is_shown_to_everybody_as_it_travelled():
    body = b'{"sku" :"a",  "n":[1.0]}'

    assert describe(body, masked=True) == describe(body, masked=False)
    assert describe(body, masked=True).raw == body.decode()


@pytest.mark.parametrize(
    "name", ["password", "PassWord", "user_password", "X-Api-Key", "apikey", "API_KEY", "cardNumber"]
)
def test_a_name_is_secret_by_part_in_any_spelling(name):
    assert is_secret(name)


@pytest.mark.parametrize("name", ["sku", "", "order", "pass word"])
def test_other_names_are_not_secret(name):
    assert not is_secret(name)


def test_the_project_says_what_is_secret(settings):
    settings.DLQ_MASKED_FIELDS = ["s_k-U"]

    assert is_secret("SKU")
    assert not is_secret("password")


def test_headers_are_shown_in_order_with_secrets_masked_and_absent_values_kept():
    headers = (("trace", b"\xff"), ("Authorization", b"Bearer x"), ("trace", b"2"), ("x-token", None))

    assert describe_headers(headers, masked=True) == [
        ("trace", "\\xff"), ("Authorization", MASK), ("trace", "2"), ("x-token", None),
    ]  # fmt: skip
    assert describe_headers(headers, masked=False)[1] == ("Authorization", "Bearer x")
