"""How the tests use the editor: as a browser would."""

from django.urls import reverse

from django_dlq.models import DeadLetter, OutboxMessage


def url(row):
    return reverse("admin:django_dlq_deadletter_edit", args=[row.pk])


def as_browser(text):
    """Write line ends as every browser sends them."""
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def fields(page):
    """Return the form's fields with what the page shows in them, as a browser would send them."""
    form, rows = page.context["form"], page.context["header_rows"]
    sent = {}
    for one in [form, *([rows.management_form, *rows.forms] if rows is not None else [])]:
        for field in one:
            value = field.value()
            if value not in (None, False):
                sent[field.html_name] = "on" if value is True else as_browser(str(value))
    return sent | {"reason": "a typing error"}


def opened(client, row):
    return fields(client.get(url(row)))


def send(client, row, **changed):
    data = opened(client, row) | changed
    preview = client.post(url(row), data | {"preview": "1"})
    assert preview.templates[0].name == "admin/django_dlq/deadletter/edit_preview.html", preview.context["form"].errors
    return client.post(url(row), dict(preview.context["typed"]) | {"send": "1"})


def copy_of(row):
    return DeadLetter.objects.get(corrects=row)


def refused(client, row, **changed):
    answer = client.post(url(row), opened(client, row) | changed)
    assert answer.status_code == 200
    assert answer.templates[0].name == "admin/django_dlq/deadletter/edit.html"
    assert not OutboxMessage.objects.exists()
    return answer
