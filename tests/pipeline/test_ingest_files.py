"""`soba ingest files` against a real broker, with blocks of a chain that nobody else has."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from ingest.decode import decode
from tests.pipeline.conftest import Soba
from tests.unit.raw_logs import rpc
from tests.unit.test_ingest_sources import block, logs, receipts
from topics.codecs import encode

pytestmark = pytest.mark.pipeline


@pytest.fixture
def chain() -> int:
    return random.randrange(10**9, 10**12)


def test_blocks_arrive_complete_and_in_order_and_what_is_refused_is_told(
    soba: Soba, tmp_path: Path, chain: int
) -> None:
    def of_chain(number: int) -> dict[str, Any]:
        held = block(number)
        (transaction,) = held["transactions"]
        return {**held, "transactions": [{**transaction, "chainId": hex(chain)}]}

    numbers = [12, 2, 100, 9, 31]
    for number in numbers:
        (tmp_path / f"{number}.json").write_text(json.dumps(rpc(of_chain(number))))
    unknown = {**logs(2)[0], "topics": ["0x" + "77" * 32]}
    (tmp_path / "receipts.jsonl").write_text("\n".join(json.dumps(receipts(number)) for number in numbers[:3]))
    (tmp_path / "rest.json").write_text(
        json.dumps([*logs(9), {**unknown, "blockNumber": "0x9", "blockHash": f"0x{9:064x}"}])
    )
    code, out, err = soba("ingest", "files", tmp_path)
    assert code == 1
    assert "chain.events: 4 blocks acknowledged (4 complete), 4 events\n" in out
    assert "logs that became no event: 1\n  unknown_topic            1  events of no protocol" in out
    assert "block 31 came without receipts and logs; add its eth_getBlockReceipts" in err

    read = ("consume", "chain.events", "--from", "earliest", "--filter", f"chain_id={chain}", "--json")
    code, got, _ = soba(*read, "-n", "4", "--timeout", "5")
    rows = [json.loads(line) for line in got.splitlines()]
    assert [row["value"]["number"] for row in rows] == [2, 9, 12, 100]
    assert {row["key"] for row in rows} == {str(chain)}
    whole = {"block": of_chain(100), "receipts": receipts(100)}
    assert rows[-1]["value"] == json.loads(encode(decode(json.dumps(whole).encode()).block))

    again = tmp_path / "100.json", tmp_path / "receipts.jsonl", "--chain-id", str(chain), "--json"
    code, out, _ = soba("ingest", "files", *again)
    told = json.loads(out.splitlines()[-1])
    assert (code, told["blocks"], told["statuses"]) == (0, 3, {"complete": 1, "partial": 2})


def test_what_is_no_block_is_refused_before_anything_is_sent(soba: Soba, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"hello": 1}')
    code, out, err = soba("ingest", "files", tmp_path / "a.json")
    assert (code, out) == (1, "") and "a.json: nothing of a block is in it; give mev-blocks" in err
    code, out, err = soba("ingest", "files", tmp_path)
    assert (code, out) == (1, "") and ": 1 file with something else" in err
    (tmp_path / "a.json").unlink()
    code, out, err = soba("ingest", "files", tmp_path)
    assert (code, out) == (1, "") and ": no .json or .jsonl file" in err
    (tmp_path / "a.json").write_text(json.dumps(rpc(block(31))))
    code, out, err = soba("ingest", "files", tmp_path)
    assert (code, out) == (1, "chain.events: nothing was sent: every block was refused\n")
    assert "block 31 came without receipts and logs" in err
