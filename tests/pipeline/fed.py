"""The mev agent as a worker of its own, fed in the way that the command line names: `stream` or `consume`."""

from __future__ import annotations

import sys
from dataclasses import replace

from agents import app, mev


def main(feed: str) -> None:
    """Run it under an app id of its own, so that it reads everything from the beginning."""
    mev.AGENT = replace(mev.AGENT, feed=feed)  # type: ignore[arg-type]
    app.WORKERS[feed] = app.Worker(feed, "BLOCKCHAIN_INTELLIGENCE", f"FEEDS.{feed}", 0, ("agents.mev",))
    app.run(feed)


if __name__ == "__main__":
    main(sys.argv[1])
