import pytest
from django.contrib.auth.models import User

from django_dlq import deadletters, signals
from django_dlq.exceptions import (
    BodyNotSerializable,
    DeskError,
    IllegalTransition,
    InvalidMessage,
    MessageTooLarge,
    ReasonRequired,
)
from django_dlq.models import DeadLetter, DeadLetterEvent, Kind, OutboxMessage, State
from tests.letters import consumer_letter, relay_letter, timeline

pytestmark = pytest.mark.django_db

VERBS = {
    "replay": {"actor": "ana"},
    "edit": {"actor": "ana", "reason": "typo", "body": b"corrected"},
    "discard": {"actor": "ana", "reason": "a test order"},
    "restore": {"actor": "ana"},
}
POSSIBLE = {
    "replay": {State.RETRYING, State.DEAD},
    "edit": {State.RETRYING, State.DEAD},
    "discard": {State.RETRYING, State.DEAD, State.PARKED},
    "restore": {State.DISCARDED, State.REPLAYING},
}
IMPOSSIBLE = [(state, verb) for verb, states in POSSIBLE.items() for state in State if state not in states]


def act(verb, letter, **arguments):
    return getattr(deadletters, verb)(letter, **VERBS[verb] | arguments)


def everything():
    tables = (DeadLetter, DeadLetterEvent, OutboxMessage)
    return [list(table.objects.order_by("pk").values()) for table in tables]


@pytest.mark.parametrize(("state", "verb"), IMPOSSIBLE)
def test_an_act_that_comes_too_late_is_told_so_and_changes_nothing(state, verb):
    letter = consumer_letter(state)
    before = everything()

    with pytest.raises(IllegalTransition, match=f"is {state}"):
        act(verb, letter)
    assert everything() == before


@pytest.mark.parametrize(("state", "verb"), [(state, verb) for verb, states in POSSIBLE.items() for state in states])
def test_each_act_is_a_line_in_the_timeline_with_a_name_on_it(state, verb):
    user = User.objects.create_user("bo")
    letter = consumer_letter(state)
    act(verb, letter, actor=user, reason=" because ")

    event = DeadLetterEvent.objects.get(letter=letter)
    assert (event.actor, event.actor_name, event.reason) == (user, "bo", "because")
    assert event.kind == {"replay": "replayed", "edit": "edited", "discard": "discarded", "restore": "restored"}[verb]


@pytest.mark.parametrize("verb", ["edit", "discard"])
@pytest.mark.parametrize("reason", ["", " \n\t"])
def test_some_acts_need_a_reason(verb, reason):
    letter = consumer_letter()
    before = everything()

    with pytest.raises(ReasonRequired, match=verb):
        act(verb, letter, reason=reason)
    assert everything() == before
    assert issubclass(ReasonRequired, (DeskError, ValueError))


def test_of_two_people_who_act_at_once_the_second_is_told():
    letter, same = consumer_letter(), DeadLetter.objects.get()
    deadletters.discard(letter, actor="ana", reason="first")

    with pytest.raises(IllegalTransition, match="is discarded"):
        deadletters.replay(same, actor="bo")
    assert not OutboxMessage.objects.exists()


HEADERS = (("trace", b"\xff"), ("id", b"m-1"), ("dlq-expires", b"2020-01-01T00:00:00+00:00"), ("trace", None))


def test_a_replay_is_the_same_message_for_the_group_that_failed():
    letter = consumer_letter(
        headers=HEADERS, key="\\xff", raw_key=b"\xff", tag="paid", body=b"\x00\xff", broker="events"
    )
    row = OutboxMessage.objects.get(pk=deadletters.replay(letter, actor="ana").pk)

    assert (row.message_id, row.message_key, row.topic, row.tag) == ("m-1", "order-1", "orders", "paid")
    assert (row.body_bytes, row.key_bytes, row.broker) == (b"\x00\xff", b"\xff", "events")
    assert (row.letter_id, row.group) == (letter.pk, "shipping")
    assert row.headers == (("trace", b"\xff"), ("trace", None))
    assert (row.due_at, row.expires_at) == (None, None)
    assert row.record().header("dlq-letter") == str(letter.pk).encode()
    assert (letter.state, letter.replays) == (State.REPLAYING, 1)


def test_a_replay_of_a_tombstone_is_a_tombstone():
    row = deadletters.replay(consumer_letter(body=None), actor="ana")

    assert OutboxMessage.objects.get(pk=row.pk).record().body is None


def test_a_message_that_could_not_be_sent_is_replayed_for_all_groups():
    row = deadletters.replay(relay_letter(), actor="ana")

    assert row.group == ""
    assert row.record().header("dlq-group") is None


def test_replays_are_counted():
    letter = consumer_letter()
    for _ in range(2):
        deadletters.replay(letter, actor="ana")
        deadletters.restore(letter, actor="ana")

    assert DeadLetter.objects.get().replays == 2
    assert timeline(letter) == [(Kind.REPLAYED, "ana"), (Kind.RESTORED, "ana")] * 2


def test_a_discarded_letter_can_be_restored():
    letter = consumer_letter(State.RETRYING)
    deadletters.discard(letter, actor="ana", reason="a test order")
    assert (letter.state, letter.closed_at is not None) == (State.DISCARDED, True)

    deadletters.restore(letter, actor="bo", reason="it was none")
    assert (letter.state, letter.closed_at) == (State.DEAD, None)


class TestEdit:
    def test_the_original_is_kept_byte_for_byte_and_a_copy_takes_its_place(self):
        letter = consumer_letter(headers=HEADERS, key="7", tag="paid", attempts=3, traceback="…")
        before = DeadLetter.objects.get().message_columns()
        copy = deadletters.edit(letter, actor="ana", reason="typo", body={"order": 2})

        original = DeadLetter.objects.get(pk=letter.pk)
        assert {name: as_bytes(value) for name, value in original.message_columns().items()} == {
            name: as_bytes(value) for name, value in before.items()
        }
        assert (original.state, original.attempts, original.open_key) == (State.RESOLVED, 3, None)
        copy = DeadLetter.objects.get(pk=copy.pk)
        assert (copy.state, copy.corrects, copy.replays) == (State.REPLAYING, original, 1)
        assert copy.body_bytes == b'{"order":2}'
        assert (copy.key, copy.tag, copy.headers) == ("7", "paid", (("trace", b"\xff"), ("trace", None)))
        assert (copy.error_class, copy.fingerprint, copy.group) == ("ValueError", "f" * 32, "shipping")

    def test_the_copy_has_a_new_id_and_the_same_message_key(self):
        letter = consumer_letter()
        copy = deadletters.edit(letter, actor="ana", reason="typo", body=b"corrected")

        assert copy.message_id != letter.message_id == "m-1"
        assert copy.message_key == letter.message_key == "order-1"
        row = OutboxMessage.objects.get()
        assert (row.message_id, row.message_key, row.letter_id) == (copy.message_id, "order-1", copy.pk)
        assert (row.body_bytes, row.group) == (b"corrected", "shipping")

    def test_both_timelines_name_the_other_letter_and_what_was_changed(self):
        letter = consumer_letter()
        copy = deadletters.edit(letter, actor="ana", reason="typo", body=b"x", key="8", headers={"a": "1"}, tag="t")

        (of_letter,), (of_copy,) = letter.events.all(), copy.events.all()
        changed = ["body", "headers", "key", "tag"]
        assert of_letter.data == {"changed": changed, "copy": copy.pk}
        assert of_copy.data == {"changed": changed, "original": letter.pk}
        assert (of_letter.actor_name, of_letter.reason, of_copy.reason) == ("ana", "typo", "typo")
        assert (copy.key, copy.headers, copy.tag) == ("8", (("a", b"1"),), "t")

    def test_a_copy_that_failed_too_can_be_edited_again(self):
        first = consumer_letter()
        second = deadletters.edit(first, actor="ana", reason="typo", body=b"2")
        deadletters.restore(second, actor="ana")
        third = deadletters.edit(second, actor="ana", reason="another", body=b"3")

        assert (third.corrects, second.corrects, first.corrects) == (second, first, None)
        assert len({letter.message_id for letter in (first, second, third)}) == 3
        assert {letter.message_key for letter in (first, second, third)} == {"order-1"}
        assert [letter.state for letter in DeadLetter.objects.order_by("pk")] == ["resolved", "resolved", "replaying"]

    def test_a_letter_is_edited_once(self):
        letter, same = consumer_letter(), DeadLetter.objects.get()
        deadletters.edit(letter, actor="ana", reason="typo", body=b"2")

        with pytest.raises(IllegalTransition):
            deadletters.edit(same, actor="bo", reason="typo", body=b"3")
        assert DeadLetter.objects.count() == 2

    def test_a_letter_of_the_relay_can_be_edited_too(self):
        copy = deadletters.edit(relay_letter(), actor="ana", reason="typo", tag="t")

        assert (copy.source, copy.group, copy.open_key) == ("relay", "", None)
        assert OutboxMessage.objects.get().group == ""

    @pytest.mark.parametrize(
        "same",
        [
            {},
            {"body": b'{"order": 1}'},
            {"body": '{"order": 1}'},
            {"key": "7"},
            {"tag": "paid"},
            {"headers": [("trace", b"\xff"), ("trace", None)]},
            {"body": b'{"order": 1}', "key": "7", "tag": "paid"},
        ],
    )
    def test_an_edit_that_changes_nothing_is_refused(self, same):
        consumer_letter(headers=HEADERS, key="7", tag="paid")

        with pytest.raises(InvalidMessage, match="nothing was changed"):
            deadletters.edit(DeadLetter.objects.get(), actor="ana", reason="typo", **same)
        assert DeadLetter.objects.get().state == State.DEAD

    def test_no_body_and_no_key_are_changes(self):
        copy = deadletters.edit(consumer_letter(key="7"), actor="ana", reason="delete it", body=None, key=None)

        assert (copy.body_bytes, copy.key_bytes) == (None, None)
        assert OutboxMessage.objects.get().record().body is None

    def test_an_empty_body_is_not_an_absent_one(self):
        copy = deadletters.edit(consumer_letter(body=None), actor="ana", reason="fill it", body=b"")

        assert copy.body_bytes == b""

    def test_a_key_that_was_not_text_is_replaced_whole(self):
        consumer_letter(key="\\xff", raw_key=b"\xff")
        copy = deadletters.edit(DeadLetter.objects.get(), actor="ana", reason="typo", key="7")

        assert copy.key_bytes == b"7"

    @pytest.mark.parametrize(
        ("wrong", "error"),
        [
            ({"body": {1}}, BodyNotSerializable),
            ({"body": "\ud800"}, BodyNotSerializable),
            ({"headers": {"id": "x"}}, InvalidMessage),
            ({"headers": None}, InvalidMessage),
            ({"key": 7}, InvalidMessage),
            ({"key": "\ud800"}, InvalidMessage),
            ({"tag": None}, InvalidMessage),
            ({"tag": "a" * 256}, InvalidMessage),
            ({"body": b"1" * 1_000_001}, MessageTooLarge),
        ],
    )
    def test_what_cannot_be_sent_is_refused_and_nothing_is_changed(self, wrong, error):
        letter = consumer_letter()
        before = everything()

        with pytest.raises(error):
            deadletters.edit(letter, actor="ana", reason="typo", **wrong)
        assert everything() == before
        assert letter.state == State.DEAD


def as_bytes(value):
    return bytes(value) if isinstance(value, memoryview) else value


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", ["replay", "discard", "edit"])
def test_receivers_are_told_after_the_commit(verb):
    told = []

    def receiver(letter, event, **_):
        told.append((letter.state, event.kind, event.actor_name))

    signals.letter_changed.connect(receiver)
    try:
        act(verb, consumer_letter())
    finally:
        signals.letter_changed.disconnect(receiver)
    expected = {
        "replay": ("replaying", "replayed"),
        "discard": ("discarded", "discarded"),
        "edit": ("resolved", "edited"),
    }
    assert told[0] == (*expected[verb], "ana")


@pytest.mark.django_db(transaction=True)
def test_receivers_are_not_told_of_an_act_that_failed():
    told = []
    signals.letter_changed.connect(told.append)
    letter = consumer_letter(State.RESOLVED)

    with pytest.raises(IllegalTransition):
        act("discard", letter)
    signals.letter_changed.disconnect(told.append)
    assert told == []


class TestHeldKeys:
    @pytest.mark.parametrize(
        ("verb", "state", "holds"),
        [
            ("replay", State.DEAD, True),
            ("restore", State.REPLAYING, True),
            ("discard", State.DEAD, False),
            ("edit", State.DEAD, False),
        ],
    )
    def test_a_letter_holds_its_key_until_it_is_settled(self, verb, state, holds):
        letter = relay_letter(state, key="7", holds_key=True)
        act(verb, letter)

        assert letter.holds_key is DeadLetter.objects.get(pk=letter.pk).holds_key is holds

    def test_of_an_edit_the_copy_holds_the_key_instead(self):
        letter, stale = relay_letter(State.DISCARDED, key="7"), DeadLetter.objects.get()
        DeadLetter.objects.update(state=State.DEAD, holds_key=True)
        copy = act("edit", stale)

        assert list(DeadLetter.objects.holding()) == [copy]
        assert letter.pk != copy.pk
        assert act("edit", consumer_letter(message_key="2", key="8")).holds_key is False

    def test_a_copy_without_a_key_holds_none(self):
        act("edit", relay_letter(key="7", holds_key=True), key=None)

        assert not DeadLetter.objects.holding().exists()

    @pytest.mark.parametrize(
        ("columns", "holds"),
        [
            ({"topic": "ledger"}, True),
            ({"topic": "orders"}, False),
            ({"topic": "ledger", "error_class": "django_dlq.exceptions.Expired"}, False),
            ({"topic": "ledger", "source": "consumer", "group": "shipping"}, False),
        ],
    )
    def test_a_restored_letter_holds_its_key_again_if_its_topic_still_says_so(self, settings, columns, holds):
        settings.DLQ_HOLD_TOPICS = ["ledger"]
        letter = relay_letter(State.DISCARDED, key="7", **columns)
        act("restore", letter)

        assert letter.holds_key is holds
