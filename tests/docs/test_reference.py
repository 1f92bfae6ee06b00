"""The reference names what the code has: all of it, and nothing else."""

import ast
import inspect
import re
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.core.management import load_command_class
from django.core.management.base import BaseCommand
from django.dispatch import Signal
from django.test import override_settings

from django_dlq import celery_tasks, conf, exceptions, figures, message, metrics, signals
from django_dlq.checks.rules import RULES
from django_dlq.management.commands import dlq_schedule
from django_dlq.models import (
    Answer,
    DecidedBy,
    HalfState,
    Kind,
    Source,
    State,
    StoredMessage,
    backlog,
    inflow,
    lately,
    outflow,
    quick_read,
)
from tests.docs.pages import DOCS, ROOT, section, table

pytestmark = pytest.mark.once

REFERENCE = DOCS / "reference"
SETTINGS, CHECKS, COMMANDS = REFERENCE / "settings.md", REFERENCE / "checks.md", REFERENCE / "commands.md"
MODELS, HEADERS, SIGNALS = REFERENCE / "models.md", REFERENCE / "headers.md", REFERENCE / "signals.md"
EXCEPTIONS, METRICS = REFERENCE / "exceptions.md", REFERENCE / "metrics.md"
PROPERTIES = {name: member for name, member in vars(conf.Settings).items() if isinstance(member, property)}
COMMAND_NAMES = sorted(path.stem for path in (ROOT / "django_dlq/management/commands").glob("dlq_*.py"))
TABLES = {model.__name__: model for model in apps.get_app_config("django_dlq").get_models()}


def code(cell: str) -> str:
    """Return what stands between backticks."""
    return cell.strip("`")


def headings(page: Any) -> list[str]:
    return re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)


def test_every_setting_has_a_section_and_no_other_has() -> None:
    assert headings(SETTINGS) == list(PROPERTIES)


@pytest.mark.parametrize("name", PROPERTIES)
def test_the_section_of_a_setting_gives_its_type_and_its_default(name: str) -> None:
    found = re.search(r"^Type: `(.+)`\. Default: `(.+)`\.$", section(SETTINGS, name), re.MULTILINE)
    assert found
    tree = ast.parse(inspect.getsource(conf.Settings))
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert found[1] == ast.unparse(functions[name].returns or ast.Constant(None))
    default = eval(found[2], {"timedelta": timedelta, "MASKED_FIELDS": conf.MASKED_FIELDS})
    with override_settings(**{name: None}):
        from django.conf import settings

        delattr(settings, name)
        assert getattr(conf.conf, name) == default


def test_every_check_has_a_row_and_no_other_has() -> None:
    files = [*(ROOT / "django_dlq/checks").glob("*.py"), *(ROOT / "django_dlq/brokers").glob("*.py")]
    written = {found for file in files for found in re.findall(r'id="(django_dlq\.[EW]\d+)"', file.read_text())}
    ruled = {f"django_dlq.{rule.number}" for rule in RULES}
    documented = [code(row[0]) for row in table(CHECKS.read_text())]
    assert len(documented) == len(set(documented))
    assert set(documented) == written | ruled


def test_the_row_of_a_settings_check_names_the_setting_and_what_it_must_be() -> None:
    rows = {code(row[0]): row[1:] for row in table(CHECKS.read_text())}
    for rule in RULES:
        assert rows[f"django_dlq.{rule.number}"] == [f"`{rule.setting}`", rule.wanted]


def test_every_command_has_a_section_and_no_other_has() -> None:
    assert sorted(headings(COMMANDS)) == COMMAND_NAMES


@pytest.mark.parametrize("name", COMMAND_NAMES)
def test_the_section_of_a_command_has_its_help_and_its_options(name: str) -> None:
    text = section(COMMANDS, name)
    command = load_command_class("django_dlq", name)
    assert text.strip().splitlines()[0] == command.help
    of_django = {option for action in BaseCommand().create_parser("", "")._actions for option in action.option_strings}
    own = [
        [f"`{', '.join(action.option_strings)}`", action.help]
        for action in command.create_parser("manage.py", name)._actions
        if not of_django.intersection(action.option_strings)
    ]
    assert table(text) == own


def test_every_task_has_a_row_with_its_interval() -> None:
    rows = [[row[0].strip("`"), row[3]] for row in table((REFERENCE / "celery.md").read_text())]
    assert rows == [[f"django_dlq.celery_tasks.{name}", f"{every} s"] for name, every in dlq_schedule.EVERY.items()]


def test_the_page_about_celery_has_the_tasks_numbers() -> None:
    text = " ".join((REFERENCE / "celery.md").read_text().split())
    assert f"or for {celery_tasks.SECONDS:.0f} seconds" in text
    assert f"waits {celery_tasks.PATIENCE:.0f} seconds" in text
    assert celery_tasks.relay.expires == 60
    assert celery_tasks.relay.time_limit == 600


def test_every_model_has_a_section_with_its_table_and_no_other_has() -> None:
    assert sorted(headings(MODELS)) == sorted([*TABLES, "The message itself"])
    for name, model in TABLES.items():
        assert f"Table `{model._meta.db_table}`" in section(MODELS, name)


@pytest.mark.parametrize("name", TABLES)
def test_the_section_of_a_model_has_its_columns(name: str) -> None:
    shared = {field.name for field in StoredMessage._meta.fields}
    model = TABLES[name]
    own = {field.name for field in model._meta.fields}
    if issubclass(model, StoredMessage):
        own -= shared
    assert {code(row[0]) for row in table(section(MODELS, name))} == own
    assert {code(row[0]) for row in table(section(MODELS, "The message itself"))} == shared


@pytest.mark.parametrize(
    ("model", "column", "choices"),
    [
        ("DeadLetter", "state", State),
        ("DeadLetter", "source", Source),
        ("DeadLetterEvent", "kind", Kind),
        ("HalfMessage", "state", HalfState),
        ("HalfMessage", "decided_by", DecidedBy),
        ("HalfMessageCheck", "answer", Answer),
    ],
)
def test_the_row_of_a_column_with_choices_names_them_all(model: str, column: str, choices: Any) -> None:
    rows = {code(row[0]): row[1] for row in table(section(MODELS, model))}
    assert set(choices.values) <= set(re.findall(r"`(\w+)`", rows[column]))


def test_every_figure_has_a_row_in_the_section_of_its_value() -> None:
    values = {name: member for name, member in vars(figures).items() if is_dataclass(member)}
    assert sorted(headings(METRICS)) == sorted([*values, "How long it takes"])
    for name, value in values.items():
        assert [code(row[0]) for row in table(section(METRICS, name))] == [field.name for field in fields(value)]


def test_the_page_about_metrics_has_the_bounds() -> None:
    text = " ".join(METRICS.read_text().split())
    assert f"Up to {backlog.MOST_ROWS:,} due and {backlog.MOST_SCATTERED:,} delayed" in text
    assert f"draws {backlog.SAMPLED_PAGES:,} pages" in text
    assert f"more than {lately.MOST_READ:,} messages went out" in text
    assert f"more than {lately.MOST_READ:,} rows in" in text
    assert "{}, or {} or {}".format(*lately.WINDOWS) in text
    assert f"from {outflow.SAMPLED_PAGES:,} pages of the history" in text
    assert f"has more than {inflow.MOST_ODD:,}, where counting ends" in text
    assert f"among the newest {metrics.MOST_HALF_MESSAGES:,} half messages" in text
    assert f"has more than {metrics.MOST_HALF_MESSAGES:,}, where" in text
    assert f"over {metrics.MOST_LETTERS:,}, where counting ends" in text
    assert f"at most {metrics.MOST_NAMED:,}" in text
    assert quick_read.LONGEST == 1  # "longer than a second"


def test_every_header_of_the_wire_has_a_row() -> None:
    assert {code(row[0]) for row in table(section(HEADERS, "Headers on the wire"))} == set(message.RESERVED)


def test_every_signal_has_a_row_with_what_it_is_logged_as() -> None:
    known = [name for name, member in vars(signals).items() if isinstance(member, Signal)]
    rows = table(SIGNALS.read_text())
    assert [code(row[0]) for row in rows] == known
    source = inspect.getsource(signals)
    for name, _, _, logged in rows:
        found = re.search(rf"def _log_{code(name)}\(.*?\n    logger\.(\w+)\(", source, re.DOTALL)
        assert logged == (found[1] if found else "not logged")


def test_the_row_of_a_signal_names_its_arguments() -> None:
    source = inspect.getsource(signals)
    for name, arguments, *_ in table(SIGNALS.read_text()):
        comment = re.search(rf"^{code(name)} = Signal\(\)  # (.*)$", source, re.MULTILINE)
        assert comment
        for argument in re.findall(r"`(\w+)`", arguments):
            assert argument in comment[1]


def test_every_exception_has_a_row_with_its_parents_and_its_code() -> None:
    known = {
        name: member
        for name, member in vars(exceptions).items()
        if inspect.isclass(member) and issubclass(member, exceptions.DlqError)
    }
    rows = {code(name): (parents, code(stable)) for name, parents, stable, _ in table(EXCEPTIONS.read_text())}
    assert list(rows) == list(known)
    for name, member in known.items():
        assert rows[name] == (", ".join(f"`{parent.__name__}`" for parent in member.__bases__), member.code)
