"""Run the real servers that the tests talk to, without docker, and know where they are."""

from tests.services.chromium import CHROMIUM
from tests.services.connect import DEBEZIUM
from tests.services.kafka import KAFKA
from tests.services.mariadb import MARIADB
from tests.services.pgbouncer import PGBOUNCER
from tests.services.postgresql import POSTGRESQL
from tests.services.service import Service

# The quick ones first: whoever waits for a database does not wait for Java.
SERVICES: tuple[Service, ...] = (POSTGRESQL, PGBOUNCER, MARIADB, KAFKA, DEBEZIUM, CHROMIUM)

__all__ = ["CHROMIUM", "DEBEZIUM", "KAFKA", "MARIADB", "PGBOUNCER", "POSTGRESQL", "SERVICES", "Service"]
