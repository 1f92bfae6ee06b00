import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission

from django_dlq import inbox
from django_dlq.models import Circuit, Dependency, State, in_future
from tests.admin.factories import letter, person
from tests.outages import NAME, circuit, open_by_itself

pytestmark = [pytest.mark.django_db, pytest.mark.once]

LIST = "/admin/django_dlq/dependency/"
ADD, ROW = f"{LIST}add/", f"{LIST}{NAME}/"
EVERY = ("view_dependency", "open_dependency", "close_dependency", "replay_deadletter", "view_deadletter")


@pytest.fixture(autouse=True)
def handler(registry):
    inbox.handler("orders", group="shipping", depends_on=NAME)(print)


@pytest.fixture
def staff(client):
    """Sign in somebody who may do everything here."""
    return sign_in(client, *EVERY)


def sign_in(client, *names):
    user = person(name="ops", view=False)
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    return client


def content(response):
    return " ".join(response.content.decode().split())


def test_a_circuit_is_opened_and_closed_with_a_name_and_a_reason(staff):
    page = staff.post(ADD, {"dependency": NAME, "reason": "they <b>migrate</b>"}, follow=True)
    row = circuit()
    assert (row.state, row.reason) == (Circuit.OPEN, "they <b>migrate</b>")
    assert row.actor_name.startswith("ops")
    assert "they &lt;b&gt;migrate" in content(page)
    assert "Nothing was changed" in content(staff.post(ADD, {"dependency": NAME, "reason": "me too"}, follow=True))

    page = staff.post(f"{ROW}delete/", {"reason": "they are done"}, follow=True)
    assert "The circuit of logistics is closed." in content(page)
    assert circuit().state == Circuit.CLOSED
    assert "Nothing was changed" in content(staff.post(f"{ROW}delete/", {"reason": "again"}, follow=True))
    said = list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))
    assert said == ["opened: they <b>migrate</b>", "closed: they are done"]


@pytest.mark.parametrize("form", [{"dependency": NAME, "reason": " "}, {"dependency": "other", "reason": "why"}, {}])
def test_a_form_without_a_reason_or_for_what_nobody_needs_opens_nothing(staff, form):
    assert "Nothing was changed" in content(staff.post(ADD, form))
    assert not Dependency.objects.exists()


def test_looking_does_nothing(staff):
    open_by_itself()
    letter(dependency=NAME)
    for page in (LIST, f"{ADD}?dependency={NAME}", f"{ROW}change/", f"{ROW}delete/", f"{ROW}replay/"):
        assert staff.get(page).status_code == 200
    assert (circuit().state, circuit().replay_by) == (Circuit.OPEN, "")
    assert f'value="{NAME}" selected' in content(staff.get(f"{ADD}?dependency={NAME}"))


def test_the_page_says_why_it_is_open_and_what_died_of_it(staff):
    open_by_itself(error_class="ConnectionError", error_message="nobody <i>listens</i>", trials=3)
    for number in range(2):
        letter(dependency=NAME, message_key=str(number))
    letter(state=State.RETRYING, dependency=NAME, message_key="tried again")
    letter(message_key="another")
    page = content(staff.get(f"{ROW}change/"))

    assert "ConnectionError: nobody &lt;i&gt;listens" in page
    assert "builtins.print" in page
    assert "Dead letters that died of it: 2" in page
    listed = content(staff.get(f"/admin/django_dlq/deadletter/?dependency={NAME}"))
    assert "another" not in listed
    assert "2 dead letters" in listed
    assert "nobody &lt;i&gt;listens" in content(staff.get(LIST))


def test_what_died_is_replayed_for_the_person_who_asks(staff):
    open_by_itself(state=Circuit.CLOSED)
    letter(dependency=NAME)
    assert "1 letter died of it" in content(staff.get(f"{ROW}replay/"))
    page = staff.post(f"{ROW}replay/", {"reason": "they are back"}, follow=True)

    assert "1 letter will be replayed." in content(page)
    assert "They are being replayed." in content(page)
    assert circuit().replay_by.startswith("ops")


@pytest.mark.parametrize(
    ("page", "needed"),
    [(ADD, "open_dependency"), (f"{ROW}delete/", "close_dependency"), (f"{ROW}replay/", "replay_deadletter")],
)
def test_each_act_takes_its_own_permission_which_is_checked_where_it_is_done(client, page, needed):
    open_by_itself(state=Circuit.HALF_OPEN)
    letter(dependency=NAME)
    sign_in(client, *(name for name in EVERY if name != needed))
    for answer in (client.get(page), client.post(page, {"dependency": NAME, "reason": "no"})):
        assert answer.status_code == 403
    assert page not in content(client.get(f"{ROW}change/"))
    assert page not in content(client.get(LIST))
    sign_in(client, needed)
    assert client.get(page).status_code == 403
    assert (circuit().state, circuit().actor_name, circuit().replay_by) == (Circuit.HALF_OPEN, "", "")


def test_a_circuit_that_nobody_knows_is_refused(staff):
    assert staff.get(f"{LIST}other/delete/").status_code == 403


def test_a_dependency_of_any_name_has_its_pages(staff):
    Dependency.objects.create(name="crm/eu_3A?", state=Circuit.OPEN, opened_at=in_future(timedelta(0)))
    (row,) = staff.get(LIST).context["cl"].result_list
    page = content(staff.get(f"{LIST}{quote(row.pk)}/change/"))
    (close_url,) = re.findall(r'href="([^"]+/delete/)"', page)
    assert "Close the circuit of crm/eu_3A??" in content(staff.get(close_url))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"state": Circuit.CLOSED, "opened_at": None}, "Handlers that need it run."),
        ({"state": Circuit.HALF_OPEN}, "one message is tried"),
        ({}, "it is probed"),
        ({"actor_name": "ana", "reason": "they migrate"}, "until a person closes"),
    ],
)
def test_the_page_says_what_each_state_means(staff, columns, words):
    open_by_itself(**columns)
    assert words in content(staff.get(f"{ROW}change/"))
    assert staff.get(LIST).status_code == 200


def test_a_list_without_rows_says_so(staff):
    assert "No dependency has failed yet." in content(staff.get(LIST))
