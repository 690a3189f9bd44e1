"""What `soba labels`, `soba lists` and `soba ingest files` say of what they found and did, without servers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisGone

from base.settings import get_settings
from console import cli, compacted, ingest_files, lists, priors
from console.records import Seen
from models.fraud.lists import Lists
from tables.registry import WorkerRow
from topics.schemas.labels import Label, Prior
from topics.schemas.lists import Listed

ONE, OTHER, THIRD = "0x" + "1a" * 20, "0x" + "2b" * 20, "0x" + "3c" * 20
AT = datetime(2024, 5, 1, tzinfo=UTC)
JUDGED = Prior(level="high", probability=0.5, model="fraud/tiny", evidence=3)
Told = pytest.CaptureFixture[str]


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> dict[str, Seen]:
    """What the topic of the command holds; no wallet is judged."""
    held: dict[str, Seen] = {}
    settings = get_settings()

    def put(_: Any, name: str, rows: Sequence[tuple[str, bytes | None, Any]]) -> None:
        for key, value, headers in rows:
            held.pop(key, None)
            if value is not None:
                held[key] = Seen(name, 0, 0, 0, key.encode(), headers, value)

    monkeypatch.setattr(compacted, "book", lambda _: (settings, dict(held)))
    monkeypatch.setattr(compacted, "put", put)
    monkeypatch.setattr(priors, "of", lambda *_: {})
    return held


def ran(capsys: Told, *argv: str | Path) -> tuple[int, str, str]:
    """Exit code, output and errors of a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(one) for one in argv])
    return int(ended.value.code or 0), *capsys.readouterr()


def labelled(topic: dict[str, Seen], *labels: Label) -> None:
    """Have these stand in the topic."""
    for one in labels:
        topic[one.key] = Seen("labels", 0, 0, 0, one.key.encode(), [], one.model_dump_json(exclude_none=True).encode())


def worker(known: str, service: str = "fraud") -> WorkerRow:
    """One that says it knows these lists."""
    about = {"app_id": "a", "instance": "i", "pid": 1, "port": 1, "started_at": 0.0, "beat_at": 0.0, "progress_at": 0.0}
    counts = {"handled": 0, "failed": 0, "dead_letters": 0, "lag": 0}
    return WorkerRow.model_validate({**about, **counts, "service": service, "lists": known})


def test_an_import_says_how_many_earlier_labels_said_otherwise(
    topic: dict[str, Seen], capsys: Told, tmp_path: Path
) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f"address,label\n{ONE},1\n{OTHER},1\n")
    code, out, err = ran(capsys, "labels", "import", file)
    assert (code, out, err) == (0, "labelled 2 fraud; 0 stood so already, 2 had never been judged\n", "")
    file.write_text(f"address,label\n{ONE},0\n{OTHER},1\n{THIRD},0\n")
    assert ran(capsys, "labels", "import", file)[1] == (
        "labelled 2 ordinary; 1 stood so already, 2 had never been judged"
        "; 1 earlier label said otherwise: 1 fraud is ordinary now\n"
    )
    file.write_text(f"address,label\n{ONE},1\n{OTHER},unknown\n{THIRD},1\n")
    assert ran(capsys, "labels", "import", file)[1].endswith(
        "; 3 earlier labels said otherwise: 1 fraud is unknown now, 2 ordinary are fraud now\n"
    )
    assert "otherwise" not in ran(capsys, "labels", "add", ONE, "--label", "fraud", "--note", "sure")[1]


def test_a_label_that_is_taken_back_is_counted_in_the_singular(topic: dict[str, Seen], capsys: Told) -> None:
    labelled(topic, Label(address=ONE, label="fraud", labelled_at=AT))
    assert ran(capsys, "labels", "remove", ONE)[1] == "took back 1 of 1 label\n"


def test_of_a_named_wallet_it_is_told_what_its_behaviour_had_been_judged(topic: dict[str, Seen], capsys: Told) -> None:
    known = JUDGED.model_copy(update={"trained_on": True, "probability": None, "evidence": 1})
    priors_of = {ONE: JUDGED, OTHER: known, THIRD: None}
    labelled(
        topic, *(Label(address=one, label="fraud", labelled_at=AT, prior=prior) for one, prior in priors_of.items())
    )
    was = f"before it was labelled, 1:{ONE} was judged high by its behaviour alone, whatever lists say: "
    last = ran(capsys, "labels", "show", ONE)[1].splitlines()[-1]
    assert last == was + "probability 0.500, 3 moves, fraud/tiny"
    out = ran(capsys, "labels", "show", *priors_of)[1]
    assert "1 move, fraud/tiny; the model was trained on its campaign, so that proves nothing\n" in out
    assert f"before it was labelled, 1:{THIRD} was not judged by its behaviour\n" in out


def test_of_a_wallet_without_a_label_it_is_told_how_its_behaviour_is_judged(
    topic: dict[str, Seen], capsys: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def of(_: Any, labels: Sequence[Label]) -> dict[str, Prior]:
        asked.extend(one.address for one in labels)
        return {f"1:{ONE}": JUDGED}

    monkeypatch.setattr(priors, "of", of)
    code, out, err = ran(capsys, "labels", "show", ONE, OTHER, "0x12")
    first, *lines = [line.strip() for line in err.splitlines()]
    assert (code, out, first) == (1, "", f"soba: no label of 0x12, {ONE}, {OTHER}; soba labels add gives one")
    assert lines == [
        f"1:{ONE} is judged high by its behaviour alone, whatever lists say: probability 0.500, 3 moves, fraud/tiny",
        f"1:{OTHER} is not judged by its behaviour",
    ]
    assert asked == [ONE, OTHER]

    def gone(*_: Any) -> Any:
        raise RedisGone("refused")

    monkeypatch.setattr(priors, "of", gone)
    assert "how its behaviour is judged is not known: refused" in ran(capsys, "labels", "show", ONE)[2]


def test_of_workers_that_do_not_know_a_list_yet_it_is_told_when_they_will(
    topic: dict[str, Seen], capsys: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Listed(list="mine", address=ONE, added_at=AT)
    topic[one.key] = Seen("lists", 0, 0, 0, one.key.encode(), [], one.model_dump_json().encode())
    version = Lists({one.key: one}).version
    running: list[WorkerRow] = []
    monkeypatch.setattr(lists, "workers", lambda: running)
    soon = "workers take a change within a second or so and say so some seconds later; if it stays so, see the log"

    def last() -> str:
        return ran(capsys, "lists", "show")[1].splitlines()[-1]

    assert last() == f"version {version}; no worker that asks for lists is running"
    running[:] = [worker("old"), worker("", "validate")]
    assert "; workers that know it: 0 of 1, as of" in last() and f"; 1 has not said so yet: {soon}" in last()
    running[:] = [worker("old"), worker("older"), worker(version)]
    assert "; workers that know it: 1 of 3, as of" in last() and f"; 2 have not said so yet: {soon}" in last()
    running[:] = [worker(version)]
    assert "; workers that know it: 1 of 1, as of" in last() and last().endswith(" s ago")


def test_addresses_of_a_long_list_are_counted_as_elsewhere(
    topic: dict[str, Seen], capsys: Told, tmp_path: Path
) -> None:
    file = tmp_path / "addresses.txt"
    file.write_text("\n".join(f"0x{number:040x}" for number in range(1_200)))
    assert ran(capsys, "lists", "add", "mine", "--file", file)[1].startswith("mine: 1,200 added, 0 put anew;")
    assert ran(capsys, "lists", "remove", "mine", "--file", file)[1] == "mine: 1,200 taken off\n"


def test_one_block_of_a_file_is_told_in_the_singular(capsys: Told) -> None:
    one = ingest_files.Outcome(
        1, 1, Counter(complete=1), 1, unknown_pools=1, refused=["why"] * (ingest_files.NAMED + 1)
    )
    ingest_files._report(one, json=False)
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "chain.events: 1 block acknowledged (1 complete), 1 event",
        "1 time a pool or market was met that only a node could tell of (soba ingest node asks)",
        "1 file with nothing of a block",
    ]
    assert err.splitlines()[-1] == "and 1 more is refused (--json names all)"
