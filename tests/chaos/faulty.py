"""A production worker with faults put into it: `SOBA_TEST_FAULT=place:count:what`, several with spaces between.

`place` is where (a function of the runtime), `count` at which call (of commits, which are only asked for there, batches and
ends of batches: with something in hand), `what` one of:
kill (SIGKILL, before the call), after (SIGKILL, after the call), lost (the connection breaks), odd (an exception nobody foresees),
stall (the broker is stopped before the call, and does not answer). A `poison` place makes handlers of `mev` and `validate` raise
on marked records. Everything else is the code that users run.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import redis
from confluent_kafka import KafkaError, KafkaException

import agents.consume
import agents.outlet
import agents.runtime
import agents.stream
import agents.work
import tables.rows
import topics.clients
from agents import app, validate
from base.settings import get_settings
from tests import fraud

PLACES: dict[str, tuple[Any, str]] = {
    "read": (agents.outlet.Outlet, "read"),
    "produce": (agents.outlet.Outlet, "produce"),
    "write": (tables.rows, "writing"),
    "give": (agents.outlet.Outlet, "giving"),
    "finish": (agents.runtime.Runner, "finish"),
    "parse": (agents.runtime.Runner, "_parse"),
    "commit": (agents.consume.ConsumeFeed, "_commit"),
    "batch": (agents.consume.ConsumeFeed, "_batch"),
    "restore": (agents.work.Stateful, "_restore"),
}
FIRED = "fired"
SESSION_TIMEOUT_S = 2
"""Shorter than in production, so that a killed worker is missed sooner."""
KAFKA = "SOBA_TEST_KAFKA"
"""The variable that holds the broker's process id."""
POISON = "0x" + "66" * 20


def inject(place: str, count: int, what: str) -> None:
    """Make the `count`-th call at `place` fail in the way of `what`."""
    owner, name = PLACES[place]
    real = getattr(owner, name)
    calls = 0

    def faulty(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        if not at_stake(place, *args):
            return real(*args, **kwargs)
        if place == "batch" and not (found := real(*args, **kwargs)):
            return found
        calls += 1
        if calls != count:
            return found if place == "batch" else real(*args, **kwargs)
        fired(f"{place}:{count}:{what}")
        if what == "after":
            real(*args, **kwargs)
        if what in ("kill", "after"):
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "stall":
            os.kill(int(os.environ[KAFKA]), signal.SIGSTOP)
            return real(*args, **kwargs)
        if what == "lost":
            raise (
                redis.ConnectionError("injected")
                if place in ("read", "write")
                else KafkaException(KafkaError(KafkaError._TRANSPORT, "injected"))
            )
        raise RuntimeError("injected")

    setattr(owner, name, faulty)


def at_stake(place: str, feed: Any, *_: Any) -> bool:
    """Whether a fault here can do harm: a commit of nothing, or of another agent of this worker, is none to speak of."""
    if place == "finish":
        return feed._open is not None
    if place not in ("commit", "batch"):
        return True
    return feed._agent.name in sys.argv[1] and (place == "batch" or bool(feed._done.items() - feed._committed.items()))


def fired(fault: str) -> None:
    """Leave a note for the test: a fault that never happened proves nothing."""
    with (get_settings().data_dir / FIRED).open("a") as notes:
        notes.write(f"{sys.argv[1]} {fault}\n")


def poison() -> None:
    """Let handlers raise on records that carry the poisoned address."""
    from agents import mev

    def raising(real: Any) -> Any:
        def handle(*args: Any) -> Any:
            if any(POISON.encode() in record.raw for record in args[-2]):
                raise RuntimeError("poisoned")
            return real(*args)

        return handle

    validate.Validator.handle = raising(validate.Validator.handle)  # type: ignore[method-assign]
    object.__setattr__(mev.AGENT, "handle", raising(mev.AGENT.handle))


def main() -> None:
    """Run the worker named on the command line with the fault of the environment."""
    topics.clients.SESSION_TIMEOUT_S = SESSION_TIMEOUT_S
    if sys.argv[1] == "fraud":
        fraud.serve_tiny(get_settings().data_dir)  # whose levels change with every few moves
    fault = os.environ.get("SOBA_TEST_FAULT", "")
    if fault == "poison":
        poison()
    else:
        for one in fault.split():
            place, count, what = one.split(":")
            inject(place, int(count), what)
    app.run(sys.argv[1])


if __name__ == "__main__":
    main()
