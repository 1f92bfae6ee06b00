"""Run the shop: its database, its processes, and whoever uses it: a person, or the story that plays by itself."""

import sys
import threading
import traceback
import warnings
from collections.abc import Mapping, Sequence

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import DatabaseError, connection, connections

from django_dlq.management.commands.dlq_run import machines
from django_dlq.supervisor import Supervisor, manage
from example_project.guide import Guide
from example_project.shop.catalogue import stock_shelves
from example_project.stage import ADMIN, ADMIN_PASSWORD, CannotStart, Stage
from example_project.story import Story

GRACE = 10.0


def play(stage: Stage) -> int:
    """Run until a person presses Ctrl-C, or until the story has ended; return the exit status."""
    open_database()
    supervisor = Supervisor(processes(stage), grace=GRACE)
    user: Story | Guide = Story(stage, supervisor.stopped) if stage.once else Guide(stage, supervisor.stopped)
    using = threading.Thread(target=_use, args=[user, supervisor], name="user")
    using.start()
    supervisor.run()
    using.join()
    return user.end()


def processes(stage: Stage) -> Mapping[str, Sequence[str]]:
    """Return the command line of each process, by its name."""
    module = (sys.executable, "-m")
    return {
        "logistics": (*module, "example_project.logistics_service", str(stage.logistics_port), str(stage.shipments)),
        "web": (*module, "example_project.web", str(stage.port)),
        **{name: manage(*arguments) for name, arguments in machines().items()},
    }


def open_database() -> None:
    """Create the tables, the courses and the admin's account where they are missing."""
    try:
        _connect()
        call_command("migrate", verbosity=0)
        stock_shelves()
        if not get_user_model().objects.filter(username=ADMIN).exists():
            get_user_model().objects.create_superuser(ADMIN, password=ADMIN_PASSWORD)
    except DatabaseError as error:
        name, host = connection.settings_dict["NAME"], connection.settings_dict["HOST"] or "this machine"
        raise CannotStart(f"the database {name} on {host} cannot be used: {error}".strip()) from error
    connections.close_all()


def _connect() -> None:
    try:
        connection.ensure_connection()
    except DatabaseError:
        # The server may be there without this database, which Django's test runner would create in the same way. If it
        # is not there either, this says so.
        with warnings.catch_warnings(action="ignore"), connection._nodb_cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {connection.ops.quote_name(connection.settings_dict['NAME'])}")
        sys.stderr.write(f"demo: created the database {connection.settings_dict['NAME']}\n")


def _use(user: Story | Guide, supervisor: Supervisor) -> None:
    try:
        user.run()
    except Exception:  # noqa: BLE001  # whatever it is, the processes must end and a person must see it
        user.failed(traceback.format_exc())
        supervisor.stopped.set()
    finally:
        connections.close_all()
