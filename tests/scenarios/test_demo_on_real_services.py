"""`make demo ONCE=1 KAFKA=… DATABASE_URL=…`: the same story on a real Kafka and a database server."""

import os
import subprocess
import uuid
from urllib.parse import urlsplit

import pytest

from tests.scenarios.test_demo import COMMAND, OUTCOME, ROOT, environment, processes

DATABASE = "dlq_demo_test"
"""Created if it is missing, and kept: each run must get along with what earlier ones have left there."""


@pytest.mark.kafka
@pytest.mark.timeout(240)
def test_on_real_services_the_demo_keeps_every_promise(kafka: str) -> None:
    mark, server = uuid.uuid4().hex, urlsplit(os.environ["DATABASE_URL"])
    database = server._replace(path=f"/{DATABASE}").geturl()
    variables = environment(mark, ONCE="1", KAFKA=kafka, DATABASE_URL=database)
    done = subprocess.run(COMMAND, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=220, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert OUTCOME.fullmatch(done.stdout.splitlines()[-1]), done.stdout
    assert not processes(mark)
