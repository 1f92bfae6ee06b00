"""In a process of its own, for the benchmarks are a project of their own."""

import os
import subprocess
import sys

import pytest

from benchmarks.processes import ROOT

pytestmark = pytest.mark.once

SETTINGS = {"DJANGO_SETTINGS_MODULE": "benchmarks.settings"}
CHECK = """
import django
django.setup()
from benchmarks import page, report
from benchmarks.scenarios import SCENARIOS
assert set(page.SECTIONS) == {scenario.name for scenario in SCENARIOS}
assert report.summary(dict.fromkeys(scenario.part for scenario in SCENARIOS), {}) == []
"""


def test_every_scenario_has_a_section_and_every_part_a_last_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK], cwd=ROOT, env=os.environ | SETTINGS, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
