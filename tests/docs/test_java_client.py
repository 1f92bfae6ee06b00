"""The client in Java that the manual shows: it prepares, works, dies, and is asked."""

import base64
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from django_dlq.checkback import CheckBack
from django_dlq.models import Answer, HalfMessage, HalfMessageCheck, HalfState, OutboxMessage, Producer
from tests.docs.pages import DOCS

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

PAGE = DOCS / "how-to" / "publish-from-other-services.md"


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile what stands on the page."""
    folder = tmp_path_factory.mktemp("java")
    (source,) = re.findall(r"```java\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (folder / "Billing.java").write_text(source)
    try:
        subprocess.run(["javac", "Billing.java"], cwd=folder, check=True)
    except FileNotFoundError:
        pytest.skip("there is no javac; `make services` installs it")
    return folder


@dataclass
class Billing:
    """The service in Java, whose every process is a new one."""

    classes: Path
    environment: dict[str, str]
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def run(self, *arguments: str) -> int:
        return subprocess.run(self._command(*arguments), env=self.environment, timeout=60, check=False).returncode

    def answer(self) -> str:
        """Start its server, and return the URL where it is asked."""
        command = self._command("answer", "0")
        server = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True)
        self.running.append(server)
        assert server.stdout
        return f"http://127.0.0.1:{server.stdout.readline().split()[-1]}/check"

    def _command(self, *arguments: str) -> list[str]:
        return ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", str(self.classes), "Billing", *arguments]


@pytest.fixture
def billing(classes: Path, tmp_path: Path, live_server: Any, settings: Any) -> Iterator[Billing]:
    user = User.objects.create_user("billing", password="practise")
    producer = Producer.objects.create(name="billing", user=user, topics=["payments"], callback_url="http://nowhere/")
    secret = producer.replace_secret().reveal()
    service = Billing(
        classes,
        {
            "PATH": os.environ["PATH"],
            "CHARGES": str(tmp_path / "charges"),
            "DLQ_API": f"{live_server.url}/dlq/",
            "DLQ_AUTHORIZATION": f"Basic {base64.b64encode(b'billing:practise').decode()}",
            "DLQ_SECRET": secret,
        },
    )
    try:
        producer.callback_url = service.answer()
        producer.save()
        settings.DLQ_CHECKBACK_HOSTS = [producer.callback_url.split("/")[2]]
        settings.DLQ_CHECKBACK_ALLOW_HTTP = settings.DLQ_CHECKBACK_ALLOW_PRIVATE = True
        settings.DLQ_CHECKBACK_AFTER = timedelta(0)
        yield service
    finally:
        for process in service.running:
            process.kill()
            process.communicate()


def check_back(until: int) -> None:
    """Ask until there are so many answers."""
    machine = CheckBack()
    enough = threading.Event()
    while HalfMessageCheck.objects.count() < until and not enough.wait(0.01):
        machine.run_once()
    machine.close()


def test_a_charge_is_published_when_it_is_committed(billing: Billing) -> None:
    assert billing.run("charge", "A-17") == 0
    half, row = HalfMessage.objects.get(), OutboxMessage.objects.get()
    assert (half.state, half.idempotency_key, half.checks) == (HalfState.COMMITTED, "charge-A-17", 0)
    assert (row.topic, row.key, row.message_key, row.body_bytes) == (
        "payments",
        "A-17",
        "charge-A-17",
        b'{"order":"A-17"}',
    )


def test_a_charge_whose_process_died_is_published_after_a_check(billing: Billing) -> None:
    assert billing.run("charge-and-die", "A-18") == 1
    assert HalfMessage.objects.get().state == HalfState.PREPARED
    assert not OutboxMessage.objects.exists()
    check_back(1)
    half = HalfMessage.objects.get()
    assert (half.state, half.decided_by, half.checks) == (HalfState.COMMITTED, "check", 1)
    assert OutboxMessage.objects.get().message_id == half.message_id


def test_the_client_answers_nobody_who_cannot_sign(billing: Billing) -> None:
    assert billing.run("charge-and-die", "A-19") == 1
    Producer.objects.update(secret="another")
    check_back(1)
    (check,) = HalfMessageCheck.objects.all()
    assert (check.answer, check.error_class.rpartition(".")[2]) == (Answer.UNKNOWN, "BadAnswer")
    assert "answered 401" in check.error_message
    assert not OutboxMessage.objects.exists()


def test_a_client_that_is_gone_uses_up_no_check(billing: Billing) -> None:
    assert billing.run("charge-and-die", "A-20") == 1
    billing.running[0].kill()
    billing.running[0].wait()
    check_back(1)
    (check,) = HalfMessageCheck.objects.all()
    assert (check.answer, HalfMessage.objects.get().checks) == (Answer.UNREACHABLE, 0)
    assert "cannot be reached" in check.error_message


def test_a_charge_that_was_not_made_is_unknown_at_first(billing: Billing) -> None:
    assert billing.run("charge-and-die", "A-21") == 1
    Path(billing.environment["CHARGES"]).unlink()
    check_back(1)
    assert HalfMessageCheck.objects.get().answer == Answer.UNKNOWN
    HalfMessage.objects.update(checks=5, next_check_at=HalfMessage.objects.get().prepared_at)
    check_back(2)
    assert HalfMessage.objects.get().state == HalfState.ROLLED_BACK
