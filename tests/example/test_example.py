"""The example's own tests, in the example's own settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.once
def test_the_example_passes_its_own_tests(tmp_path: Path) -> None:
    own = {"DEMO_FOLDER": str(tmp_path), "DJANGO_SETTINGS_MODULE": "example_project.settings"}
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"} | own
    command = [sys.executable, "-m", "pytest", "--ds=example_project.settings", str(Path(__file__).parent)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
