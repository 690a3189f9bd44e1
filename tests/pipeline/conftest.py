"""The commands in this process, against the session's servers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from base.settings import Settings, get_settings
from console.cli import main
from topics.admin import create

Soba = Callable[..., tuple[int, str, str]]


@pytest.fixture
def soba(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Iterator[Soba]:
    """Run a command in this process: exit code, output, errors."""
    create(settings)
    monkeypatch.setenv("SOBA_BROKERS", settings.brokers)
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    get_settings.cache_clear()

    def run(*argv: str | Path) -> tuple[int, str, str]:
        capsysbinary.readouterr()
        code = 0
        try:
            main([str(arg) for arg in argv])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = (text.decode(errors="replace") for text in capsysbinary.readouterr())
        return code, out, err

    yield run
    get_settings.cache_clear()


@pytest.fixture
def entity() -> str:
    """A name that is nobody else's."""
    return uuid.uuid4().hex
