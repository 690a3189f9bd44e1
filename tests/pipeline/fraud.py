"""The fraud worker with a tiny model in place of the shipped one: `python -m tests.pipeline.fraud FOLDER`."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents import app
from models.fraud.scorer import FRAUD
from tests.tiny_fraud import release
from topics.releases import pack


def main(folder: str) -> None:
    """Put the model there and run the worker."""
    shipped = Path(folder) / "fraud.release"
    shipped.write_bytes(pack(release()))
    module: Any
    for name in app.WORKERS["fraud"].modules:
        module = importlib.import_module(name)
        if module.AGENT.models:
            module.AGENT = replace(module.AGENT, models=(replace(FRAUD, shipped=shipped),))
    app.run("fraud")


if __name__ == "__main__":
    main(*sys.argv[1:])
