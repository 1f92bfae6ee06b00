import pytest

from django_dlq import signals, stops
from django_dlq.exceptions import ReasonRequired
from django_dlq.models import StoppedGroup
from tests.stopped import stop

pytestmark = pytest.mark.django_db


def test_who_resumes_a_group_and_why_is_kept(admin_user):
    stop()
    ended = stops.resume("shipping", actor=admin_user, reason=" mended ")

    row = StoppedGroup.objects.get()
    assert ended == row
    assert not row.is_standing
    assert (row.actor, row.actor_name, row.reason) == (admin_user, admin_user.get_username(), "mended")
    assert row.resumed_at >= row.stopped_at


def test_a_program_resumes_one_too_and_that_is_told_after_the_commit(django_capture_on_commit_callbacks):
    told = []

    def hear(stop, actor_name, reason, **_):
        told.append((stop.group, actor_name, reason))

    signals.group_resumed.connect(hear)
    stop()
    with django_capture_on_commit_callbacks(execute=True):
        stops.resume("shipping", actor="deploy", reason="mended")
        assert told == []
    signals.group_resumed.disconnect(hear)

    assert told == [("shipping", "deploy", "mended")]


def test_what_is_not_stopped_in_that_release_is_not_resumed(settings):
    stop(release="r1")
    settings.DLQ_RELEASE = "r2"

    assert stops.resume("shipping", actor="ana", reason="mended") is None
    assert stops.resume("billing", release="r1", actor="ana", reason="mended") is None
    assert stops.resume("shipping", release="r1", actor="ana", reason="mended")
    assert stops.resume("shipping", release="r1", actor="ana", reason="mended") is None


def test_without_a_reason_nothing_is_resumed():
    stop()
    with pytest.raises(ReasonRequired):
        stops.resume("shipping", actor="ana", reason=" ")

    assert StoppedGroup.objects.get().is_standing


def test_a_group_that_stops_again_has_a_stop_of_its_own():
    stop()
    stops.resume("shipping", actor="ana", reason="mended")
    stop()

    assert [row.is_standing for row in StoppedGroup.objects.order_by("pk")] == [False, True]
