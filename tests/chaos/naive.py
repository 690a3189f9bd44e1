"""What not to do: the mev worker as a Faust tutorial would write it, with `take`. The promises must fail on it."""

from __future__ import annotations

from typing import Any

import faust
import redis

import topics.clients
from agents import app as real
from agents import mev
from agents.activity import Activity
from agents.agent import Record
from agents.outlet import Outlet
from agents.pulse import Pulse
from base.settings import get_settings
from tables.rows import parse, stage
from tests.chaos.faulty import SESSION_TIMEOUT_S
from topics.schemas.chain import Block


def main() -> None:
    """Run it as BLOCKCHAIN_INTELLIGENCE."""
    topics.clients.SESSION_TIMEOUT_S = SESSION_TIMEOUT_S
    settings, worker = get_settings(), real.WORKERS["chain"]
    app = real.make_app(worker, settings)
    store = redis.asyncio.Redis.from_url(settings.redis_url)
    findings = app.topic("mev.findings", value_serializer="raw", key_serializer="raw")

    async def run(stream: Any) -> None:
        async for values in stream.take(64, within=0.02):
            batch = [
                Record("chain.blocks", 0, 0, None, [], value, Block.model_validate_json(value)) for value in values
            ]
            names = mev.keys(batch)
            found: list[Any] = [await store.get(table.row_key(key)) for table, key in names]
            rows = {name: parse(name[0].schema, value) for name, value in zip(names, found, strict=True)}
            result = mev.handle(batch, rows)
            async with store.pipeline(transaction=False) as pipe:
                stage(pipe, result.rows)
                await pipe.execute()
            for output in result.outputs:
                await findings.send(key=output.key, value=output.value)

    topic = app.topic("chain.blocks", value_type=bytes, value_serializer="raw", key_serializer="raw")
    app.agent(topic, name="mev", concurrency=1)(run)
    app.service(Pulse(worker.service, worker.app_id, 0, settings, Outlet(settings, Activity()), app))
    faust.Worker(app, loglevel="WARN", redirect_stdouts=False, quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main()
