"""Run the system checks, and name what they find."""

from django.core.checks import run_checks


def found(*tags):
    """Return the ids of what `manage.py check` says about this app, and see to it that each tells what to do."""
    databases = ["default"] if "database" in tags else None
    messages = [each for each in run_checks(tags=tags or ["django_dlq"], databases=databases) if "dlq" in each.id]
    assert all(message.msg and message.hint for message in messages)
    return sorted(message.id.removeprefix("django_dlq.") for message in messages)
