"""A rival's own environment below .bench, made when it is first needed and when its requirements change."""

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.processes import ROOT
from benchmarks.rivals.known import Rival

PLACE = ROOT / ".bench"
VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


class Unavailable(RuntimeError):
    """This rival cannot run here."""


def python(rival: Rival) -> Path:
    """Return the interpreter of the rival's environment."""
    requirements = Path(__file__).with_name(f"{rival.module}.txt")
    home = PLACE / rival.module
    stamp = home / "installed.txt"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        shutil.rmtree(home, ignore_errors=True)
        _run([str(_interpreter(rival)), "-m", "venv", str(home)])
        _run([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--requirement", str(requirements)])
        shutil.copyfile(requirements, stamp)
    return home / "bin" / "python"


def version(rival: Rival) -> str:
    """Return the release that is measured."""
    first = Path(__file__).with_name(f"{rival.module}.txt").read_text().split()[0]
    return first.partition("==")[2]


def _interpreter(rival: Rival) -> Path:
    """Return this Python if it is new enough for the rival, or else one that is there."""
    wanted = tuple(map(int, rival.python.split(".")))
    if sys.version_info[:2] >= wanted:
        return Path(sys.executable)
    found = [
        shutil.which(f"python{rival.python}"),
        *sorted(Path.home().glob(f".pyenv/versions/{rival.python}*/bin/python")),
    ]
    for candidate in filter(None, found):
        # pyenv's shims are there whether or not that version is chosen, so it is asked.
        asked = subprocess.run([str(candidate), "-c", VERSION], capture_output=True, text=True, check=False)
        if asked.stdout.strip() == rival.python:
            return Path(candidate)
    raise Unavailable(f"needs Python {rival.python}, which is not here")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"cannot be installed: {done.stderr.strip()[-300:]}")
