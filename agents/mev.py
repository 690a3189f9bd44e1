"""mev: chain.blocks → mev.findings and the MEV table.

What the agent last said about a block is the block's row. A new revision says it anew, and takes back what it no longer
finds; a removed block takes back everything.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.agent import Agent, Output, Record, Result, RowName, Rows
from models.mev import detect
from tables.registry import MEV, MEV_BY_ADDRESS, MEV_BY_CHAIN, MEV_BY_POOL, MEV_BY_TRANSACTION, MevRow
from tables.rows import Pointer, Row
from topics.headers import cloud_event
from topics.registry import CHAIN_BLOCKS, MEV_FINDINGS
from topics.schemas.chain import Block
from topics.schemas.mev import Finding


def keys(batch: Sequence[Record]) -> list[RowName]:
    """The rows of the batch's blocks, once each."""
    return list(dict.fromkeys((MEV, _key(record.value)) for record in batch))


def handle(batch: Sequence[Record], rows: Rows) -> Result:
    """Detect in each block in order; of a block that comes twice, the second sees what the first said."""
    result = Result()
    held: dict[str, MevRow | None] = {}
    written: dict[str, Row] = {}
    for record in batch:
        block: Block = record.value
        key = _key(block)
        if key not in held:
            row = rows.get((MEV, key))
            held[key] = row if isinstance(row, MevRow) else None
        before = held[key]
        if before is not None and before.revision > block.revision:
            continue
        findings = detect(block)
        kept = {finding.id for finding in findings}
        taken_back = [
            finding.model_copy(update={"status": "retracted", "revision": block.revision})
            for finding in (before.findings if before else ())
            if finding.id not in kept
        ]
        result.outputs += [_output(key, finding, record) for finding in (*findings, *taken_back)]
        # Also where nothing was found: the row is what an older revision, told late, is measured against.
        now = held[key] = MevRow(
            chain_id=block.chain_id,
            number=block.number,
            revision=block.revision,
            status=block.status,
            findings=findings,
        )
        written[key] = Row(MEV, key, block.revision, now, _pointers(key, block, findings))
    result.rows = list(written.values())
    return result


def _key(block: Block) -> str:
    return f"{block.chain_id}:{block.number}"


def _output(key: str, finding: Finding, record: Record) -> Output:
    headers = cloud_event(f"{finding.id}:{finding.revision}", AGENT.name, "soba.mev.finding", record.headers)
    return Output(MEV_FINDINGS.name, key.encode(), finding.model_dump_json(exclude_none=True).encode(), headers)


def _pointers(key: str, block: Block, findings: Sequence[Finding]) -> tuple[Pointer, ...]:
    """Where the row is looked up: by chain, transaction, whoever had a part, and pool; nowhere but by its key if empty."""
    if not findings:
        return ()
    chain, number = block.chain_id, block.number
    hashes = {hash for one in findings for hash in one.named()}
    addresses = {address for one in findings for address in one.parties()}
    pools = {pool for one in findings for pool in one.pools}
    return (
        Pointer(MEV_BY_CHAIN, str(chain), number),
        *(Pointer(MEV_BY_TRANSACTION, f"{chain}:{hash}", number) for hash in sorted(hashes)),
        *(Pointer(MEV_BY_ADDRESS, f"{chain}:{address}", number) for address in sorted(addresses)),
        *(Pointer(MEV_BY_POOL, f"{chain}:{pool}", number) for pool in sorted(pools)),
    )


AGENT = Agent("mev", CHAIN_BLOCKS, handle, keys, own=(MEV,))
