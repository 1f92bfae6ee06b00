"""Serve the shop on loopback: `python -m example_project.web PORT`."""

import sys

import django
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.servers.basehttp import run
from django.core.wsgi import get_wsgi_application

from example_project.orphans import end_with_supervisor


def main() -> None:
    """Run Django's development server, without its reloader and its banner."""
    django.setup()
    end_with_supervisor()
    run("127.0.0.1", int(sys.argv[1]), StaticFilesHandler(get_wsgi_application()), threading=True)


if __name__ == "__main__":
    main()
