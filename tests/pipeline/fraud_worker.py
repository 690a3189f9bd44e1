"""The worker `fraud` with the model of tests/fraud.py: `python -m tests.pipeline.fraud_worker FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import topics.clients
from agents import app
from tests.fraud import serve_tiny


def main(folder: str) -> None:
    """Run it."""
    topics.clients.SESSION_TIMEOUT_S = 2
    serve_tiny(Path(folder))
    app.run("fraud")


if __name__ == "__main__":
    main(sys.argv[1])
