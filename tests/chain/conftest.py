"""These tests run on a real chain; where its parts are not installed they are skipped by name, and in CI they fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from base.settings import Settings
from console.bench.chain import Chain, missing
from tests.chain.watch import Events
from tests.contract.facade import new_chain
from topics.admin import create


@pytest.fixture(scope="session", autouse=True)
def _anvil() -> None:
    if lack := missing():
        (pytest.fail if "CI" in os.environ else pytest.skip)(lack)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """A chain of one's own, of which a restarted node still knows all."""
    with Chain(new_chain(), "--state", str(tmp_path / "anvil.json"), "--preserve-historical-states") as running:
        yield running


@pytest.fixture
def events(settings: Settings, chain: Chain) -> Iterator[Events]:
    """What comes to chain.events of that chain."""
    create(settings)
    with Events(settings, chain.chain_id) as reading:
        yield reading
