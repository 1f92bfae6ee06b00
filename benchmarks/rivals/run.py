"""One turn of a rival."""

import json
import os
import subprocess

from benchmarks import database
from benchmarks.kafka import Cluster
from benchmarks.processes import ROOT
from benchmarks.rivals import environment
from benchmarks.rivals.known import Rival
from benchmarks.settings import DATABASES

PATIENCE = 240


class Failed(RuntimeError):
    """A rival could not do what was asked."""


def rate(rival: Rival, cluster: Cluster, *, hot: bool = False) -> float:
    """Let it fill its outbox and empty it; return messages per second, by its own clock."""
    messages = rival.hot_messages if hot else rival.messages
    name, topic = f"{database.NAME}_{rival.module}", cluster.topic()
    interpreter = environment.python(rival)
    database.recreate(name)
    try:
        answer = _run(
            [str(interpreter), "-c", f"from benchmarks.rivals.{rival.module} import main; main()"],
            PGDATABASE=name,
            BENCH_KAFKA=cluster.bootstrap,
            BENCH_TOPIC=topic,
            BENCH_MESSAGES=str(messages),
            BENCH_KEYS="hot" if hot else "distinct",
        )
        if (found := cluster.count(topic)) < messages:
            raise Failed(f"{found:,} of {messages:,} messages are in the topic")
        return messages / float(answer["seconds"])
    finally:
        database.drop(name)


def _run(command: list[str], **variables: str) -> dict[str, float]:
    server = DATABASES["default"]
    where = {"PGHOST": str(server["HOST"]), "PGPORT": str(server["PORT"]), "PGUSER": str(server["USER"])}
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | where | variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"not done after {PATIENCE} seconds") from error
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise Failed((done.stderr.strip().splitlines() or ["it said nothing"])[-1][:300])
    answer: dict[str, float] = json.loads(lines[-1])
    return answer
