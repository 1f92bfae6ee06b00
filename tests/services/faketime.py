"""libfaketime, which gives one process a wrong clock."""

import glob
import shutil
import subprocess
from datetime import timedelta

from tests.services.service import Service

LIBRARY = "/usr/lib/*/faketime/libfaketime.so.1"


class Faketime(Service):
    """Have Debian's libfaketime on the machine; nothing keeps running."""

    name = "faketime"
    packages = {"faketime": "faketime", "libfaketime": LIBRARY}
    address = LIBRARY

    def version(self) -> str | None:
        """Ask the program, and look for the library."""
        if not shutil.which("faketime") or not glob.glob(LIBRARY):
            return None
        done = subprocess.run(["faketime", "--version"], capture_output=True, text=True, timeout=60, check=False)
        # "faketime: Version 0.9.10", and more lines
        return done.stdout.split()[2] if done.returncode == 0 else None

    def environment(self, shift: timedelta) -> dict[str, str]:
        """Return what a process needs in its environment for a clock that is wrong by so much.

        Not promised: time.sleep(), which 0.9.10 breaks while the monotonic clock is right. Waiting for an event works.
        """
        return {
            "LD_PRELOAD": glob.glob(LIBRARY)[0],
            "FAKETIME": f"{shift.total_seconds():+.0f}",
            # Only the clock that can be set wrong; the other one, by which a process waits, runs right on any host.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


FAKETIME = Faketime()
