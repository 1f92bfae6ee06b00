"""What the programs of all rivals share: where to send, how much, and how the clock runs. Only the standard library."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable

MESSAGES = int(os.environ["BENCH_MESSAGES"])
TOPIC = os.environ["BENCH_TOPIC"]
KAFKA = os.environ["BENCH_KAFKA"]
HOT = os.environ["BENCH_KEYS"] == "hot"
WARM_UP = 20

# psycopg and asyncpg find the server by libpq's own PG... variables.
DJANGO_DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PGDATABASE"],
        "USER": os.environ["PGUSER"],
        "HOST": os.environ["PGHOST"],
        "PORT": os.environ["PGPORT"],
        "CONN_MAX_AGE": None,
    }
}


def key(number: int) -> str:
    """Return the ordering key of a message."""
    return "the hot key" if HOT else f"order-{number}"


def measure(fill: Callable[[range], object], settle: Callable[[], object], drain: Callable[[], object]) -> None:
    """Send a few to get warm; then fill, and let the clock run from the first claim until nothing is left."""
    fill(range(WARM_UP))
    drain()
    fill(range(WARM_UP, WARM_UP + MESSAGES))
    settle()
    began = time.perf_counter()
    drain()
    _tell(time.perf_counter() - began)


async def measure_async(
    fill: Callable[[range], Awaitable[object]],
    settle: Callable[[], Awaitable[object]],
    drain: Callable[[], Awaitable[object]],
) -> None:
    """Do the same with coroutines."""
    await fill(range(WARM_UP))
    await drain()
    await fill(range(WARM_UP, WARM_UP + MESSAGES))
    await settle()
    began = time.perf_counter()
    await drain()
    _tell(time.perf_counter() - began)


async def until(done: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again, not too often."""
    while not await done():
        await asyncio.sleep(0.005)


def settle_django() -> None:
    """Bring statistics and disk up to date before the clock runs."""
    from django.db import connection  # noqa: PLC0415  # not every rival has Django

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")


def _tell(seconds: float) -> None:
    print(json.dumps({"messages": MESSAGES, "seconds": seconds}))
