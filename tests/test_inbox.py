import threading
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction

from django_dlq import inbox
from django_dlq.exceptions import HandlerConflict, PublishError
from django_dlq.message import ReceivedMessage, Record
from django_dlq.models import InboxMessage
from django_dlq.retry_policy import RetryPolicy
from tests.shop.models import Box


def message(message_key="order-1", **identities):
    headers = (("id", b"m-1"), ("dlq-message-key", message_key.encode()))
    return ReceivedMessage.of(Record(topic="orders", headers=headers, partition=0, offset=0), "shipping")


def pack(received):
    Box.objects.create(order=received.message_key)


def handled():
    return list(InboxMessage.objects.order_by("pk").values_list("group", "message_key"))


@pytest.mark.django_db
class TestOnce:
    def test_a_message_is_handled_once_per_group(self):
        assert inbox.handle_once(message(), "shipping", pack) is True
        assert inbox.handle_once(message(), "shipping", pack) is False
        assert inbox.handle_once(message(), "billing", pack) is True

        assert Box.objects.count() == 2
        assert handled() == [("shipping", "order-1"), ("billing", "order-1")]

    def test_the_row_names_the_message(self):
        inbox.handle_once(message(), "shipping", pack)

        row = InboxMessage.objects.get()
        assert (row.message_id, row.topic, str(row)) == ("m-1", "orders", "shipping order-1")
        assert row.handled_at is not None

    @pytest.mark.parametrize("other", ["Order-1", "order-1 ", " order-1", "örder-1", "order-1\t", "order\u22121"])
    def test_keys_that_look_alike_are_different_messages(self, other):
        assert inbox.handle_once(message("order-1"), "shipping", pack)
        assert inbox.handle_once(message(other), "shipping", pack)

        assert {box.order for box in Box.objects.all()} == {"order-1", other}

    @pytest.mark.parametrize("other", ["Shipping", "shipping ", "shipp\u0131ng"])
    def test_groups_that_look_alike_are_different_groups(self, other):
        assert inbox.handle_once(message(), "shipping", pack)
        assert inbox.handle_once(message(), other, pack)

    def test_composed_and_decomposed_letters_are_different_bytes_so_different_messages(self):
        assert inbox.handle_once(message("\u00e9"), "shipping", pack)
        assert inbox.handle_once(message("e\u0301"), "shipping", pack)

    def test_a_handler_that_fails_leaves_neither_its_rows_nor_the_inbox_row(self):
        def fails(received):
            pack(received)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            inbox.handle_once(message(), "shipping", fails)
        assert handled() == []
        assert not Box.objects.exists()

        assert inbox.handle_once(message(), "shipping", pack) is True

    def test_a_duplicate_does_not_break_the_transaction_around_it(self):
        inbox.handle_once(message(), "shipping", pack)
        with transaction.atomic():
            inbox.handle_once(message(), "shipping", pack)
            Box.objects.create(order="after")

        assert Box.objects.filter(order="after").exists()

    def test_the_claim_is_one_statement(self, django_assert_num_queries):
        with transaction.atomic(), django_assert_num_queries(1):
            assert InboxMessage.objects.claim(message(), "shipping")
        with transaction.atomic(), django_assert_num_queries(1):
            assert not InboxMessage.objects.db_manager("default").claim(message(), "shipping")

    def test_many_are_claimed_by_one_statement_and_those_that_are_new_come_back_in_their_order(
        self, django_assert_num_queries
    ):
        inbox.handle_once(message("b"), "shipping", pack)
        inbox.handle_once(message("c"), "billing", pack)
        many = [message(key) for key in ("d", "b", "a", "d", "c", "ü", "'", '"', "\\", "D")]
        with transaction.atomic(), django_assert_num_queries(1):
            new = InboxMessage.objects.claim_many(many, "shipping")

        assert [found.message_key for found in new] == ["d", "a", "c", "ü", "'", '"', "\\", "D"]
        assert new[0] is many[0]
        assert len(handled()) == 10

    def test_the_rows_of_many_name_their_messages(self):
        named = (("a", b"1"), ("a", b"2"), ("b", b"3"))
        records = [Record(topic=topic, headers=(("id", name),)) for topic, name in named]
        many = [ReceivedMessage.of(record, "shipping") for record in records]
        with transaction.atomic():
            InboxMessage.objects.claim_many(many[:2], "shipping")
            InboxMessage.objects.claim_many([*many[2:], message("key")], "shipping")

        rows = InboxMessage.objects.order_by("message_key").values_list("message_key", "message_id", "topic")
        assert list(rows) == [("1", "1", "a"), ("2", "2", "a"), ("3", "3", "b"), ("key", "m-1", "orders")]

    def test_of_many_that_were_handled_none_is_new(self):
        many = [message(key) for key in "ab"]
        with transaction.atomic():
            InboxMessage.objects.claim_many(many, "shipping")
            assert InboxMessage.objects.claim_many(many, "shipping") == []
            assert InboxMessage.objects.claim_many(many[:1], "shipping") == []
            assert InboxMessage.objects.claim_many([], "shipping") == []

    def test_as_many_as_a_batch_may_have_are_claimed_at_once(self):
        many = [message(str(number)) for number in range(inbox.MOST_IN_BATCH)]
        with transaction.atomic():
            assert InboxMessage.objects.claim_many(many, "shipping") == many

    def test_a_database_that_does_not_tell_what_it_inserted_is_asked_for_each(self, monkeypatch):
        monkeypatch.setattr(connection.features, "can_return_columns_from_insert", False)
        many = [message(key) for key in "aba"]
        with transaction.atomic():
            assert InboxMessage.objects.claim_many(many, "shipping") == many[:2]

    def test_old_rows_are_those_handled_longer_ago(self):
        inbox.handle_once(message(), "shipping", pack)

        assert InboxMessage.objects.older_than(timedelta(seconds=-60)).exists()
        assert not InboxMessage.objects.older_than(timedelta(seconds=60)).exists()


class TestMessage:
    def test_a_message_of_ones_own_has_what_a_received_one_has(self):
        made = inbox.message(
            "hooks", {"a": 1}, message_key="e-1", message_id="d-7", key="A", tag="paid", headers={"x": "y"}
        )

        assert (made.topic, made.json(), made.message_key, made.message_id) == ("hooks", {"a": 1}, "e-1", "d-7")
        assert (made.key, made.tag, made.attempt, made.headers["x"]) == ("A", "paid", 1, "y")
        assert ReceivedMessage.of(made.record, "") == made

    def test_without_an_id_of_its_own_the_key_is_the_id(self):
        assert inbox.message("hooks", b"", message_key="e-1").message_id == "e-1"

    @pytest.mark.parametrize(("body", "is_tombstone"), [(None, True), (b"", False)])
    def test_no_body_is_not_an_empty_body(self, body, is_tombstone):
        assert inbox.message("hooks", body, message_key="e-1").is_tombstone is is_tombstone

    @pytest.mark.parametrize(
        "wrong",
        [
            {"message_key": ""},
            {"message_key": None},
            {"message_key": 17},
            {"message_key": "\x00"},
            {"message_key": "\ud83d"},
            {"message_id": 17},
            {"topic": ""},
            {"topic": None},
            {"headers": {"id": "x"}},
            {"body": 5},
            {"tag": "\ud83d"},
            {"key": "\ud83d"},
        ],
        ids=repr,
    )
    def test_what_could_not_tell_messages_apart_or_be_stored_is_refused(self, wrong):
        given = {"topic": "hooks", "body": b"", "message_key": "e-1"} | wrong

        with pytest.raises(PublishError):
            inbox.message(given.pop("topic"), given.pop("body"), **given)

    @pytest.mark.django_db
    def test_identities_of_any_length_are_told_apart(self):
        long = "e" * 5000

        messages = [inbox.message("hooks", b"", message_key=f"{long}{end}") for end in "121"]
        assert [inbox.handle_once(each, "hooks", str) for each in messages] == [True, True, False]

    @pytest.mark.django_db
    def test_the_function_is_told_in_whose_name_it_runs(self):
        seen = []
        inbox.handle_once(inbox.message("hooks", b"", message_key="e-1"), "payments", seen.append)

        assert seen[0].group == "payments"

    @pytest.mark.parametrize("group", ["", "g" * 101, None])
    def test_a_group_that_no_row_can_have_is_refused(self, group):
        with pytest.raises(TypeError, match="group is a text"):
            inbox.handle_once(inbox.message("hooks", b"", message_key="e-1"), group, pack)

    @pytest.mark.django_db
    @pytest.mark.parametrize("decision", [inbox.Reject, inbox.RetryLater, inbox.Skip])
    def test_a_decision_is_an_exception_like_any_other_there(self, decision):
        def decides(message):
            raise decision("why")

        with pytest.raises(decision, match="why"):
            inbox.handle_once(inbox.message("hooks", b"", message_key="e-1"), "payments", decides)
        assert handled() == []


@pytest.mark.django_db(transaction=True)
def test_a_webhook_that_is_delivered_many_times_at_once_is_handled_once():
    together, answers = threading.Barrier(5), []

    def deliver():
        try:
            made = inbox.message("hooks", b"", message_key="e-1")
            together.wait(30)
            answers.append(inbox.handle_once(made, "payments", pack))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=deliver) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == [False, False, False, False, True]
    assert Box.objects.count() == 1


class OtherProcess(threading.Thread):
    """Handle the message on a connection of its own, and hold its transaction open until told to end."""

    def __init__(self, end):
        super().__init__()
        self.end = end
        self.is_inside = threading.Event()
        self.may_end = threading.Event()

    def run(self):
        try:
            inbox.handle_once(message(), "shipping", self._hold)
        except ZeroDivisionError:
            pass
        finally:
            connections.close_all()

    def _hold(self, received):
        pack(received)
        self.is_inside.set()
        assert self.may_end.wait(30)
        self.end()


class Waiting(threading.Thread):
    """Handle the same message meanwhile."""

    answer = None

    def run(self):
        try:
            self.answer = inbox.handle_once(message(), "shipping", pack)
        finally:
            connections.close_all()


def is_somebody_waiting():
    queries = {
        "postgresql": "SELECT count(*) FROM pg_locks WHERE NOT granted",
        # Not information_schema.innodb_trx: it stays as it is while somebody looks more often than every 0.1 s.
        "mysql": "SELECT variable_value + 0 FROM information_schema.global_status"
        " WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'",
    }
    with connection.cursor() as cursor:
        cursor.execute(queries[connection.vendor])
        return cursor.fetchone()[0] > 0


def fail():
    raise ZeroDivisionError


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("end", "answer"), [(lambda: None, False), (fail, True)], ids=["commits", "rolls back"])
def test_a_duplicate_waits_for_the_one_in_hand_and_then_skips_or_handles(end, answer):
    other, waiting = OtherProcess(end), Waiting()
    other.start()
    assert other.is_inside.wait(30)
    waiting.start()
    if connection.vendor == "sqlite":  # a writer waits for another before its first statement
        waiting.join(0.2)
    else:
        wait_until(is_somebody_waiting)
    assert waiting.is_alive()

    other.may_end.set()
    waiting.join(30)
    other.join(30)

    assert waiting.answer is answer
    assert Box.objects.count() == 1
    assert handled() == [("shipping", "order-1")]


def wait_until(condition):
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it did not happen")


class TestHandler:
    def test_the_function_is_registered_and_stays_callable(self, registry):
        policy = RetryPolicy()

        @inbox.handler("orders", "bills", group="shipping", tags=["paid"], retry=policy, broker="other")
        def ship(received):
            return f"shipped {received}"

        (handler,) = registry.handlers
        assert handler.function is ship
        assert ship("it") == "shipped it"
        assert (handler.topics, handler.group, handler.tags) == (("orders", "bills"), "shipping", frozenset({"paid"}))
        assert (handler.retry, handler.broker) == (policy, "other")

    def test_what_is_not_given_has_its_default(self, registry):
        inbox.handler("orders", group="shipping")(pack)

        (handler,) = registry.handlers
        assert (handler.tags, handler.retry, handler.broker) == (frozenset(), None, "default")

    def test_a_conflict_is_refused(self, registry):
        inbox.handler("orders", group="shipping")(pack)

        with pytest.raises(HandlerConflict):
            inbox.handler("orders", group="shipping")(message)

    @pytest.mark.parametrize("topics", [(), ("",), ("a" * 256,), (pack,), ("orders", None), (["orders"],)])
    def test_topics_are_named(self, topics):
        with pytest.raises(TypeError, match="name the topics"):
            inbox.handler(*topics, group="shipping")

    @pytest.mark.parametrize("group", ["", "a" * 101, None, 5])
    def test_a_group_is_a_text_that_fits(self, group):
        with pytest.raises(TypeError, match="1 to 100 characters"):
            inbox.handler("orders", group=group)

    @pytest.mark.parametrize("size", [0, -1, 5001, 1.5, "500", True])
    def test_a_batch_size_is_a_number_that_every_database_takes(self, size):
        with pytest.raises(TypeError, match="from 1 to 5000"):
            inbox.handler("orders", group="shipping", batch_size=size)

    @pytest.mark.parametrize("number", [0, 201, None, True, "8"])
    def test_concurrency_is_a_number_of_threads(self, number):
        with pytest.raises(TypeError, match="concurrency is a number from 1 to 200"):
            inbox.handler("orders", group="shipping", concurrency=number)

    @pytest.mark.parametrize("timeout", [30, timedelta(0), "30s"])
    def test_a_timeout_is_a_timedelta(self, timeout):
        with pytest.raises(TypeError, match="timeout is a timedelta above 0"):
            inbox.handler("orders", group="shipping", timeout=timeout)

    def test_ordered_is_true_or_false(self, registry):
        with pytest.raises(TypeError, match="ordered is True or False, not 'key'"):
            inbox.handler("orders", group="shipping", ordered="key")

    def test_limits_are_kept(self, registry):
        inbox.handler("orders", group="shipping", concurrency=8, timeout=timedelta(seconds=5), rate_limit="30/min")(
            pack
        )

        (handler,) = registry.handlers
        assert (handler.concurrency, handler.timeout) == (8, timedelta(seconds=5))
        assert handler.messages_per_second == 0.5

    def test_a_rate_that_is_none_is_refused(self):
        with pytest.raises(ValueError, match="a rate is"):
            inbox.handler("orders", group="shipping", rate_limit="fast")(pack)

    def test_the_longest_names_fit(self, registry):
        inbox.handler("t" * 255, group="g" * 100)(pack)

        assert registry.groups() == ["g" * 100]

    def test_one_text_is_not_a_list_of_tags(self):
        with pytest.raises(TypeError, match="list of tags"):
            inbox.handler("orders", group="shipping", tags="paid")
