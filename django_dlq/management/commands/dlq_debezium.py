"""manage.py dlq_debezium."""

import json
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from django_dlq.management.connector import Connector

HEAD = """\
# Debezium's connector for the outbox, to be given to Kafka Connect. First run, as the owner of the table:
#     {statements}
# The password stays in a file of the worker's, which needs
#     config.providers=file
#     config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider
"""


class Command(BaseCommand):
    """Print what Debezium needs."""

    help = "Prints the configuration with which Debezium's connector for PostgreSQL sends the outbox to Kafka."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --format and --broker."""
        parser.add_argument(
            "--format",
            choices=["properties", "json", "sql"],
            default="properties",
            help="properties for a file, json for Connect's REST API, sql for what the database must be told first",
        )
        parser.add_argument("--broker", default="default", help="the alias of the broker whose messages are sent")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it; nothing is changed."""
        connector = Connector.of(options["broker"])
        for warning in connector.warnings():
            self.stderr.write(warning)
        if options["format"] == "sql":
            self.stdout.write(connector.statements())
        elif options["format"] == "json":
            self.stdout.write(json.dumps(_for_rest(connector.configuration()), indent=2))
        else:
            self.stdout.write(HEAD.format(statements=connector.statements()) + _properties(connector.configuration()))


def _for_rest(configuration: Mapping[str, str]) -> dict[str, Any]:
    rest = {name: value for name, value in configuration.items() if name != "name"}
    return {"name": configuration["name"], "config": rest}


def _properties(configuration: Mapping[str, str]) -> str:
    # As Java reads such files: a backslash begins an escape, and anything beyond ASCII may be one.
    lines = (f"{_escaped(name)}={_escaped(value)}" for name, value in configuration.items())
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").encode("ascii", "backslashreplace").decode()
