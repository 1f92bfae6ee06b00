"""MariaDB goes away and comes back, under load."""

import pytest
from pytest_django import DjangoDbBlocker

from tests.scenarios.conftest import MakeStage
from tests.scenarios.load import assert_all_is_well, restart_under_load
from tests.scenarios.private_services import private_database
from tests.services.mariadb import Mariadb


@pytest.mark.kafka
def test_relay_and_consumer_outlive_restarts_of_mariadb_and_lose_nothing(
    kafka: str, make_stage: MakeStage, django_db_blocker: DjangoDbBlocker
) -> None:
    with django_db_blocker.unblock(), private_database(Mariadb, user="root") as server:
        stage = make_stage(kafka)
        restart_under_load(stage, server)
        assert_all_is_well(stage)
