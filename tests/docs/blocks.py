"""What is done with the blocks of each language."""

import ast
import configparser
import json
import tomllib

import yaml
from django.db import connection
from django.test import override_settings
from sybil import Example
from sybil.evaluators.python import PythonEvaluator
from sybil.typing import Evaluator

from django_dlq.checks.brokers import check_brokers
from django_dlq.checks.settings import check_settings
from django_dlq.conf import Settings
from tests.docs import connect, console

RUN_PYTHON = PythonEvaluator()


def run_python(example: Example) -> None:
    """Run a block, and put settings that it shows before the system checks."""
    RUN_PYTHON(example)
    shown = {name: example.namespace[name] for name in _assigned(example.parsed) if name.startswith("DLQ_")}
    for name in shown:
        assert hasattr(Settings, name), f"there is no setting {name}"
    with override_settings(**shown):
        assert [*check_brokers(), *check_settings()] == []


def run_sql(example: Example) -> None:
    """Run each statement of a block."""
    for statement in filter(str.strip, example.parsed.split(";")):
        with connection.cursor() as cursor:
            cursor.execute(statement)
            cursor.fetchall()


def parse_ini(example: Example) -> None:
    """Parse a block, and check the commands that a systemd unit starts."""
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(example.parsed)
    for line in (unit[section].get("ExecStart") for section in unit.sections()):
        _check_manage(line.split() if line else [])


def parse_yaml(example: Example) -> None:
    """Parse a block, and check the commands that it starts."""
    _look_for_commands(list(yaml.safe_load_all(example.parsed)))


EVALUATORS: dict[str, Evaluator] = {
    "console": console.check,
    "ini": parse_ini,
    "json": lambda example: (json.loads(example.parsed), None)[1],
    "properties": connect.compare,
    "python": run_python,
    "sql": run_sql,
    "toml": lambda example: (tomllib.loads(example.parsed), None)[1],
    "yaml": parse_yaml,
}
# Run by tests/postgresql/test_partitioning.py, in a transaction that is rolled back, and by test_java_client.py.
ELSEWHERE = {"postgresql", "java"}
PICTURES = {"text", "mermaid"}
DIRECTIVES = {"{toctree}"}


def _assigned(source: str) -> list[str]:
    targets = [target for node in ast.parse(source).body if isinstance(node, ast.Assign) for target in node.targets]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _look_for_commands(node: object) -> None:
    if isinstance(node, dict):
        for value in node.values():
            _look_for_commands(value)
    elif isinstance(node, list):
        _check_manage([word for word in node if isinstance(word, str)])
        for value in node:
            _look_for_commands(value)


def _check_manage(words: list[str]) -> None:
    if "manage.py" in " ".join(words):
        place = next(place for place, word in enumerate(words) if word.endswith("manage.py"))
        console.CHECKS["python"](["manage.py", *words[place + 1 :]], "")
