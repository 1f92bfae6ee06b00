"""What users may import. A name that goes, or comes by accident, breaks a promise: change this list knowingly."""

from importlib import import_module
from pathlib import Path

import pytest

import django_dlq
from django_dlq import exceptions

pytestmark = pytest.mark.once

ROOMS = {
    "django_dlq.outbox": {
        "Message",
        "Verdict",
        "checker",
        "half",
        "half_message",
        "prepare",
        "publish",
        "publish_many",
    },
    "django_dlq.inbox": {
        "Compensate",
        "Decision",
        "DependencyDown",
        "Reject",
        "RetryLater",
        "RetryPolicy",
        "Skip",
        "handle_once",
        "handler",
        "message",
        "probe",
    },
    "django_dlq.dependencies": {"close_circuit", "open_circuit", "replay_dead"},
    "django_dlq.deadletters": {"discard", "edit", "replay", "restore"},
    "django_dlq.decisions": {"ask_again", "commit", "rollback"},
    "django_dlq.switches": {"pause", "resume"},
    "django_dlq.testing": {"CapturedMessages", "DrainError", "Drained", "captured_messages", "drain"},
}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_exactly_its_public_names(room):
    module = import_module(room)

    assert len(module.__all__) == len(set(module.__all__))
    assert set(module.__all__) == ROOMS[room]
    for name in module.__all__:
        assert getattr(module, name).__doc__


def test_the_package_itself_is_empty():
    assert Path(django_dlq.__file__).read_text() == ""


CODES = {
    "DlqError": "error",
    "PublishError": "not_published",
    "OutsideTransaction": "outside_transaction",
    "InsideTransaction": "inside_transaction",
    "InvalidMessage": "invalid_message",
    "BodyNotSerializable": "body_not_serializable",
    "MessageTooLarge": "message_too_large",
    "UnreadableBody": "unreadable_body",
    "BrokerError": "broker_error",
    "BrokerUnavailable": "broker_unavailable",
    "MessageRefused": "message_refused",
    "RejectedTogether": "rejected_together",
    "TopicUnavailable": "topic_unavailable",
    "HeldBack": "held_back",
    "LeaseLost": "lease_lost",
    "RelayIsOff": "relay_is_off",
    "HandlerDecision": "handler_decision",
    "RetryLater": "retry_later",
    "Reject": "rejected",
    "Skip": "skipped",
    "DependencyDown": "dependency_down",
    "UnknownHandler": "unknown_handler",
    "HandlerConflict": "handler_conflict",
    "Expired": "expired",
    "SwallowedError": "swallowed_error",
    "TimeLimitExceeded": "time_limit_exceeded",
    "ProcessDied": "process_died",
    "GroupIsStopped": "group_is_stopped",
    "HalfMessageError": "half_message_error",
    "DecidedOtherwise": "decided_otherwise",
    "UnknownHalfMessage": "unknown_half_message",
    "UnknownChecker": "unknown_checker",
    "CheckerConflict": "checker_conflict",
    "CheckerUnreachable": "checker_unreachable",
    "InvalidVerdict": "invalid_verdict",
    "BadAnswer": "bad_answer",
    "TopicForbidden": "topic_forbidden",
    "IdempotencyKeyReused": "idempotency_key_reused",
    "DeskError": "desk_error",
    "IllegalTransition": "illegal_transition",
    "ReasonRequired": "reason_required",
    "InvalidSwitch": "invalid_switch",
    "UnknownDependency": "unknown_dependency",
}


def errors():
    return {
        name: each
        for name, each in vars(exceptions).items()
        if isinstance(each, type) and each.__module__ == exceptions.__name__
    }


def test_every_error_has_its_stable_code():
    assert {name: each.code for name, each in errors().items()} == CODES


def test_every_error_is_one_of_this_apps():
    assert all(issubclass(each, exceptions.DlqError) for each in errors().values())


def test_the_tree_at_the_top_of_the_file_names_every_error():
    tree = exceptions.__doc__

    assert [name for name in CODES if f"{name} " not in tree.replace("\n", " ")] == []
