"""Workers that joined when their topics had no partitions, as a broker that has just come back may say, still get their share."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from base.settings import Settings
from console.local.servers import LocalServers
from tests.chaos.crew import NAMES, Crew, prepare
from tests.chaos.load import FIRST_PROBE, probe
from tests.chaos.witness import Witness
from tests.conftest import wait_for
from topics.admin import create
from topics.clients import producer

pytestmark = pytest.mark.chaos
CHAIN = 9_400_001


def test_a_topic_that_shows_late_is_shared_out_soon(tmp_path: Path) -> None:
    prepare()
    with LocalServers(tmp_path, Settings(_env_file=None)) as servers:
        found: dict[str, Any] = {
            "brokers": servers.brokers,
            "redis_url": servers.redis_url,
            "data_dir": tmp_path,
            "worker_port": 0,
        }
        settings = Settings(_env_file=None, **found)
        crew = Crew(settings.environment(**found), tmp_path)
        try:
            for name in NAMES:
                crew.start(name)
            for name in NAMES[1:]:
                log = tmp_path / f"{name}.log"
                wait_for(lambda log=log: log.exists() and b"(none) are ours now" in log.read_bytes())  # type: ignore[misc]
            create(settings)
            client = Producer(producer(settings))
            client.produce("chain.events", probe(CHAIN, FIRST_PROBE), b"%d" % CHAIN)
            assert client.flush(30) == 0
            with contextlib.closing(Witness(settings)) as witness:
                # Soon: a client that was left as it comes looks anew after five minutes.
                wait_for(lambda: witness.part(CHAIN, "table alerts"))
            crew.keep()
            assert not crew.ends
        finally:
            crew.close()
