"""manage.py dlq_schedule."""

import json
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.core.management import CommandError, call_command
from django.test import modify_settings, override_settings
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from django_dlq import celery_tasks, inbox
from django_dlq.registry import Registry

# Where the schedule is used, it is on every database: tests/scenarios/test_celery.py.
pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture(autouse=True)
def groups(registry: Registry) -> Registry:
    """Have handlers of two groups."""
    inbox.handler("orders", group="shipping")(print)
    inbox.handler("orders", group="billing")(repr)
    return registry


def schedule(*arguments: str) -> None:
    call_command("dlq_schedule", *arguments, verbosity=0)


def rows() -> list[dict[str, Any]]:
    return list(PeriodicTask.objects.order_by("name").values())


def test_there_is_one_task_for_each_machine_and_one_consumer_for_each_group() -> None:
    schedule()
    written = {
        task.name: (task.task, json.loads(task.kwargs), str(task.interval)) for task in PeriodicTask.objects.all()
    }
    assert written == {
        "django_dlq: relay": ("django_dlq.celery_tasks.relay", {}, "every 5 seconds"),
        "django_dlq: consume billing": ("django_dlq.celery_tasks.consume", {"group": "billing"}, "every 30 seconds"),
        "django_dlq: consume shipping": ("django_dlq.celery_tasks.consume", {"group": "shipping"}, "every 30 seconds"),
        "django_dlq: retry": ("django_dlq.celery_tasks.retry", {}, "every 10 seconds"),
        "django_dlq: checkback": ("django_dlq.celery_tasks.checkback", {}, "every 10 seconds"),
        "django_dlq: prune": ("django_dlq.celery_tasks.prune", {}, "every 3600 seconds"),
    }
    assert all(task.enabled for task in PeriodicTask.objects.all())


def test_every_task_that_is_scheduled_exists() -> None:
    schedule()
    assert celery_tasks.relay.name in current_app.tasks
    assert set(PeriodicTask.objects.values_list("task", flat=True)) <= set(current_app.tasks)


def test_a_run_that_found_no_worker_is_gone_when_the_next_comes() -> None:
    schedule()
    for task in PeriodicTask.objects.all():
        assert task.expire_seconds == task.interval.every


def test_running_it_twice_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    schedule()
    before, told_beat = rows(), PeriodicTasks.last_change()
    call_command("dlq_schedule")
    assert rows() == before
    assert PeriodicTasks.last_change() == told_beat
    assert capsys.readouterr().out.count("kept") == 6


def test_a_task_that_somebody_has_disabled_stays_disabled() -> None:
    schedule()
    PeriodicTask.objects.filter(name="django_dlq: relay").update(enabled=False)
    schedule("--relay-every", "7")
    relay = PeriodicTask.objects.get(name="django_dlq: relay")
    assert (relay.enabled, relay.interval.every) == (False, 7)


def test_a_schedule_that_somebody_has_chosen_stays_until_told_otherwise() -> None:
    schedule()
    nightly = CrontabSchedule.objects.create(minute="0", hour="3")
    PeriodicTask.objects.filter(name="django_dlq: prune").update(crontab=nightly, interval=None)
    schedule()
    assert PeriodicTask.objects.get(name="django_dlq: prune").crontab == nightly
    schedule("--prune-every", "60")
    prune = PeriodicTask.objects.get(name="django_dlq: prune")
    assert (prune.crontab, prune.interval.every) == (None, 60)


def test_a_task_that_somebody_lets_end_one_day_still_does() -> None:
    schedule()
    day = "2030-01-01T00:00:00Z"
    PeriodicTask.objects.filter(name="django_dlq: prune").update(expires=day, expire_seconds=None)
    schedule("--prune-every", "60")
    prune = PeriodicTask.objects.get(name="django_dlq: prune")
    assert (f"{prune.expires:%Y}", prune.expire_seconds, prune.interval.every) == ("2030", None, 60)


def test_a_task_that_was_bent_is_put_right() -> None:
    schedule()
    PeriodicTask.objects.filter(name="django_dlq: consume billing").update(kwargs='{"group": "other"}')
    schedule()
    assert json.loads(PeriodicTask.objects.get(name="django_dlq: consume billing").kwargs) == {"group": "billing"}


def test_the_consumer_of_a_group_that_is_gone_is_removed(groups: Registry) -> None:
    schedule()
    groups.handlers = groups.of_group("billing")
    schedule()
    consumers = PeriodicTask.objects.filter(name__contains="consume")
    assert list(consumers.values_list("name", flat=True)) == ["django_dlq: consume billing"]


def test_equal_intervals_that_are_there_already_are_used() -> None:
    for _ in range(2):
        IntervalSchedule.objects.create(every=5, period="seconds")
    schedule()
    assert IntervalSchedule.objects.filter(every=5).count() == 2


def test_remove_takes_its_own_tasks_and_no_others() -> None:
    interval = IntervalSchedule.objects.create(every=5, period="seconds")
    strangers = {
        "nightly prune": "django_dlq.celery_tasks.prune",
        "django_dlq: report": "shop.tasks.report",
        "django_dlq: relay again": "django_dlq.celery_tasks.relay",
    }
    for name, task in strangers.items():
        PeriodicTask.objects.create(name=name, task=task, interval=interval)
    schedule()
    schedule("--remove")
    assert set(PeriodicTask.objects.values_list("name", flat=True)) == set(strangers)


@pytest.mark.parametrize("value", ["0", "-5", "1.5", "five", "86401", "999999999999", "inf", "nan"])
def test_an_interval_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(CommandError, match="a whole number from 1 to 86400"):
        schedule(f"--relay-every={value}")
    assert not PeriodicTask.objects.exists()


@modify_settings(INSTALLED_APPS={"remove": "django_celery_beat"})
def test_without_django_celery_beat_it_says_what_to_install() -> None:
    with pytest.raises(CommandError, match=r"django_dlq\[celery\]"):
        schedule()


def test_beside_debezium_the_relay_is_taken_off_the_schedule() -> None:
    schedule()
    with override_settings(DLQ_OUTBOX_RETENTION=timedelta(days=3)):
        schedule()
    tasks = [row["task"].rpartition(".")[2] for row in rows()]
    assert sorted(tasks) == ["checkback", "consume", "consume", "prune", "retry"]
