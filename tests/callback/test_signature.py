"""Who receives a check can prove where it comes from."""

import pytest

from django_dlq.callback.signature import SIGNATURE, TIMESTAMP, Secret, is_signed, signed_headers

pytestmark = pytest.mark.once

NOW = 1_796_034_600
BODY = b'{"message_id":"m-1"}'
OLD, NEW, FOREIGN = Secret("old"), Secret("new"), Secret("foreign")


def test_the_signature_is_the_hmac_of_the_time_a_full_stop_and_the_body() -> None:
    # printf '1796034600.{"message_id":"m-1"}' | openssl dgst -sha256 -hmac new
    wanted = "9d56a46215401a0d1b10c5f54e4daf637d46430a7802dfeca28286d9436df2ff"
    assert signed_headers(BODY, at=NOW, by=[NEW]) == {TIMESTAMP: str(NOW), SIGNATURE: f"v1={wanted}"}


@pytest.mark.parametrize("valid", [OLD, NEW])
def test_while_a_secret_is_replaced_either_of_the_two_proves_it(valid: Secret) -> None:
    headers = signed_headers(BODY, at=NOW, by=[NEW, OLD])
    assert is_signed(headers, BODY, by=valid, now=NOW)
    assert not is_signed(headers, BODY, by=FOREIGN, now=NOW)


def test_another_body_or_another_time_does_not_fit() -> None:
    headers = signed_headers(BODY, at=NOW, by=[NEW])
    assert not is_signed(headers, BODY + b" ", by=NEW, now=NOW)
    assert not is_signed({**headers, TIMESTAMP: str(NOW + 1)}, BODY, by=NEW, now=NOW)


@pytest.mark.parametrize(("seconds", "fits"), [(-301, False), (-299, True), (0, True), (299, True), (301, False)])
def test_a_request_is_good_for_five_minutes_on_a_clock_that_may_be_wrong_as_much(seconds: int, fits: bool) -> None:
    assert is_signed(signed_headers(BODY, at=NOW, by=[NEW]), BODY, by=NEW, now=NOW + seconds) is fits


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {TIMESTAMP: str(NOW)},
        {TIMESTAMP: str(NOW), SIGNATURE: ""},
        {TIMESTAMP: str(NOW), SIGNATURE: "v1="},
        {TIMESTAMP: str(NOW), SIGNATURE: "v1=é"},
        {TIMESTAMP: "", SIGNATURE: "v1=00"},
        {TIMESTAMP: "-1", SIGNATURE: "v1=00"},
        {TIMESTAMP: "1e9", SIGNATURE: "v1=00"},
        {TIMESTAMP: "9" * 5000, SIGNATURE: "v1=00"},
    ],
)
def test_garbage_proves_nothing(headers: dict[str, str]) -> None:
    assert not is_signed(headers, BODY, by=NEW, now=NOW)


def test_a_signature_of_a_later_version_is_passed_over() -> None:
    at = signed_headers(BODY, at=NOW, by=[NEW])
    assert is_signed({**at, SIGNATURE: f"v2=00, {at[SIGNATURE]}"}, BODY, by=NEW, now=NOW)
    assert not is_signed({**at, SIGNATURE: at[SIGNATURE].replace("v1", "v2")}, BODY, by=NEW, now=NOW)


def test_a_secret_is_long_by_chance_and_shows_itself_only_when_asked() -> None:
    one, two = Secret.fresh(), Secret.fresh()
    assert one.reveal() != two.reveal()
    assert len(one.reveal()) >= 43
    assert one.reveal() not in f"{one!r} {one} {[one]}"


def test_an_empty_secret_is_none() -> None:
    with pytest.raises(ValueError, match="everybody"):
        Secret("")
