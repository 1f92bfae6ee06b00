"""One Celery task for each machine."""

import subprocess
import sys
from datetime import timedelta

import pytest
from celery import Task
from django.db import transaction
from django.test import override_settings

from django_dlq import celery_tasks, inbox, outbox
from django_dlq.exceptions import RelayIsOff, UnknownHandler
from django_dlq.message import ReceivedMessage
from django_dlq.models import DeadLetter, OutboxMessage, PublishedMessage, RelayLane
from django_dlq.registry import Registry
from tests.shop.models import Box

TASKS = (
    celery_tasks.relay,
    celery_tasks.consume,
    celery_tasks.retry,
    celery_tasks.checkback,
    celery_tasks.prune,
)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_no_task_piles_up_keeps_results_or_runs_for_ever(task: Task[..., int]) -> None:
    assert task.ignore_result is True
    assert task.acks_late is False
    assert task.expires == 60
    assert task.time_limit is not None
    assert task.time_limit > celery_tasks.SECONDS


@pytest.mark.django_db(transaction=True)
def test_a_message_goes_all_its_way_by_tasks(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_tasks, "PATIENCE", 0.0)
    attempts = []

    @inbox.handler("orders", group="shipping", retry=inbox.RetryPolicy(delays=()))
    def pack(message: ReceivedMessage) -> None:
        attempts.append(message.attempt)
        Box.objects.create(order=message.json()["order"])

    with transaction.atomic():
        outbox.publish("orders", {"order": 7})
    assert celery_tasks.relay() == 1
    assert celery_tasks.consume("shipping") == 1
    assert celery_tasks.retry() == 0
    assert celery_tasks.checkback() == 0
    assert celery_tasks.prune() == 0
    assert Box.objects.get().order == "7"
    assert PublishedMessage.objects.count() == 1
    assert not DeadLetter.objects.exists()


@pytest.mark.django_db
def test_a_relay_that_comes_while_another_works_ends_at_once_and_sends_nothing(registry: Registry) -> None:
    RelayLane.objects.free()
    RelayLane.objects.take("another", range(64), timedelta(minutes=1))
    with transaction.atomic():
        outbox.publish("orders", {"order": 7})
    assert celery_tasks.relay() == 0
    assert OutboxMessage.objects.count() == 1


def test_a_group_without_handlers_fails_with_the_groups_that_there_are(registry: Registry) -> None:
    with pytest.raises(UnknownHandler, match="no handler has the group 'gone'"):
        celery_tasks.consume("gone")


@pytest.mark.once
def test_without_celery_the_error_names_the_extra() -> None:
    code = "import sys, django; django.setup(); sys.modules['celery'] = None; import django_dlq.celery_tasks"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert 'ImportError: The tasks need Celery: pip install "django_dlq[celery]"' in ended.stderr


@pytest.mark.django_db
def test_beside_debezium_the_relays_task_fails_and_sends_nothing() -> None:
    with transaction.atomic():
        outbox.publish("orders", {"order": 7})
    with override_settings(DLQ_OUTBOX_RETENTION=timedelta(days=3)), pytest.raises(RelayIsOff):
        celery_tasks.relay()
    assert OutboxMessage.objects.count() == 1
