"""What only PostgreSQL has; elsewhere there is nothing to collect here."""

from django.db import connection

collect_ignore_glob = [] if connection.vendor == "postgresql" else ["test_*.py"]
