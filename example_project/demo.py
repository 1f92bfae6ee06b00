"""The whole example in one command: `make demo`, or `python -m example_project.demo`.

Environment: ONCE=1 plays the story unattended and checks every promise. KAFKA=host:port and DATABASE_URL=… use real
ones in place of the embedded Kafka and SQLite. PORT=… is the shop's port; without it, 8000 or the next free one.
"""

import os
import shutil
import sys

import django

from example_project.stage import CannotStart, Stage

INTERRUPTED = 130
"""The exit status that shells give to what Ctrl-C has ended."""


def main() -> int:
    """Set up, play, clear away; return the exit status."""
    try:
        with Stage.from_environment(os.environ) as stage:
            os.environ.update(stage.environment())
            django.setup()
            # It needs the settings, and they need the stage's addresses.
            from example_project.show import play  # noqa: PLC0415

            status = play(stage)
    except CannotStart as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    if not status:
        shutil.rmtree(stage.folder)
    return status


if __name__ == "__main__":
    sys.exit(main())
