import pytest

from tests.admin.factories import EVERY_VERB, person


@pytest.fixture
def staff(client):
    """Sign in a member of staff who may see dead letters and do everything to them."""
    client.force_login(person(*EVERY_VERB))
    return client
