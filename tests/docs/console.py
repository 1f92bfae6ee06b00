"""Commands in ```console blocks: lines after `$ ` are typed, what follows is what they print."""

import argparse
import base64
import importlib.util
import io
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from typing import Any

from django.core.management import call_command, get_commands, load_command_class
from rest_framework.test import APIClient
from sybil import Example

from tests.docs.pages import ROOT

Typed = tuple[str, str]
"""A command, and what it prints; "…" stands for anything."""


def typed(block: str) -> Iterator[Typed]:
    """Return the commands of a block with their output."""
    command, output = "", ""
    for line in block.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            if command:
                yield command, output
            command, output = line[2:], ""
        else:
            assert command, f"a console block begins with a command, not with {line!r}"
            output += f"{line}\n"
    if command:
        yield command, output


def is_as_printed(expected: str, printed: str) -> bool:
    """Tell whether a program printed what the page says."""
    pattern = re.escape(expected.strip()).replace("…", ".*?")
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def check(example: Example) -> None:
    """Check that each command of a block can be given, and run those whose output is on the page."""
    for command, output in typed(example.parsed):
        words = shlex.split(command, comments=True)
        while "=" in words[0]:
            words.pop(0)
        run = CHECKS.get(words[0])
        assert run, f"nothing knows how to check the command {words[0]!r}; use one of {sorted(CHECKS)}"
        run(words[1:], output)


def _python(words: list[str], output: str) -> None:
    if words[0] == "-m" and words[1] != "django":
        assert importlib.util.find_spec(words[1]), f"there is no module {words[1]}"
        assert not output, "only the output of management commands is compared"
        return
    name, *arguments = words[1:] if words[0] == "manage.py" else words[2:]
    assert name in get_commands(), f"there is no management command {name}"
    app = get_commands()[name]
    command = load_command_class(app, name) if isinstance(app, str) else app
    command.create_parser("manage.py", name).parse_args(arguments)
    if output:
        printed = io.StringIO()
        call_command(name, *arguments, stdout=printed)
        assert is_as_printed(output, printed.getvalue()), f"{name} printed:\n{printed.getvalue()}"


def _pip(words: list[str], output: str) -> None:
    assert words[0] == "install"
    assert not output
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in words[1:]:
        found = re.fullmatch(r"django_dlq\[([\w,]+)\]", word)
        for extra in found[1].split(",") if found else ():
            assert extra in known, f"there is no extra {extra}"


def _make(words: list[str], output: str) -> None:
    assert not output
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for word in words:
        assert "=" in word or word in targets, f"there is no make target {word}"


def _curl(words: list[str], output: str) -> None:
    """Send the request to this project, and compare what the page shows of the answer; "…" is anything."""
    parser = argparse.ArgumentParser(prog="curl", exit_on_error=False)
    for option in ("-u", "-X", "-d"):
        parser.add_argument(option, default="")
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("url")
    given = parser.parse_args(words)
    headers = dict(line.split(": ", 1) for line in given.H)
    assert headers.pop("Content-Type", "application/json") == "application/json"
    headers["Authorization"] = f"Basic {base64.b64encode(given.u.encode()).decode()}"
    client = APIClient(headers=headers)
    url = given.url.removeprefix("http://localhost:8000")
    response = client.generic(given.X or "GET", url, given.d, content_type="application/json")
    answer = json.loads(response.content)
    assert response.status_code < 500, answer
    assert not output or _is_shown(json.loads(output), answer), json.dumps(answer, indent=2)


def _is_shown(shown: Any, answer: Any) -> bool:
    if isinstance(shown, dict):
        return all(name in answer and _is_shown(value, answer[name]) for name, value in shown.items())
    if isinstance(shown, list):
        return len(shown) == len(answer) and all(map(_is_shown, shown, answer))
    return is_as_printed(shown, answer) if isinstance(shown, str) else bool(shown == answer)


CHECKS = {"python": _python, "pip": _pip, "make": _make, "curl": _curl}
