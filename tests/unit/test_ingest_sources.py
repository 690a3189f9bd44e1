"""Files of raw blocks in every form: found, put together by number, refused by field."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from ingest.decode import assemble
from ingest.facts import Facts
from ingest.parts import RawBlock
from ingest.raw import Malformed
from ingest.sources import index
from tests.unit.raw_logs import ALICE, BOB, TX, USDC, raw, rpc, transfer_of
from topics.schemas.chain import Block

OTHER = "0x" + "22" * 32


def block(number: int, **more: Any) -> dict[str, Any]:
    """The result of eth_getBlockByNumber."""
    transaction = {
        "hash": TX, "transactionIndex": "0x3", "from": ALICE, "to": BOB, "value": "0x1", "gas": "0x5208", "gasPrice": "0x9",
        "input": "0x", "chainId": "0x5",
    }  # fmt: skip
    held = {"number": hex(number), "hash": hash_of(number), "parentHash": hash_of(number - 1), "timestamp": "0x64"}
    return {**held, "transactions": [transaction], **more}


def hash_of(number: int) -> str:
    return f"0x{number:064x}"


def logs(number: int) -> list[dict[str, Any]]:
    """The result of eth_getLogs."""
    of_block = {"blockNumber": hex(number), "blockHash": hash_of(number), "blockTimestamp": "0x64"}
    return [{**transfer_of(USDC, ALICE, BOB, number), **of_block}]


def receipts(number: int) -> list[dict[str, Any]]:
    """The result of eth_getBlockReceipts."""
    return [
        {
            "transactionHash": TX, "transactionIndex": "0x3", "from": ALICE, "to": BOB, "status": "0x1", "gasUsed": "0x5000",
            "blockNumber": hex(number), "blockHash": hash_of(number), "logs": logs(number),
        }
    ]  # fmt: skip


def write(folder: Path, **files: Any) -> Path:
    for name, value in files.items():
        text = value if isinstance(value, str) else json.dumps(value)
        (folder / f"{name}.json").write_text(text)
    return folder


def found(*paths: Path, chain_id: int | None = None) -> list[Block]:
    told = index(paths)
    assert list(told.blocks) == sorted(told.blocks)
    return [assemble(told.put_together(number, chain_id)).block for number in told.blocks]


def said(block: Block) -> tuple[Any, ...]:
    (event,) = block.model_dump()["events"]
    return block.chain_id, block.number, block.hash, block.timestamp, block.status, event["amount_in_raw"]


def expected(number: int, status: str = "complete") -> tuple[Any, ...]:
    return 5, number, hash_of(number), 100, status, str(number)


@pytest.mark.parametrize("wrap", [lambda result: result, rpc], ids=["bare", "answers"])
def test_a_block_and_its_receipts_or_logs_find_each_other(tmp_path: Path, wrap: Any) -> None:
    files = {"b10": wrap(block(10)), "b9": wrap(block(9)), "r9": wrap(receipts(9)), "logs": wrap(logs(10))}
    ninth, tenth = found(write(tmp_path, **files))
    assert (said(ninth), said(tenth)) == (expected(9), expected(10))
    assert (ninth.transactions[0].gas_used, tenth.transactions[0].gas_used) == (0x5000, None)


def test_lists_of_blocks_batches_and_lines(tmp_path: Path) -> None:
    listed = write(tmp_path, blocks=[block(7), block(8)], batch=[rpc(receipts(8)), rpc(receipts(7))])
    assert list(map(said, found(listed))) == [expected(7), expected(8)]
    lines = tmp_path / "lines.jsonl.gz"
    values = [{"block": block(3), "receipts": receipts(3)}, {"block": rpc(block(2)), "logs": rpc(logs(2))}]
    lines.write_bytes(gzip.compress("\n\n".join(map(json.dumps, values)).encode() + b"\n"))
    assert list(map(said, found(lines))) == [expected(2), expected(3)]


def test_logs_of_many_blocks_are_shared_out(tmp_path: Path) -> None:
    folder = write(tmp_path, blocks=[block(7), block(8)], logs=[*logs(8), *logs(7)])
    assert list(map(said, found(folder))) == [expected(7), expected(8)]


def test_logs_of_one_block_in_several_lists_are_put_together_each_once(tmp_path: Path) -> None:
    one, other = logs(7)[0], {**logs(7)[0], "logIndex": "0x8"}
    (told,) = found(write(tmp_path, block=block(7), a=[one, *logs(8)], b=[other, one], c=block(8)))[:1]
    assert [event.log_index for event in told.events] == [7, 8]
    receipt, second = (
        receipts(9)[0],
        {**receipts(9)[0], "transactionHash": OTHER, "transactionIndex": "0x4", "logs": []},
    )
    (told,) = found(write(tmp_path, block=block(9), a=[receipt], b=[second, receipt], c=[]))
    assert [transaction.hash for transaction in told.transactions] == [TX, OTHER]


def test_without_its_block_it_is_partial(tmp_path: Path) -> None:
    """Nothing says that those are all of its logs; they tell hash and time themselves."""
    (one,) = found(write(tmp_path, logs=logs(6)), chain_id=5)
    assert said(one) == expected(6, "partial")
    (two,) = found(write(tmp_path, logs=receipts(6)), chain_id=5)
    assert said(two) == expected(6, "partial") and two.transactions[0].gas_used == 0x5000
    (gone,) = found(write(tmp_path, logs=[{**logs(6)[0], "removed": True}]), chain_id=5)
    assert gone.status == "removed"
    with pytest.raises(Malformed, match="chain_id: receipts and logs do not tell it; give --chain-id"):
        found(tmp_path)


def test_mev_blocks_beside_other_things_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "block.json").write_bytes(raw(transfer_of(USDC, ALICE, BOB, 1)))
    write(tmp_path, expected={"block_number": 5, "labels": []}, empty=[], notes="[]")
    (tmp_path / "readme.md").write_text("no JSON")
    told = index([tmp_path])
    assert (list(told.blocks), sorted(one.stem for one in told.passed_over)) == ([5], ["empty", "expected", "notes"])
    assert [one.number for one in found(tmp_path)] == [5]


def test_the_same_block_twice_is_one_and_two_blocks_of_a_number_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, a=block(9), b=block(9), c=receipts(9), d=receipts(9))
    assert list(map(said, found(folder))) == [expected(9)]
    with pytest.raises(
        Malformed, match=f"block 9: .*a.json, value 1 is of {hash_of(9)}, .*z.json, value 1 of {OTHER}; give one"
    ):
        found(write(folder, z=block(9, hash=OTHER)))


@pytest.mark.parametrize(
    "files, message",
    [
        ({"a": block(9)}, "block 9 came without receipts and logs; add its eth_getBlockReceipts"),
        ({"a": "{"}, "a.json: not JSON .*; give one JSON value, or one a line"),
        ({"a": '{}\n{"x": 1\n'}, r"a.json: not JSON \(line 2: .*one a line"),
        ({"a": rpc(None)}, "a.json, value 1: the node answered null"),
        (
            {"a": [rpc(block(1)), {"jsonrpc": "2.0", "error": {"code": -32000}}]},
            "value 1: the node answered {'code': -32000}",
        ),
        (
            {"a": {**block(9), "number": 9}, "b": receipts(9)},
            "a.json, value 1: number: 9 is no number of a block; give a hex",
        ),
        (
            {"a": block(9), "b": [{**receipts(9)[0], "blockNumber": None}]},
            "b.json, value 1, element 0: blockNumber: None",
        ),
        (
            {"a": block(9, timestamp="x"), "b": receipts(9)},
            'a.json.*block.timestamp: "x" does not .*; give a hex quantity',
        ),
        ({"a": block(9), "b": [{**receipts(9)[0], "gasUsed": 1}]}, "b.json.*receipts.0.gasUsed: 1 is not text"),
        (
            {"a": {"block": block(9), "receipts": [{**receipts(9)[0], "logs": [{}]}]}},
            "receipts.0.logs.0.address: it is missing",
        ),
    ],
)
def test_faults_are_told_by_file_and_field(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    with pytest.raises(Malformed, match=message):
        found(write(tmp_path, **files))


def test_named_files_must_hold_a_block(tmp_path: Path) -> None:
    file = write(tmp_path, a={"x": 1}) / "a.json"
    with pytest.raises(Malformed, match=r"a\.json: nothing of a block is in it; give mev-blocks, objects with"):
        index([file])
    with pytest.raises(Malformed, match=r"absent\.json: cannot be read"):
        index([tmp_path / "absent.json"])


def test_the_chain_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path, a=block(9), b=receipts(9))
    with pytest.raises(Malformed, match="chain_id: its transactions are of 5, not of 7"):
        found(folder, chain_id=7)
    untold = block(8, transactions=[TX])
    folder = write(tmp_path, a=untold, b=receipts(8), c={"block": block(9, transactions=[TX]), "logs": logs(9)})
    assert [one.chain_id for one in found(folder, chain_id=7)] == [7, 7]
    with pytest.raises(Malformed, match="chain_id: no transaction tells it"):
        found(folder)


def test_hex_in_any_case_is_lowered(tmp_path: Path) -> None:
    upper = json.loads(json.dumps([block(9), receipts(9)]).replace("a1a1", "A1A1"))
    (one,) = found(write(tmp_path, a=upper[0], b=upper[1]))
    (event,) = one.model_dump()["events"]
    assert (event["from_address"], event["to_address"], one.transactions[0].from_address) == (ALICE, BOB.lower(), ALICE)


def test_facts_of_one_block_hold_for_those_read_with_them() -> None:
    told = RawBlock({"chain_id": 1, "number": 1}, [], [], Facts(decimals={USDC: 6}))
    assert assemble(told).wanted == ()
