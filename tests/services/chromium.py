"""Chromium and its driver, for the browser tests."""

import shutil
import subprocess

from tests.services.service import Service


class Chromium(Service):
    """Have Debian's Chromium on the machine; nothing keeps running."""

    name = "chromium"
    packages = {
        "chromium": "/usr/bin/chromium",
        "chromium-driver": "/usr/bin/chromedriver",
        # Names in the pictures are Chinese too, and would be boxes.
        "fonts-wqy-microhei": "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    }
    address = "/usr/bin/chromium"

    def version(self) -> str | None:
        """Ask the browser itself, which also proves that its libraries are there."""
        if not shutil.which("chromedriver"):
            return None
        try:
            done = subprocess.run([self.address, "--version"], capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        # "Chromium 140.0.7339.185 built on Debian GNU/Linux 12"
        return done.stdout.split()[1] if done.returncode == 0 else None


CHROMIUM = Chromium()
