from django.core.checks import run_checks

from django_dlq import inbox
from tests.checks.found import found


def test_a_handler_of_an_unknown_broker_is_found(registry):
    inbox.handler("orders", group="shipping", broker="events")(print)

    (message,) = [each for each in run_checks(tags=["django_dlq"]) if each.id == "django_dlq.E050"]
    assert "builtins.print" in message.msg
    assert "'events'" in message.msg
    assert found() == ["E050"]
