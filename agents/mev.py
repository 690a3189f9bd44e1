"""mev: chain.blocks → mev.findings and the MEV table.

What the agent last said about a block is the block's row. A new revision says it anew, and takes back what it no longer
finds; a removed block takes back everything. So it is with a pair of neighbours, for what is over both: whichever of them comes
or changes, it is looked at again, from what is kept of the other in MEV_TRADES.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from agents.agent import Agent, Output, Record, Result, RowName, Rows
from models.mev import cross_block, look
from models.mev.trades import revision
from tables.registry import (
    MEV,
    MEV_BY_ADDRESS,
    MEV_BY_CHAIN,
    MEV_BY_POOL,
    MEV_BY_TRANSACTION,
    MEV_TRADES,
    MevRow,
    Table,
    mev_key,
)
from tables.rows import Pointer, Row
from topics.headers import cloud_event
from topics.registry import CHAIN_BLOCKS, MEV_FINDINGS
from topics.schemas.chain import Block
from topics.schemas.mev import Finding
from topics.schemas.mev_trades import BlockTrades


def keys(batch: Sequence[Record]) -> list[RowName]:
    """The rows of the batch's blocks, their neighbours and their pairs, and what is kept of each block, once each."""
    names: dict[RowName, None] = {}
    for record in batch:
        chain, number = record.value.chain_id, record.value.number
        for first in (number - 1, number):
            names[MEV, mev_key(chain, first, first + 1)] = None
        for other in (number - 1, number, number + 1):
            names[MEV, mev_key(chain, other)] = names[MEV_TRADES, mev_key(chain, other)] = None
    return list(names)


def handle(batch: Sequence[Record], rows: Rows) -> Result:
    """Detect in each block in order; of a block that comes twice, the second sees what the first said."""
    desk, older = _Desk(rows), 0
    for record in batch:
        block: Block = record.value
        key = mev_key(block.chain_id, block.number)
        before = desk.row(MEV, key)
        if isinstance(before, MevRow) and before.revision > block.revision:
            older += 1
            continue
        findings, trades = look(block)
        # Also where nothing was found: the row is what an older revision, told late, is measured against.
        now = MevRow(
            chain_id=block.chain_id,
            number=block.number,
            revision=block.revision,
            status=block.status,
            findings=findings,
        )
        desk.say(key, now, record)
        desk.write(Row(MEV_TRADES, key, block.revision, trades))
        for first in (block.number - 1, block.number):
            _pair(desk, block.chain_id, first, record)
    return Result(outputs=desk.outputs, rows=list(desk.written.values()), older=older)


def _pair(desk: _Desk, chain_id: int, first: int, record: Record) -> None:
    """Say what is over block `first` and the next, where both are known.

    Where the trades of one have expired, what was said is taken back once either block is another than it was said of.
    """
    names = [mev_key(chain_id, number) for number in (first, first + 1)]
    key = mev_key(chain_id, first, first + 1)
    before = desk.row(MEV, key)
    one, other = (desk.row(MEV_TRADES, name) for name in names)
    if isinstance(one, BlockTrades) and isinstance(other, BlockTrades):
        now = _over(one, other)
        if isinstance(before, MevRow) and before.revision > now.revision:
            return
        now.findings = cross_block.detect(one, other)
    else:
        one, other = (desk.row(MEV, name) for name in names)
        if not (isinstance(before, MevRow) and isinstance(one, MevRow) and isinstance(other, MevRow)):
            return
        now = _over(one, other)
        if not before.findings or before.revision >= now.revision:  # the same again takes nothing back
            return
    desk.say(key, now, record)


def _over(one: BlockTrades | MevRow, other: BlockTrades | MevRow) -> MevRow:
    """The row of two neighbours, yet without findings."""
    return MevRow(
        chain_id=other.chain_id,
        number=other.number,
        revision=revision(one.revision, other.revision),
        status=max(one.status, other.status, key=("complete", "partial", "removed").index),
        findings=[],
    )


@dataclass(slots=True)
class _Desk:
    """The rows of a batch as they are read and written, and what is given out."""

    rows: Rows
    written: dict[RowName, Row] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)

    def row(self, table: Table, key: str) -> BaseModel | None:
        """As this batch left it, else as it was before."""
        name = (table, key)
        return self.written[name].value if name in self.written else self.rows.get(name)

    def write(self, row: Row) -> None:
        self.written[row.table, row.key] = row

    def say(self, key: str, now: MevRow, record: Record) -> None:
        """Give out the findings of a row, and take back what it no longer says."""
        before = self.row(MEV, key)
        kept = {finding.id for finding in now.findings}
        taken_back = [
            finding.model_copy(update={"status": "retracted", "revision": now.revision})
            for finding in (before.findings if isinstance(before, MevRow) else ())
            if finding.id not in kept
        ]
        self.outputs += [_output(finding, record) for finding in (*now.findings, *taken_back)]
        self.write(Row(MEV, key, now.revision, now, _pointers(now)))


def _output(finding: Finding, record: Record) -> Output:
    headers = cloud_event(f"{finding.id}:{finding.revision}", AGENT.name, "soba.mev.finding", record.headers)
    key = f"{finding.chain_id}:{finding.block_number}"
    return Output(MEV_FINDINGS.name, key.encode(), finding.model_dump_json(exclude_none=True).encode(), headers)


def _pointers(row: MevRow) -> tuple[Pointer, ...]:
    """Where the row is looked up: by chain, transaction, whoever had a part, and pool; nowhere but by its key if empty."""
    if not row.findings:
        return ()
    chain, number, findings = row.chain_id, row.number, row.findings
    hashes = {hash for one in findings for hash in one.named()}
    addresses = {address for one in findings for address in one.parties()}
    pools = {pool for one in findings for pool in one.pools}
    return (
        Pointer(MEV_BY_CHAIN, str(chain), number),
        *(Pointer(MEV_BY_TRANSACTION, f"{chain}:{hash}", number) for hash in sorted(hashes)),
        *(Pointer(MEV_BY_ADDRESS, f"{chain}:{address}", number) for address in sorted(addresses)),
        *(Pointer(MEV_BY_POOL, f"{chain}:{pool}", number) for pool in sorted(pools)),
    )


AGENT = Agent("mev", CHAIN_BLOCKS, handle, keys, own=(MEV, MEV_TRADES), cached=300)
"""Three rows a block, of up to 3 MB: those of the last hundred blocks are kept in memory, and the last few are what is read."""
