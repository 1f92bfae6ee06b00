"""faststream-outbox, relaying to Kafka through FastStream's aiokafka broker."""

import asyncio
import logging

from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage  # noqa: F401  # says early that the extra is missing
from faststream_outbox import OutboxBroker, make_outbox_table
from sqlalchemy import MetaData, func, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.bodies import body
from benchmarks.rivals import turn

QUEUE = "orders"


async def run() -> None:
    """Run one turn."""
    metadata = MetaData()
    table = make_outbox_table(metadata, table_name="outbox")
    engine = create_async_engine("postgresql+asyncpg://", pool_size=20)  # libpq's variables say where
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    outbox = OutboxBroker(engine, outbox_table=table, log_level=logging.ERROR, logger=None)
    kafka = KafkaBroker(turn.KAFKA.split(","), acks="all", enable_idempotence=True, logger=None)

    @kafka.publisher(turn.TOPIC)
    @outbox.subscriber(
        QUEUE, max_workers=8, fetch_batch_size=100, terminal_flush_batch_size=100, min_fetch_interval=0.01
    )
    async def relay(content: dict) -> dict:  # type: ignore[type-arg]
        return content

    async def fill(numbers: range) -> None:
        async with engine.begin() as connection:
            await outbox.publish_batch(*(body(number) for number in numbers), queue=QUEUE, session=connection)

    async def settle() -> None:
        async with engine.connect() as connection:
            plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await plain.execute(text("VACUUM ANALYZE"))
            await plain.execute(text("CHECKPOINT"))

    async def is_empty() -> bool:
        async with engine.connect() as connection:
            return not (await connection.execute(select(func.count()).select_from(table))).scalar()

    async def drain() -> None:
        await outbox.start()
        await turn.until(is_empty)
        await outbox.stop()

    await kafka.connect()
    await turn.measure_async(fill, settle, drain)
    await kafka.stop()


def main() -> None:
    """Run one turn."""
    asyncio.run(run())
