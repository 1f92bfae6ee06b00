import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from django_dlq import stops
from django_dlq.models import StoppedGroup
from tests.admin.factories import letter, person
from tests.stopped import stop

pytestmark = [pytest.mark.django_db, pytest.mark.once]

LIST = "/admin/django_dlq/stoppedgroup/"
LETTERS = "/admin/django_dlq/deadletter/"
EVERY = ("view_stoppedgroup", "resume_stoppedgroup")


def may(user, *names):
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    return user


@pytest.fixture
def staff(client):
    """Sign in somebody who may see groups and let them go on."""
    client.force_login(may(person(name="ops"), *EVERY, "view_deadletter"))
    return client


def resume_url(row):
    return f"{LIST}{row.pk}/resume/"


def content(response):
    return " ".join(response.content.decode().split())


def test_the_list_shows_what_is_stopped_and_who_let_what_go_on(staff, settings):
    settings.DLQ_RELEASE = "r2"
    stop(release="r1", error_message="<b>no</b> such\ncolumn")
    stops.resume("shipping", release="r1", actor="ana", reason="mended & tested")
    stop(release="r1")
    stop("billing", release="r2")
    page = content(staff.get(LIST))

    assert "&lt;b&gt;no&lt;/b&gt; such" in page
    assert "resumed by ana" in page
    assert "mended &amp; tested" in page
    assert page.count("‖</span> stopped") == 2
    assert page.count("not the release that runs here") == 1
    assert "50 of 50" in page


def test_resuming_asks_why_and_keeps_who_did_it(staff):
    row = stop()
    assert resume_url(row) in content(staff.get(f"{LIST}{row.pk}/change/"))
    assert "shop.models.NoSuchProduct" in content(staff.get(resume_url(row)))
    assert staff.post(resume_url(row), {"reason": " "}).context["form"].errors["reason"]
    assert StoppedGroup.objects.get().is_standing

    done = content(staff.post(resume_url(row), {"reason": "mended"}, follow=True))
    assert "Resumed: shipping." in done
    row.refresh_from_db()
    assert not row.is_standing
    assert row.actor_name.startswith("ops-")
    page = content(staff.get(f"{LIST}{row.pk}/change/"))
    assert "Somebody has let this group go on." in page
    assert "mended" in page
    assert resume_url(row) not in page


def test_looking_does_nothing(staff):
    row = stop()
    staff.get(resume_url(row), {"reason": "why not"})
    assert StoppedGroup.objects.get().is_standing


def test_what_somebody_else_has_resumed_is_told_and_nothing_is_changed(staff, monkeypatch):
    row = stop()
    gone = "It is not stopped any more. Nothing was changed."
    with monkeypatch.context() as patches:
        patches.setattr("django_dlq.stops.resume", lambda *_, **__: None)
        assert gone in content(staff.post(resume_url(row), {"reason": "mended"}, follow=True))
    stops.resume("shipping", actor="ana", reason="mended")
    assert gone in content(staff.post(resume_url(row), {"reason": "me too"}, follow=True))
    assert gone in content(staff.get(f"{LIST}999/resume/", follow=True))
    row.refresh_from_db()
    assert row.actor_name == "ana"


@pytest.mark.parametrize("missing", EVERY)
def test_each_act_is_refused_without_its_permission(client, missing):
    row = stop()
    client.force_login(may(person(), *set(EVERY) - {missing}))
    assert (client.get(LIST).status_code == 403) is (missing == "view_stoppedgroup")
    assert client.get(resume_url(row)).status_code == 403
    assert client.post(resume_url(row), {"reason": "why not"}).status_code == 403
    assert StoppedGroup.objects.get().is_standing
    if missing == "resume_stoppedgroup":
        page = content(client.get(f"{LIST}{row.pk}/change/"))
        assert resume_url(row) not in page
        assert "Show the letters" not in page


def test_a_forged_request_is_refused(admin_user):
    row = stop()
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post(resume_url(row), {"reason": "why not"}).status_code == 403
    assert StoppedGroup.objects.get().is_standing


def test_above_the_letters_stands_which_group_is_stopped_in_this_release(staff, settings):
    settings.DLQ_RELEASE = "r2"
    stop("billing", release="r1")
    assert "is stopped" not in content(staff.get(LETTERS))
    stop("<shipping>", release="r2", error_message="<script>alert(1)</script>")
    page = content(staff.get(LETTERS))

    assert "Group <bdi>&lt;shipping&gt;</bdi> is stopped</strong>" in page
    assert "<script>alert" not in page
    assert f'href="{LIST}"' in page


def test_who_may_not_see_groups_is_told_without_a_link(client):
    client.force_login(may(person(), "view_deadletter"))
    stop()
    page = content(client.get(LETTERS))

    assert "is stopped</strong>" in page
    assert f'href="{LIST}"' not in page


def test_from_a_stop_one_comes_to_its_letters(staff):
    row = stop()
    theirs, _other = letter(fingerprint=row.fingerprint), letter(fingerprint="e" * 32)
    address = f"{LETTERS}?fingerprint={row.fingerprint}&amp;state=all"
    assert address in content(staff.get(f"{LIST}{row.pk}/change/"))
    found = staff.get(address.replace("&amp;", "&")).context["cl"].result_list

    assert [each.pk for each in found] == [theirs.pk]
