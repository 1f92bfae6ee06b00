"""A clock that is wrong, for one process."""

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

SOURCE = Path(__file__).with_name("wrong_clock.c")


def can_be_wrong() -> bool:
    """Tell whether there is a compiler, which `make services` brings for another purpose."""
    return shutil.which("gcc") is not None


def wrong_clock(by: timedelta, directory: Path) -> dict[str, str]:
    """Return what a process needs in its environment for a clock that is wrong by so much; directory: for scratch."""
    library = directory / "wrong_clock.so"
    if not library.exists():
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library, SOURCE], check=True)
    return {"LD_PRELOAD": str(library), "WRONG_CLOCK": f"{by.total_seconds():.0f}"}
