from datetime import timedelta

import pytest
from django.test import override_settings

from django_dlq.models import BrokerOutage, OutboxMessage, RelayLane, RelayProcess, in_future

pytestmark = [pytest.mark.django_db, pytest.mark.once]

MINUTE = timedelta(minutes=1)
IDLE = "No relay runs,"


def page(client, name, path="", **query):
    response = client.get(f"/admin/django_dlq/{name}/{path}", query)
    assert response.status_code == 200
    return response.content.decode()


def run_relay(owner, *lanes, lease=MINUTE):
    RelayProcess.objects.create(owner=owner, alive_until=in_future(lease), sent=1234, rate=50.5)
    for lane in lanes:
        RelayLane.objects.create(lane=lane, owner=owner, epoch=3, leased_until=in_future(lease))


def wait(**columns):
    OutboxMessage.objects.create(topic="orders", message_id="id-1", message_key="order-1", body=b"{}", **columns)


def test_the_relays_are_listed_with_their_lanes_and_how_fast_they_send(admin_client):
    run_relay("host:1", 0, 1, 2, 40)
    run_relay("host:2")
    shown = page(admin_client, "relayprocess")
    assert "0-2, 40" in shown
    assert "2 relays run · 4 of 64 lanes are taken · 101.0 messages per second" in shown
    assert ">50.5<" in shown
    assert "silent since" not in shown


def test_a_relay_that_has_fallen_silent_is_shown_as_that(admin_client):
    run_relay("host:1", 0, lease=-MINUTE)
    shown = page(admin_client, "relayprocess")
    assert "silent since" in shown
    assert "0 relays run · 0 of 64 lanes are taken" in shown


def test_a_relay_has_a_page_with_the_brokers_that_it_cannot_reach(admin_client):
    run_relay("host:1", 7)
    BrokerOutage.objects.begin("host:1", "second", "connection <refused>")
    shown = page(admin_client, "relayprocess", "host_3A1/change/")
    assert "Broker second unreachable since" in shown
    assert "connection &lt;refused&gt;" in shown
    assert "1,234" in shown


def test_the_lanes_say_who_has_them_and_which_are_free(admin_client):
    run_relay("host:1", 0)
    run_relay("gone", 1, lease=-MINUTE)
    shown = page(admin_client, "relaylane").partition("result_list")[2]
    assert shown.count('field-lease">2') == 1
    assert shown.count(">free<") == 1
    assert ">gone<" not in shown.partition("changelist-filter")[0]


def test_the_lanes_of_one_relay_can_be_looked_at(admin_client):
    run_relay("host:1", 0, 1)
    run_relay("host:2", 2)
    shown = page(admin_client, "relaylane", owner="host:2").partition("result_list")[2]
    assert shown.count('field-lease">2') == 1


def test_all_lanes_are_on_one_page_which_takes_few_queries(admin_client, django_assert_max_num_queries):
    run_relay("host:1", *range(64))
    with django_assert_max_num_queries(14):
        shown = page(admin_client, "relaylane")
    assert shown.count('field-lease">2') == 64


def test_a_lane_has_a_page(admin_client):
    run_relay("host:1", 5)
    assert "Leased until" in page(admin_client, "relaylane", "5/change/")


@pytest.mark.parametrize("name", ["relayprocess", "relaylane"])
def test_where_nothing_has_run_yet_it_says_how_to_start(name, admin_client):
    shown = page(admin_client, name)
    assert "manage.py dlq_relay" in shown
    assert "✔" not in shown
    assert IDLE not in shown


@pytest.mark.parametrize("name", ["outboxmessage", "relayprocess", "relaylane"])
def test_while_messages_wait_and_no_relay_runs_every_page_warns(name, admin_client):
    wait()
    run_relay("gone", 1, lease=-MINUTE)
    assert IDLE in page(admin_client, name)
    run_relay("host:1")
    assert IDLE not in page(admin_client, name)


def test_messages_whose_time_has_not_come_need_no_relay_yet(admin_client):
    wait(due_at=in_future(MINUTE))
    assert IDLE not in page(admin_client, "outboxmessage")


@override_settings(DLQ_OUTBOX_RETENTION=timedelta(days=1))
def test_where_debezium_sends_no_relay_is_missed(admin_client):
    wait()
    assert IDLE not in page(admin_client, "outboxmessage")


@pytest.mark.parametrize("name", ["outboxmessage", "relayprocess", "relaylane"])
def test_every_page_says_since_when_a_broker_is_unreachable_and_why(name, admin_client):
    run_relay("host:1")
    run_relay("host:2")
    assert "unreachable" not in page(admin_client, name)
    BrokerOutage.objects.create(relay_id="host:1", broker="default", since=in_future(-5 * MINUTE), reason="<no> route")
    shown = page(admin_client, name)
    assert "<strong>Broker <bdi>default</bdi> unreachable</strong> since" in shown
    assert "5\xa0minutes ago" in shown
    assert "for 1 of 2 relays" in shown
    assert "&lt;no&gt; route" in shown
