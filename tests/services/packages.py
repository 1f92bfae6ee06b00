"""Install Debian packages, only those that are missing, and let none of them start a daemon of its own."""

import glob
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

POLICY = Path("/usr/sbin/policy-rc.d")
START_NOTHING = "#!/bin/sh\nexit 101\n"


class MissingPackagesError(RuntimeError):
    """Say which packages a person has to install."""


def missing(packages: Mapping[str, str]) -> list[str]:
    """List the packages whose proof, a command or a file pattern, is not on this machine."""
    return [package for package, proof in packages.items() if not (shutil.which(proof) or glob.glob(proof))]


def install(names: Sequence[str]) -> None:
    """Install these packages, or tell a user who may not do that what to ask for."""
    if not names:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        message = f"these Debian packages are missing; as root: apt-get install {' '.join(names)}"
        raise MissingPackagesError(message)
    with nothing_starts():
        _apt_get("update")
        _apt_get("install", "--no-install-recommends", *names)


@contextmanager
def nothing_starts() -> Iterator[None]:
    """Keep package scripts from starting daemons, and leave the machine's own policy as it was."""
    before = POLICY.read_bytes() if POLICY.exists() else None
    POLICY.write_text(START_NOTHING)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        if before is None:
            POLICY.unlink()
        else:
            POLICY.write_bytes(before)


def _apt_get(*arguments: str) -> None:
    """Run apt-get without questions, and show what it said only when it failed."""
    # Another apt on the same machine is waited for instead of failing on its lock.
    command = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", *arguments]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
