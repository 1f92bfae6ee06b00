import pytest

from django_dlq.relaying.batch_sizes import FIRST_BATCH, LEAST_BATCH, BatchSizes

pytestmark = pytest.mark.once


@pytest.fixture
def sizes(settings: object) -> BatchSizes:
    settings.DLQ_RELAY_BATCH = 4000  # type: ignore[attr-defined]
    return BatchSizes()


def test_a_full_batch_that_goes_quickly_makes_the_next_one_larger(sizes: BatchSizes) -> None:
    sizes.adapt("a", FIRST_BATCH - 1, 0.1)
    assert sizes.of("a") == FIRST_BATCH
    for _ in range(5):
        sizes.adapt("a", sizes.of("a"), 0.1)
    assert sizes.of("a") == 4000


def test_one_that_takes_long_makes_it_smaller(sizes: BatchSizes) -> None:
    for _ in range(10):
        sizes.adapt("a", 10, 2.0)
    assert sizes.of("a") == LEAST_BATCH


def test_a_slow_broker_makes_the_batches_of_no_other_smaller(sizes: BatchSizes) -> None:
    sizes.adapt("slow", 10, 2.0)
    assert (sizes.of("slow"), sizes.of("b"), sizes.page([])) == (FIRST_BATCH // 2, FIRST_BATCH, FIRST_BATCH // 2)
    sizes.adapt("b", FIRST_BATCH, 0.1)
    assert (sizes.of("slow"), sizes.page([]), sizes.page(["b"])) == (FIRST_BATCH // 2, 1000, FIRST_BATCH // 2)


def test_what_cannot_be_told_apart_comes_in_ever_smaller_batches(sizes: BatchSizes) -> None:
    found = []
    for _ in range(6):
        sizes.shrink("a")
        found.append(sizes.of("a"))
    assert found == [125, 31, 7, 1, 1, 1]
