"""The example is a project of its own: its tests run in its settings, started by test_example.py."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings

from example_project.logistics_service import LogisticsServer

IN_THE_EXAMPLE = "example_project.shop" in settings.INSTALLED_APPS

HERE = Path(__file__).parent
EITHER_WAY = {"test_example.py", "test_stage.py"}
collect_ignore = ["test_example.py"]
if not IN_THE_EXAMPLE:
    collect_ignore = [path.name for path in HERE.glob("test_*.py") if path.name not in EITHER_WAY]


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[LogisticsServer]:
    """A logistics service that the shop speaks to; its log is `warehouse.warehouse.log`."""
    with LogisticsServer(0, tmp_path / "logistics.log") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with override_settings(LOGISTICS_URL=f"http://127.0.0.1:{server.server_address[1]}"):
            yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path) -> Iterator[Path]:
    """The bank's ledger, which is nobody else's."""
    with override_settings(BANK_LEDGER=tmp_path / "bank.log"):
        yield tmp_path / "bank.log"


@pytest.fixture
def shelves(db: None) -> None:
    """The shop's courses."""
    from example_project.shop.catalogue import stock_shelves

    stock_shelves()
