"""A worker with the agent of tests/linear.py: `python -m tests.pipeline.scorer NAME FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import topics.clients
from agents import app
from tests.linear import numbers, scorer, scores, served
from topics.registry import TOPICS

AGENT = None


def main(name: str, folder: str) -> None:
    """Run it under an app id of its own."""
    import tests.pipeline.scorer as module  # this one, by the name that the worker knows

    topics.clients.SESSION_TIMEOUT_S = 2
    module.AGENT = scorer(served(Path(folder), name))  # type: ignore[assignment]
    TOPICS.update({topic.name: topic for topic in (numbers(name), scores(name))})
    app.WORKERS[name] = app.Worker(name, "ML_MODELS", f"ML_MODELS.{name}", 0, (module.__name__,))
    app.run(name)


if __name__ == "__main__":
    main(*sys.argv[1:])
