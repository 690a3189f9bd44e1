"""Own lists: by command to the topic, and from there to a worker that runs; bad records, and what the command refuses."""

from __future__ import annotations

import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer

from base.settings import Settings, get_settings
from models.fraud.lists import SHIPPED
from tests.conftest import wait_for
from tests.contract.facade import assessing, new_chain, serving
from tests.pipeline.conftest import Soba
from tests.pipeline.test_risk import ASSESS, address, ask
from topics.admin import create
from topics.clients import producer
from topics.registry import LISTS

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def away(settings: Settings) -> Settings:
    """A Redis of one's own: no other fraud worker's heartbeat is in it."""
    create(settings)
    address = f"{settings.redis_url.rpartition('/')[0]}/12"
    return settings.model_copy(update={"redis_url": address, "rate_limit_per_minute": 100_000})


@pytest.fixture(scope="module")
def http(away: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A facade, and the worker that assesses."""
    folder = tmp_path_factory.mktemp("lists")
    with assessing(away, folder) as worker, serving(away) as client:
        wait_for(lambda: _ready(client, worker, folder / "worker.log"), 120)
        yield client


def _ready(client: httpx.Client, worker: subprocess.Popen[bytes], log: Path) -> bool:
    assert worker.poll() is None, log.read_text()[-3000:]
    return client.post(ASSESS, json={"transaction": {"fromAddress": address(), "amount": 1}}).status_code == 200


@pytest.fixture
def lists(soba: Soba, away: Settings, monkeypatch: pytest.MonkeyPatch) -> Soba:
    """`soba lists`, beside that worker."""
    monkeypatch.setenv("REDIS_URL", away.redis_url)
    get_settings.cache_clear()
    return lambda *argv: soba("lists", *argv)


@pytest.fixture
def name() -> str:
    """A list that is nobody else's."""
    return f"own-{uuid.uuid4().hex[:8]}"


def told(http: httpx.Client, to: str, **more: Any) -> dict[str, Any]:
    """What is said of who receives; asked under a new id each time."""
    return ask(http, **{"fromAddress": address(), "toAddress": to, "amount": 1, **more})


def test_a_worker_takes_a_list_without_a_restart_and_forgets_what_is_taken_off(
    http: httpx.Client, lists: Soba, name: str, tmp_path: Path
) -> None:
    bad, worse, chain = address(), address(), new_chain()
    before = told(http, bad)
    assert (before["risk_level"], before["receiver"]["lists"]) == ("low", [])
    file = tmp_path / "addresses.txt"
    file.write_text(f"{worse.upper().replace('X', 'x')}  # drained a bridge\n\n# the others are not sure\n")
    code, out, err = lists("add", name, bad, "--severity", "high", "--source", "us", "--chain-id", chain)
    assert (code, err) == (0, "") and out.startswith(f"{name}: 1 added, 0 put anew"), err
    assert lists("add", name, "--file", file)[0] == 0

    # They may lie in two partitions, of which either may be read first.
    wait_for(lambda: told(http, worse)["receiver"]["lists"] == [name])
    wait_for(lambda: told(http, bad, chainId=chain)["receiver"]["lists"] == [name])
    found = told(http, bad, chainId=chain)
    assert (found["risk_level"], found["receiver"]["lists"], found["is_suspicious"]) == ("high", [name], True)
    assert [alert["code"] for alert in found["alerts"]] == ["receiver_listed"]
    assert found["probability"] == before["probability"], "that of behaviour"
    assert told(http, bad)["risk_level"] == "low", "on another chain"
    assert told(http, worse)["risk_level"] == "critical"
    assert found["lists_version"] != before["lists_version"] == before["lists_version"].partition("+")[0]

    code, out, _ = lists("show", name)
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == sorted((bad, worse))
    assert f"chain {chain}" in out and "us" in out and "drained a bridge" in out
    wait_for(lambda: json.loads(lists("show", "--json")[1])["workers"] == [True])
    shown = json.loads(lists("show", "--json")[1])
    assert (shown["lists"][name], shown["version"]) == (2, found["lists_version"]) and shown["public"]["ofac"] == 152
    known = rf"version {re.escape(found['lists_version'])}; workers that know it: 1 of 1, as of \d+ s ago"
    wait_for(lambda: re.fullmatch(known, lists("show")[1].splitlines()[-1]))

    code, out, err = lists("remove", name, bad, worse)
    assert code == 1 and out == f"{name}: 1 taken off\n" and f"{bad}: not on {name} for every chain" in err
    wait_for(lambda: told(http, worse)["receiver"]["lists"] == [])
    assert told(http, bad, chainId=chain)["receiver"]["lists"] == [name]
    code, out, err = lists("drop", name)
    assert (
        (code, out) == (1, "") and f"this takes 1 address off {name}" in err and "Add --yes to do that unasked" in err
    )
    assert lists("drop", name, "--yes")[1] == f"{name}: 1 taken off; the list is gone\n"
    wait_for(lambda: told(http, bad, chainId=chain)["lists_version"] == before["lists_version"])
    assert lists("show", name)[0] == lists("drop", name, "--yes")[0] == 1
    assert f"there is no list {name!r}; bin/soba lists show names those there are" in lists("remove", name, bad)[2]


def test_what_is_on_a_public_list_can_be_read(lists: Soba) -> None:
    code, out, err = lists("show", "ofac")
    assert (code, len(out.splitlines())) == (0, 152) and "ofac: 152 addresses on every chain, critical" in err
    assert all(SHIPPED.names(1, address).startswith("ofac") for address in out.splitlines())
    one = json.loads(lists("show", "ofac", "--json")[1].splitlines()[0])
    assert one == {"list": "ofac", "address": out.splitlines()[0], "severity": "critical"}


def test_a_record_that_lists_nothing_changes_nothing_and_is_told(
    http: httpx.Client, away: Settings, lists: Soba, name: str
) -> None:
    bad = address()
    assert lists("add", name, bad, "--severity", "medium")[0] == 0
    wait_for(lambda: told(http, bad)["receiver"]["lists"] == [name])
    client = Producer(producer(away))
    entry = {"list": name, "address": bad, "added_at": "2024-06-01T00:00:00Z"}
    good = f"{name}:*:{bad}"
    for key, value in [
        (good, b"nonsense"),
        (good, json.dumps({**entry, "severity": "awful"}).encode()),
        (f"{name}:1:{bad}", json.dumps(entry).encode()),
        (good, json.dumps({**entry, "address": bad[:-1]}).encode()),
    ]:
        client.produce(LISTS.name, value, key.encode())
    assert client.flush(60) == 0
    last = address()
    assert lists("add", name, last)[0] == 0
    wait_for(lambda: told(http, last)["receiver"]["lists"] == [name])
    assert told(http, bad)["risk_level"] == "medium", "what stood there before holds in the worker"
    _, _, err = lists("show")
    assert err.count("lists nothing: ") == 2 and "address: " in err and f"its key is '{name}:1:{bad}'" in err
    assert lists("drop", name, "--yes")[0] == 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["add", "Own List", "0x" + "ab" * 20], "is no name of a list; give small letters"),
        (["add", "ofac", "0x" + "ab" * 20], "ofac comes with Soba and is not changed here"),
        (["drop", "ofac", "--yes"], "there is no list 'ofac'"),
        (["add", "own"], "no address is given; name some"),
        (["add", "own", "0x12"], "argument 1: '0x12' is no address; give 0x and 40 hex digits"),
        (["add", "own", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD"], "BeAeD fails its EIP-55 checksum; give"),
        (["add", "own", "0x" + "ab" * 20, "--severity", "awful"], '--severity: "awful" is none of the allowed values'),
        (["add", "own", "0x" + "ab" * 20, "--note", "n" * 3_000], "--note: "),
        (["add", "own", "--file", "nowhere.txt"], "--file nowhere.txt cannot be read"),
        (["show", "nowhere"], "there is no list 'nowhere' of one's own"),
    ],
)  # fmt: skip
def test_what_the_command_refuses(lists: Soba, argv: list[str], said: str) -> None:
    code, out, err = lists(*argv)
    assert (code, out) == (1, "") and said in err and "Traceback" not in err


def test_one_wrong_line_of_a_file_and_nothing_is_changed(lists: Soba, name: str, tmp_path: Path) -> None:
    file = tmp_path / "addresses.txt"
    file.write_text(f"{address()}\nhello\n")
    code, _, err = lists("add", name, "--file", file)
    assert code == 1 and "nothing was changed: 1 of 2" in err and f"{file}, line 2: 'hello' is no address" in err
    assert lists("show", name)[0] == 1


def test_a_list_of_many_thousands_is_taken_whole_and_goes_whole(
    http: httpx.Client, lists: Soba, name: str, tmp_path: Path
) -> None:
    many = [f"0x{uuid.uuid4().hex}{number:08x}" for number in range(20_000)]
    file = tmp_path / "addresses.txt"
    file.write_text("\n".join(many))
    assert lists("add", name, "--file", file)[1].startswith(f"{name}: 20,000 added, 0 put anew")
    wait_for(lambda: json.loads(lists("show", "--json")[1])["workers"] == [True])
    for one in (many[0], many[9_999], many[-1]):
        assert told(http, one)["receiver"]["lists"] == [name]
    assert lists("drop", name, "--yes")[0] == 0
    wait_for(lambda: json.loads(lists("show", "--json")[1])["workers"] == [True])
    assert told(http, many[-1])["receiver"]["lists"] == []
