"""The examples run as they are printed, and say what is wrong with how they were called."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from typing import Any

import confluent_kafka
import pytest

from base.settings import ROOT, Settings
from tests.conftest import spawned, without_coverage
from tests.contract.facade import finding, new_chain
from topics.admin import create
from topics.clients import producer

pytestmark = pytest.mark.pipeline
EXAMPLES = ("produce", "consume")


def start(name: str, *argv: str) -> AbstractContextManager[subprocess.Popen[str]]:
    command = [sys.executable, f"examples/{name}.py", *argv]
    return spawned(
        command, cwd=ROOT, env=without_coverage(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("argv", [(), ("localhost",), ("127.0.0.1:1", "more")])
def test_wrong_arguments_give_the_usage(name: str, argv: tuple[str, ...]) -> None:
    with start(name, *argv) as example:
        out, err = example.communicate(timeout=60)
    assert (example.returncode, out) == (1, "")
    assert err.startswith(f"usage: python examples/{name}.py HOST:PORT") and err.count("\n") == 1


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_broker_that_does_not_answer_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []

    def quick(kind: Any) -> Any:
        class Quick(kind):  # type: ignore[misc]
            def list_topics(self, timeout: float) -> Any:
                waited.append(timeout)
                return super().list_topics(timeout=0.2)

        return Quick

    for kind in ("Producer", "Consumer"):
        monkeypatch.setattr(confluent_kafka, kind, quick(getattr(confluent_kafka, kind)))
    monkeypatch.setattr(sys, "argv", [name, "127.0.0.1:1"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "examples" / f"{name}.py"))
    assert str(ended.value.code).startswith("no Kafka answered at 127.0.0.1:1 within 10 s")
    assert waited == [10]


def test_they_send_and_show(settings: Settings) -> None:
    create(settings)
    with start("produce", settings.brokers) as sending:
        out, err = sending.communicate(timeout=60)
    assert (sending.returncode, err) == (0, "") and out.startswith("acknowledged: chain.events, partition ")
    chain = new_chain()
    client = confluent_kafka.Producer(producer(settings))
    client.produce("mev.findings", finding(chain, chain).model_dump_json(exclude_none=True), b"k")
    assert client.flush(60) == 0
    with start("consume", settings.brokers) as showing:
        assert showing.stdout is not None
        assert any(f"final sandwich in block {chain} " in line for line in showing.stdout)
        showing.send_signal(signal.SIGINT)
        showing.communicate(timeout=60)  # it may have more to print than a pipe holds
        assert showing.returncode == 0
