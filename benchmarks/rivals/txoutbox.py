"""txoutbox on asyncpg; the function that publishes is left to its user, and this is ours."""

import asyncio
import threading
from datetime import timedelta

import confluent_kafka
from txoutbox.adapters.postgres import PostgresStorage
from txoutbox.message import OutboxMessage
from txoutbox.relay import Relay, RelayConfig

from benchmarks.bodies import body
from benchmarks.rivals import turn


class Publisher:
    """Give messages to confluent-kafka, whose reports a thread of its own brings in."""

    def __init__(self) -> None:
        self._producer = confluent_kafka.Producer(
            {"bootstrap.servers": turn.KAFKA, "enable.idempotence": True, "linger.ms": 0, "log_level": 3}
        )
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._report, daemon=True).start()

    async def publish(self, message: OutboxMessage) -> None:
        """Return when the message is confirmed."""
        confirmed: asyncio.Future[None] = self._loop.create_future()

        def settle(error: object) -> None:
            if not confirmed.done():
                confirmed.set_exception(RuntimeError(error)) if error else confirmed.set_result(None)

        self._producer.produce(
            message.topic,
            message.payload,
            message.key,
            on_delivery=lambda error, _: self._loop.call_soon_threadsafe(settle, error),
        )
        await confirmed

    def _report(self) -> None:
        while True:
            self._producer.poll(0.1)


async def run() -> None:
    """Run one turn."""
    storage = await PostgresStorage.connect("")  # libpq's variables say where
    await storage.create_schema()
    config = RelayConfig(batch_size=500, concurrency=500, lease=timedelta(seconds=60))
    relay = Relay(storage, Publisher(), config=config)

    async def fill(numbers: range) -> None:
        async with storage.pool.acquire() as connection, connection.transaction():
            for number in numbers:
                await storage.insert(connection, topic=turn.TOPIC, payload=body(number), key=turn.key(number))

    async def settle() -> None:
        async with storage.pool.acquire() as connection:
            await connection.execute("VACUUM ANALYZE")
            await connection.execute("CHECKPOINT")

    async def drain() -> None:
        while (await relay.run_once()).claimed:
            pass

    await turn.measure_async(fill, settle, drain)


def main() -> None:
    """Run one turn."""
    asyncio.run(run())
