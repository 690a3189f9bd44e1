"""`soba keys` and `soba bench reply` as a user calls them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import redis

from base.settings import ROOT, Settings
from facade.keys import STORE
from topics.admin import create

pytestmark = pytest.mark.pipeline


def soba(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "console", *arguments]
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def test_a_key_is_made_listed_and_revoked(child_env: dict[str, str], settings: Settings) -> None:
    try:
        made = soba(child_env, "keys", "create", "--name", "page", "--scopes", "write,read", "--expires", "12h")
        assert made.returncode == 0 and made.stdout.startswith("soba_") and len(made.stdout.split()) == 1
        assert "read, write" in made.stderr
        listed = soba({**child_env, "SOBA_API_KEYS": "a-first-key,another"}, "keys", "list")
        assert listed.stdout.startswith("2 with the scope admin from SOBA_API_KEYS")
        assert "page" in listed.stdout and "live" in listed.stdout and made.stdout.strip() not in listed.stdout
        assert soba(child_env, "keys", "create", "--name", "page").returncode == 2  # the name is taken
        assert soba(child_env, "keys", "revoke", "page").returncode == 0
        assert soba(child_env, "keys", "revoke", "page").returncode == 2
        (key,) = json.loads(soba(child_env, "keys", "list", "--json").stdout)["keys"]
        assert (key["name"], key["scopes"], key["state"]) == ("page", ["read", "write"], "revoked")
    finally:
        with redis.Redis.from_url(settings.redis_url) as client:
            client.delete(STORE)


@pytest.mark.parametrize(
    "wrong", [("--scopes", "fly"), ("--scopes", ""), ("--expires", "soon"), ("--expires", "2001-01-01")]
)
def test_a_wrong_option_is_explained(child_env: dict[str, str], wrong: tuple[str, str]) -> None:
    done = soba(child_env, "keys", "create", "--name", "x", *wrong)
    assert done.returncode == 2 and wrong[0] in done.stderr


def test_the_bench_of_replies_measures_a_real_worker(child_env: dict[str, str], settings: Settings) -> None:
    create(settings)
    done = soba(child_env, "bench", "reply", "--rate", "50", "--seconds", "1", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    rows = {row["name"]: row for row in json.loads(done.stdout.splitlines()[-1])["rows"]}
    assert rows["asked"]["value"] == 50 and rows["answered wrong or not"]["value"] == 0
    assert 0 < rows["p50"]["value"] <= rows["p95"]["value"] <= rows["p99"]["value"] <= rows["longest"]["value"]
