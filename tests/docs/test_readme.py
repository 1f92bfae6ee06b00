"""What the README shows does what it says."""

import pytest

from django_dlq.testing import drain
from tests.docs import blocks
from tests.docs.pages import ROOT, examples
from tests.shop.models import Box


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shop")
def test_the_example_of_the_readme_packs_the_order_that_it_places() -> None:
    page = list(examples(ROOT / "README.md", {"python": blocks.run_python}))
    for example in page:
        example.evaluate()
    page[0].namespace["place"]("A-17")
    assert drain().letters == ()
    assert Box.objects.get().order == "A-17"
