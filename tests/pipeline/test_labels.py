"""Labels on a real Kafka: given, measured, taken back; each with how its wallet had been judged before."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import pytest
import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

import agents.labels
import console.labels
from agents import app, profiles
from agents.activity import Activity
from agents.labels import Labels, labelling
from agents.outlet import Outlet
from base import metrics
from base.settings import Settings, get_settings
from models.fraud.scorer import Scorer
from tables.registry import PROFILES, RISK, RISK_BY_WALLET
from tables.rows import Pointer, Row
from tests import fraud
from tests.conftest import wait_for
from tests.contract.facade import write
from tests.fraud import CUTS
from tests.pipeline.conftest import Soba
from tests.unit.test_fraud_assess import SANCTIONED, assessed
from topics import clients
from topics.registry import LABELS
from topics.schemas.labels import Label
from topics.schemas.wallet import Warned

pytestmark = pytest.mark.pipeline


@pytest.fixture
def own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A topic and a Redis that nobody else uses."""
    topic = replace(LABELS, name=f"labels-{uuid.uuid4().hex[:8]}")
    client = AdminClient(clients.common(settings))
    client.create_topics([NewTopic(topic.name, 2, 1)])[topic.name].result(30)
    wait_for(lambda: topic.name in client.list_topics(timeout=30).topics)
    for module in (agents.labels, console.labels):
        monkeypatch.setattr(module, "LABELS", topic)
    found = settings.model_copy(update={"redis_url": f"{settings.redis_url.rpartition('/')[0]}/12"})
    with redis.Redis.from_url(found.redis_url) as client:
        client.flushdb()
    return found


@pytest.fixture
def soba(soba: Soba, own: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Soba:
    """Commands of a Soba whose model is the tiny one, which was trained on the campaign `known`."""
    one = fraud.served(tmp_path)

    def load(manifest: Any, content: Any) -> Scorer:
        loaded: Scorer = one.load(manifest, content)
        return replace(loaded, groups=frozenset([crc32(b"known")]))

    worker: Any = SimpleNamespace(agents=lambda: [replace(profiles.AGENT, models=(replace(one, load=load),))])
    monkeypatch.setitem(app.WORKERS, "fraud", worker)
    monkeypatch.setenv("REDIS_URL", own.redis_url)
    get_settings.cache_clear()
    return soba


@pytest.fixture
def labels(own: Settings) -> Iterator[Labels]:
    """Those of a worker, without the worker."""
    found = labelling([profiles.AGENT], own, Outlet(own, Activity()))
    assert found is not None
    asyncio.run(found.on_start())
    found.known()
    yield found
    asyncio.run(found.on_stop())


def address() -> str:
    return "0x" + uuid.uuid4().hex + "00" * 4


def judge(own: Settings, *levels: str, model: str = "fraud/tiny") -> list[str]:
    """Wallets whose profiles are judged so."""
    wallets = [address() for _ in levels]
    rows = [
        Row(PROFILES, f"1:{one}", 1, fraud.profile_row(one, fraud.wallet(3), level=level, probability=0.5, model=model))
        for one, level in zip(wallets, levels, strict=True)
    ]
    with redis.Redis.from_url(own.redis_url) as client:
        write(client, *rows)
    return wallets


def outcomes() -> dict[tuple[str, str], float]:
    """What the metric says, without what is nothing."""
    (family,) = metrics.FRAUD_OUTCOMES.collect()
    told = {(one.labels["label"], one.labels["judged"]): one.value for one in family.samples}
    return {name: value for name, value in told.items() if value}


def shares(gauge: Any) -> dict[str, float]:
    (family,) = gauge.collect()
    return {one.labels["level"]: one.value for one in family.samples}


def shown(soba: Soba, *more: str) -> list[Label]:
    return [Label.model_validate_json(line) for line in soba("labels", "show", "--json", *more)[1].splitlines()]


def test_labels_that_are_given_are_measured_and_what_is_taken_back_is_not(
    soba: Soba, labels: Labels, own: Settings
) -> None:
    low, high, critical, seen, good = judge(own, "low", "high", "critical", "critical", "high")
    new = address()
    said = soba(
        "labels", "add", low, high, critical.upper().replace("X", "x"), new, "--label", "fraud", "--source", "me"
    )
    assert said[:2] == (0, "labelled 4 fraud; 0 stood so already, 1 had never been judged\n")
    assert soba("labels", "add", good, "--label", "ordinary", "--group", "shop")[0] == 0
    assert soba("labels", "add", seen, "--label", "fraud", "--group", "known")[0] == 0
    assert soba("labels", "add", address(), "--label", "fraud", "--confidence", "0.3")[0] == 0
    expected = {("fraud", one): 1 for one in ("low", "high", "critical", "unseen", "trained_on")} | {
        ("ordinary", "high"): 1
    }
    wait_for(lambda: outcomes() == expected)
    # These are set after them.
    wait_for(lambda: shares(metrics.FRAUD_PRECISION) == {"medium": 2 / 3, "high": 2 / 3, "critical": 1.0})
    wait_for(lambda: shares(metrics.FRAUD_RECALL) == {"medium": 2 / 3, "high": 2 / 3, "critical": 1 / 3})
    out = soba("labels", "show")[1]
    assert "7 labels" in out and "high      precision 0.667, recall 0.667" in out

    assert soba("labels", "remove", critical, new)[:2] == (0, "took back 2 of 7 labels\n")
    wait_for(lambda: ("fraud", "critical") not in outcomes())
    wait_for(lambda: shares(metrics.FRAUD_PRECISION) == {"medium": 0.5, "high": 0.5})
    assert {one.address for one in shown(soba)}.isdisjoint({critical, new})
    code, _, err = soba("labels", "remove", critical)
    assert (code, f"no label of 1:{critical}" in err) == (1, True)


def test_a_wallet_is_labelled_on_its_chain(soba: Soba, own: Settings) -> None:
    one = address()
    assert soba("labels", "add", one, "--label", "fraud", "--chain-id", "10")[0] == 0
    assert [(label.chain_id, label.address) for label in shown(soba)] == [(10, one)]
    code, _, err = soba("labels", "remove", one)
    assert (code, f"no label of 1:{one}" in err) == (1, True)
    assert soba("labels", "remove", one, "--chain-id", "10")[0] == 0
    assert shown(soba) == []


def test_a_mistyped_wallet_is_not_labelled(soba: Soba, own: Settings) -> None:
    mistyped = "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # as EIP-55 has it, but for the case of one letter
    code, _, err = soba("labels", "add", mistyped, "--label", "fraud")
    assert (code, "fails its EIP-55 checksum" in err) == (1, True)
    assert shown(soba) == []


def test_what_lists_say_of_a_wallet_is_no_judgement_of_its_behaviour(soba: Soba, own: Settings) -> None:
    listed, exposed, many = address(), address(), address()
    said = {"message": "it is", "value": "ofac"}
    by_list = Warned(code="listed", severity="critical", **said)
    dealt = Warned(code="exposed_to_listed", severity="high", **said)
    habit = Warned(code="many_to_one", severity="medium", **said)
    about = {listed: ([by_list], 0.001), exposed: ([dealt], (CUTS[0] + CUTS[1]) / 2), many: ([by_list, habit], 0.001)}
    rows = [
        Row(PROFILES, f"1:{one}", 1, fraud.profile_row(
            one, fraud.wallet(3), level="critical", probability=probability, model="fraud/tiny", alerts=alerts
        ))
        for one, (alerts, probability) in about.items()
    ]  # fmt: skip
    with redis.Redis.from_url(own.redis_url) as client:
        write(client, *rows)
    code, out, err = soba("labels", "show", listed, exposed)
    assert (code, out, f"no label of {min(listed, exposed)}" in err) == (1, "", True)
    assert f"1:{listed} is judged low by its behaviour alone, whatever lists say: probability 0.001, 3 moves" in err
    assert f"1:{exposed} is judged medium by its behaviour alone" in err
    assert soba("labels", "add", *about, "--label", "fraud")[0] == 0
    assert f"before it was labelled, 1:{listed} was judged low by" in soba("labels", "show", listed)[1]
    levels = {one.address: one.prior.level for one in shown(soba) if one.prior is not None}
    assert levels == {listed: "low", exposed: "medium", many: "medium"}


def test_a_wallet_that_is_labelled_anew_keeps_how_it_had_been_judged_first(soba: Soba, own: Settings) -> None:
    (one,) = judge(own, "high")
    assert soba("labels", "add", one, "--label", "fraud")[0] == 0
    with redis.Redis.from_url(own.redis_url) as client:
        write(client, Row(PROFILES, f"1:{one}", 2, fraud.profile_row(one, fraud.wallet(1), level="low")))
    assert soba("labels", "add", one, "--label", "ordinary", "--note", "appealed")[0] == 0
    (label,) = shown(soba, one)
    assert label.prior is not None
    assert (label.label, label.note, label.prior.level, label.prior.model) == (
        "ordinary",
        "appealed",
        "high",
        "fraud/tiny",
    )
    assert (
        "labelled nothing new; 1 stood so" in soba("labels", "add", one, "--label", "ordinary", "--note", "appealed")[1]
    )


def test_who_is_known_by_a_request_alone_was_judged_by_it(soba: Soba, own: Settings) -> None:
    one = assessed()
    with redis.Redis.from_url(own.redis_url) as client:
        write(client, Row(RISK, one.id, 1, one, (Pointer(RISK_BY_WALLET, f"1:{one.from_address}", 1),)))
    assert soba("labels", "add", one.from_address, "--label", "ordinary")[0] == 0
    (label,) = shown(soba)
    assert label.prior is not None and (label.prior.level, label.prior.evidence) == ("low", 1)


def test_who_is_listed_and_known_by_a_request_alone_counts_by_its_behaviour(soba: Soba, own: Settings) -> None:
    one = assessed(fromAddress=SANCTIONED)
    assert one.sender.level == "critical"
    with redis.Redis.from_url(own.redis_url) as client:
        write(client, Row(RISK, one.id, 1, one, (Pointer(RISK_BY_WALLET, f"1:{SANCTIONED}", 1),)))
    assert soba("labels", "add", SANCTIONED, "--label", "fraud")[0] == 0
    (label,) = shown(soba)
    assert label.prior is not None and (label.prior.level, label.prior.evidence) == ("low", 1)


def test_what_is_no_wallet_was_not_judged(soba: Soba, own: Settings) -> None:
    one = address()
    with redis.Redis.from_url(own.redis_url) as client:
        write(client, Row(PROFILES, f"1:{one}", 1, fraud.profile_row(one, fraud.wallet(3), known="contract")))
    assert "1 had never been judged" in soba("labels", "add", one, "--label", "fraud")[1]


def test_a_file_is_taken_whole_or_not_at_all(soba: Soba, tmp_path: Path) -> None:
    good, other = address(), address()
    csv = tmp_path / "labels.csv"
    rows = f"address,label,group,n_tx,confidence\n{good.upper()},1,g1,7,\n{other},0,,7,0.9\n"
    csv.write_text(f"{rows}0x12,0,g2,7,\n")
    code, out, err = soba("labels", "import", csv)
    assert (code, out, f"{csv}, line 4: address" in err) == (1, "", True)
    assert shown(soba) == []
    csv.write_text(rows)
    code, out, _ = soba("labels", "import", csv)
    assert (code, out.split(";")[0]) == (0, "labelled 1 fraud, 1 ordinary")
    found = {one.address: one for one in shown(soba)}
    assert (found[good].label, found[good].group, found[good].source) == ("fraud", "g1", "labels.csv")
    assert (found[other].label, found[other].confidence) == ("ordinary", 0.9)

    again = tmp_path / "again.jsonl"
    again.write_text("\n".join(one.model_dump_json() for one in found.values()) + "\n")
    code, out, _ = soba("labels", "import", again)
    assert (code, out.split(",")[0]) == (0, "labelled nothing new; 2 stood so already")
    code, _, err = soba("labels", "import", tmp_path / "none.csv")
    assert (code, "cannot be read" in err) == (1, True)
    csv.write_text("wallet\n")
    assert "has no column address and none label" in soba("labels", "import", csv)[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("0x12", "--label", "fraud"), "address"),
        (("0x" + "12" * 20, "--label", "bad"), "label"),
        (("0x" + "12" * 20, "--label", "fraud", "--confidence", "3"), "confidence"),
    ],
)
def test_what_is_no_label_is_not_sent(soba: Soba, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = soba("labels", "add", *arguments)
    assert (code, out, err.startswith(f"soba: {words}: ")) == (1, "", True), err


def test_a_record_that_is_no_label_changes_nothing_and_is_counted(soba: Soba, labels: Labels, own: Settings) -> None:
    one, next_one = judge(own, "high", "low")
    soba("labels", "add", one, "--label", "fraud")
    before = metrics.LABELS_REFUSED._value.get()
    value = json.dumps({"address": one, "label": "ordinary", "labelled_at": "2024-01-01T00:00:00Z"})
    client = Producer(clients.producer(own))
    for key, bad in ((f"1:{one}", b"{}"), ("1:other", value.encode())):
        client.produce(labels.topic, bad, key.encode())
    assert client.flush(60) == 0
    wait_for(lambda: metrics.LABELS_REFUSED._value.get() == before + 2)
    # What they had changed would be told with the next label at the latest.
    soba("labels", "add", next_one, "--label", "fraud")
    wait_for(lambda: outcomes() == {("fraud", "high"): 1, ("fraud", "low"): 1})
