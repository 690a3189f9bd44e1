"""The shipped blocks through the decoder: every swap that mev-inspect-js decoded from real logs, to the last unit."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from base.settings import ROOT
from ingest.decode import assemble, decode
from ingest.files import find_blocks, read, read_blocks
from ingest.raw import Malformed, parse
from tests.unit.raw_logs import USDC, WETH
from topics.schemas.chain import Block, Liquidation, Swap
from topics.schemas.native import ZERO

SAMPLES = ROOT / "samples" / "blocks"
FILES = find_blocks(SAMPLES)
REAL = [file for file in FILES if file.parent.name.endswith("-real")]
DROPPED_BY_REFERENCE = {
    # Fee-on-transfer swaps, which mev-inspect-js drops beyond 0.1 %, and pools of factories it does not know.
    "ethereum-15000000-real": 1,
    "ethereum-17000000-real": 1,
    "ethereum-18999999-real": 2,
}


BY_UNISWAP = ("uniswap", "sushiswap", "shibaswap", "pancakeswap")


def swaps(block: Block, *protocols: str) -> Counter[tuple[Any, ...]]:
    """Those of protocols whose name begins so."""
    return Counter(
        (one.transaction_hash, one.pool, one.token_in, one.token_out, one.amount_in_raw, one.amount_out_raw)
        for one in block.events
        if isinstance(one, Swap) and (one.protocol or "").startswith(protocols)
    )


def labels(file: Path) -> dict[str, Any]:
    expected: dict[str, Any] = json.loads(file.with_name("expected.json").read_text())
    return expected


SWAP = ("tx", "pool", "token_in", "token_out", "amount_in", "amount_out")
TRACED_SWAP = (
    "transaction_hash", "contract_address", "token_in_address", "token_out_address", "token_in_amount", "token_out_amount",
)  # fmt: skip


@pytest.mark.parametrize("file", REAL, ids=lambda file: file.parent.name)
def test_every_reference_swap_of_real_logs_is_decoded_exactly(file: Path) -> None:
    reference = Counter(tuple(one[name] for name in SWAP) for one in labels(file)["reference_swaps"])
    decoded = swaps(decode(read(file)).block, *BY_UNISWAP)
    assert not reference - decoded
    assert (decoded - reference).total() == DROPPED_BY_REFERENCE.get(file.parent.name, 0)


def test_what_others_read_of_traces_is_decoded_exactly() -> None:
    """Balancer and Curve: every reference swap of a call that did not fail, which leaves no logs."""
    compared = Counter[str]()
    for file in FILES:
        block = decode(read(file)).block
        for name in ("balancer_v1", "curve"):
            seen = [one for one in labels(file)["reference_swaps"] if one["protocol"] == name and one["error"] is None]
            reference = Counter(tuple(one[field] for field in TRACED_SWAP) for one in seen)
            assert not reference - swaps(block, name)
            compared[name] += reference.total()
    assert compared == {"balancer_v1": 23, "curve": 1}


ETHER = "0x" + "e" * 40
LIQUIDATION = ("tx", "liquidator", "borrower", "debt_token", "debt_amount", "collateral_amount")


def test_every_labelled_liquidation_is_decoded_exactly() -> None:
    """All but the collateral's token: where aTokens were handed over, others name those and the log the token behind them."""
    told = Counter[tuple[Any, ...]]()
    wanted = Counter[tuple[Any, ...]]()
    for file in FILES:
        seen = [one for one in labels(file)["liquidations"] if one["visible_in_logs"]]
        wanted.update(tuple(one[name] if one[name] != ETHER else ZERO for name in LIQUIDATION) for one in seen)
        told.update(
            (
                one.transaction_hash,
                one.from_address,
                one.to_address,
                one.token_in,
                one.amount_in_raw,
                one.amount_out_raw,
            )
            for one in decode(read(file)).block.events
            if isinstance(one, Liquidation)
        )
    assert (told, told.total()) == (wanted, 12)


def test_real_curve_balancer_and_orders() -> None:
    """Tokens, which these logs do not all name."""
    found = {
        (block.number, one.log_index): (one.protocol, one.token_in, one.token_out)
        for block in (one.block for one in read_blocks(SAMPLES))
        for one in block.events
        if isinstance(one, Swap) and (one.protocol or "").startswith(("curve", "balancer_v2", "zeroex"))
    }
    cvx, crvusd = "0x4e3fbd56cd56c3e72c1403e103b45db9da5b9d2b", "0xf939e0a03fb07f59a73314e73794be0e57ac1b4e"
    assert found[18_100_000, 102] == ("curve", cvx, WETH)
    assert found[18_100_000, 105] == ("curve", WETH, USDC)
    assert found[18_100_000, 108] == ("curve", USDC, crvusd)
    assert found[15_000_000, 208] == ("curve", cvx, WETH)
    assert found[15_000_000, 491] == ("zeroex_v4", WETH, USDC)
    assert found[15_000_000, 177] == ("balancer_v2", USDC, "0x9210f1204b5a24742eba12f710636d76240df3d0")
    assert len(found) == 15


def test_samples_decode_in_order_and_tell_what_became_no_event() -> None:
    decoded = list(read_blocks(SAMPLES))
    assert len(decoded) == 30
    numbers = [one.block.number for one in decoded]
    assert numbers == sorted(numbers)
    for one in decoded:
        places = [(event.transaction_index, event.log_index) for event in one.block.events]
        assert places == sorted(places)
        assert (one.block.status, one.block.revision) == ("complete", 0)
        assert one.block.model_dump_json(exclude_none=True) == one.block.model_dump_json(exclude_none=True).lower()
    events = Counter(event.event_type for one in decoded for event in one.block.events)
    assert events == {
        "transfer": 4229, "swap": 817, "sync": 658, "deposit": 315, "withdrawal": 243, "mint": 14, "burn": 13, "collect": 1,
        "liquidation": 12,
    }  # fmt: skip
    undecoded = sum((one.undecoded for one in decoded), Counter[str]())
    assert undecoded == {
        "unknown_topic": 979, "unknown_pool": 34, "bad_layout": 3, "foreign_wrapper": 1,
    }  # fmt: skip
    logs = sum(len(parse(read(file)).logs) for file in FILES)
    assert events.total() + undecoded.total() == logs


def test_encoding_and_reading_back_changes_nothing() -> None:
    for one in read_blocks(SAMPLES / "ethereum-18999999-real"):
        assert Block.model_validate_json(one.block.model_dump_json(exclude_none=True)) == one.block


def test_create2_stands_in_for_pool_facts() -> None:
    """Without `pools` all the same swaps come out, and one pool's protocol that the facts did not know."""
    differing = set()
    for file in FILES:
        raw = parse(read(file))
        with_facts = [one for one in assemble(raw).block.events if isinstance(one, Swap)]
        raw.facts.pools.clear()
        without = [one for one in assemble(raw).block.events if isinstance(one, Swap)]
        for told, found in zip(with_facts, without, strict=True):
            if told != found:
                assert told.model_copy(update={"protocol": found.protocol}) == found
                differing.add((found.pool, told.protocol, found.protocol))
    assert differing == {("0x7524fe020edcd072ee98126b49fa65eb85f8c44c", "uniswap_v3_fork", "pancakeswap_v3")}


def test_unknown_gas_and_time_stay_unknown() -> None:
    block = next(read_blocks(SAMPLES / "ethereum-10921991")).block
    assert block.timestamp is None and block.hash is None
    assert any(one.gas_used is None for one in block.transactions)


def test_file_forms(tmp_path: Path) -> None:
    raw = read(FILES[0])
    plain = tmp_path / "anything.json"
    plain.write_bytes(raw)
    packed = tmp_path / "9" / "block.json.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(raw))
    (tmp_path / "x").mkdir()
    assert [one.block.number for one in read_blocks(plain)] == [10_000_000]
    assert find_blocks(tmp_path) == [packed]
    with pytest.raises(Malformed, match="no block here"):
        find_blocks(tmp_path / "x")
    packed.write_bytes(gzip.compress(raw)[:50])
    with pytest.raises(Malformed, match="cannot be read"):
        list(read_blocks(tmp_path))
    spoilt = bytearray(gzip.compress(raw))
    spoilt[20:24] = b"\xff" * 4
    packed.write_bytes(spoilt)
    with pytest.raises(Malformed, match=r"block\.json\.gz: cannot be read: Error -3"):
        list(read_blocks(tmp_path))
    with pytest.raises(Malformed, match="no block here"):
        list(read_blocks(tmp_path / "absent"))
