"""The requests that docs/http.md prints have the answers that it prints."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest

from base.settings import ROOT, Settings
from tests.contract.facade import assessing, ready, validating, working
from topics.admin import create

pytestmark = pytest.mark.pipeline
SAID = re.compile(r"```sh\n(curl [^`]+)\n```\n\n```json\n([^`]+)\n```")
CHANGING = ("timestamp", "latency_ms", "request_id", "partition", "offset", "id", "revision", "processed_at")


def test_the_printed_answers_are_the_real_ones(settings: Settings, tmp_path: Path) -> None:
    create(settings)
    printed = SAID.findall((ROOT / "docs" / "http.md").read_text())
    assert len(printed) == 6
    # A question may be asked before its worker has begun.
    patient = settings.model_copy(update={"rate_limit_per_minute": 100_000, "reply_timeout_s": 120.0})
    detecting = working("chain", settings, tmp_path / "chain.log")
    with (
        detecting,
        validating(settings, tmp_path / "validate.log"),
        assessing(settings, tmp_path),
        ready(patient) as client,
    ):
        for command, answer in printed:
            told = post(client, shlex.split(command)).json()
            assert same(told) == same(json.loads(answer)), command


def post(client: httpx.Client, argv: list[str]) -> httpx.Response:
    """What curl would send."""
    curl, silent, url, option, data = argv
    assert (curl, silent, option) == ("curl", "-s", "-d")
    body = (ROOT / data[1:]).read_text() if data.startswith("@") else data
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return client.post(url.removeprefix("localhost:3000"), content=body, headers=form)


def same(value: Any) -> Any:
    """A value without what is another one each time."""
    if isinstance(value, dict):
        return {name: same(part) for name, part in value.items() if name not in CHANGING}
    return [same(part) for part in value] if isinstance(value, list) else value
