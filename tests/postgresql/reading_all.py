"""Read the whole outbox, page by page, and print by how many bytes the process has grown at most.

python -m tests.postgresql.reading_all
"""

import resource

import django

PAGE = 4000


def main() -> None:
    """Read as the relay does, and forget each page."""
    django.setup()
    from django_dlq.models.outbox_reading import Reading, Scope  # once Django is ready

    reading, rows, last = Reading(Scope(), PAGE, using="default"), 0, 0
    page = reading.page(2**62)  # so that all is imported, and connected
    before = peak()
    while (page := reading.page(last)).is_full or page.rows:
        rows, last = rows + len(page.rows), page.last
    print(rows, peak() - before)  # noqa: T201  # the answer


def peak() -> int:
    """Return how many bytes of this process were in memory at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
