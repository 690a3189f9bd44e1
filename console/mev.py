"""`soba mev inspect`: the MEV of block files, for people or programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from base.wording import counted
from ingest.decode import Decoded, decode
from ingest.files import find_blocks, read
from ingest.raw import Malformed
from models.alerts import amount_text
from models.mev import cross_block, look
from topics.schemas.mev import Finding, Kind, TokenAmount
from topics.schemas.mev_trades import BlockTrades

Places = dict[str, tuple[int, int]]
"""Transaction → number of its block, and its index there."""

COLOURS: dict[Kind, str] = {
    "sandwich": "red",
    "frontrun": "red",
    "liquidation": "magenta",
    "jit": "yellow",
    "arbitrage": "green",
    "backrun": "cyan",
}
ETHER = Decimal(10**18)
WIDE = 132
"""Columns where the output goes to no terminal."""

app = typer.Typer(help="What MEV there is in a block.", no_args_is_help=True)


@app.callback()
def _mev() -> None:
    """What MEV there is in a block."""


@app.command()
def inspect(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="BLOCK...",
            help="Files of blocks with their logs, .json or .json.gz, and folders laid out as samples/blocks.",
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="One JSON object a finding and line, for programs.")] = False,
) -> None:
    """The findings of each block: who did what to whom, in which transactions, and what it was worth.

    Those over two of the blocks, where they are neighbours, come last.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    kept: list[BlockTrades] = []
    places: Places = {}
    for decoded in _decoded(paths):
        findings, trades = look(decoded.block)
        kept.append(trades)
        places |= {one.hash: (decoded.block.number, one.index) for one in decoded.block.transactions}
        if not json:
            console.print(*([""] if len(kept) > 1 else []), _head(decoded, len(findings)), sep="\n")
        _show(console, findings, places, json)
    for pair in cross_block.pairs(kept):
        findings = cross_block.detect(*pair)
        if not json:
            console.print("", _over_two(pair[1].number, len(findings)), sep="\n")
        _show(console, findings, places, json)


def _decoded(paths: Sequence[Path]) -> Iterator[Decoded]:
    """The blocks of files and folders, in the order given; a fault ends the command with 2."""
    try:
        for file in [file for path in paths for file in find_blocks(path)]:
            yield decode(read(file), str(file))
    except Malformed as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def _show(console: Console, findings: Sequence[Finding], places: Places, json: bool) -> None:
    for one in findings:
        if json:
            typer.echo(one.model_dump_json(exclude_none=True))
        else:
            console.print()
            console.print(_tree(one, places))


def _over_two(second: int, count: int) -> Text:
    """A pair of blocks in a line."""
    text = Text(f"Blocks {second - 1} and {second} together", style="bold")
    return text.append(f": {counted(count, 'finding')}", "bold" if count else "none")


def _head(decoded: Decoded, count: int) -> Text:
    """The block in two lines."""
    block = decoded.block
    text = Text(f"Block {block.number}", style="bold")
    text.append(
        f" of chain {block.chain_id}: {counted(len(block.transactions), 'transaction')},"
        f" {counted(len(block.events), 'event')}",
        "none",
    )
    text.append(f"\n{counted(count, 'finding')}", "bold" if count else "none")
    if left := decoded.undecoded.total():
        told = ", ".join(f"{reason} {many}" for reason, many in decoded.undecoded.most_common())
        text.append(f"; {left} logs became no event: {told}", "dim")
    return text


def _tree(finding: Finding, places: Places) -> Tree:
    """A finding as a tree of what it says."""
    title = Text(finding.kind, style=f"bold {COLOURS[finding.kind]}")
    title.append(f"  {', '.join(finding.protocols) or 'unknown protocol'}", "none")
    title.append(f"  confidence {finding.confidence:.2f}: {', '.join(finding.evidence)}", "dim")
    tree = Tree(title)
    tree.add(_transactions(finding, places))
    for line in (*_parties(finding), *_steps(finding), *_gains(finding), *_victims(finding)):
        tree.add(line)
    return tree


def _transactions(finding: Finding, places: Places) -> Table:
    """Each transaction with its part and place."""
    parts = (
        ("front", finding.front),
        ("victim", finding.victims),
        ("back", finding.back),
        ("", finding.transactions),
    )
    rows = [(places.get(hash), part, hash) for part, hashes in parts for hash in hashes]
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(overflow="fold")
    for place, part, hash in sorted(rows, key=lambda row: (row[0] is None, row[0] or (0, 0))):
        told = "" if place is None else f"{place[0]} {place[1]}" if finding.blocks else f"{place[1]}"
        table.add_row(told, part, Text(hash, style="bold" if part != "victim" else "dim"))
    return table


def _parties(finding: Finding) -> Iterator[Text]:
    """Who was who, victims aside: their transactions are there."""
    for one in finding.roles:
        if one.role != "victim":
            yield Text.assemble((f"{one.role} ", "dim"), one.address)


def _steps(finding: Finding) -> Iterator[Text]:
    """The way of an arbitrage, or the loan of a liquidation."""
    for step in finding.path:
        ends = [
            amount_text(finding.chain_id, TokenAmount(token=token, amount_raw=raw)) if raw is not None else token
            for token, raw in ((step.token_in, step.amount_in_raw), (step.token_out, step.amount_out_raw))
        ]
        yield Text.assemble(" → ".join(ends), (f"  {step.protocol or 'pool'} {step.pool}", "dim"))


def _gains(finding: Finding) -> Iterator[Text]:
    """What was left, token by token and in native coin, and what it cost."""
    for one in finding.profit:
        style = "red" if one.amount_raw.startswith("-") else "green"
        yield Text.assemble(("profit ", "dim"), (amount_text(finding.chain_id, one), style))
    worth = (
        ("in native coin", finding.profit_wei),
        ("gas", finding.gas_cost_wei),
        ("to the builder", finding.builder_payment_wei),
        ("left", finding.net_profit_wei),
    )
    told = [f"{name} {_ether(wei)}" for name, wei in worth if wei is not None]
    if told:
        yield Text("worth ", style="dim").append("; ".join(told), "none")
    for price in finding.prices:
        yield Text(
            f"priced by {price.source}: 1 base unit of {price.token} = {price.wei} wei in {', '.join(price.pools)}",
            "dim",
        )


def _victims(finding: Finding) -> Iterator[Text]:
    """What victims lost, where the block tells."""
    for loss in finding.losses:
        amount = amount_text(finding.chain_id, TokenAmount(token=loss.token, amount_raw=loss.amount_raw))
        yield Text.assemble(("lost ", "dim"), (amount, "red"), (f"  by {loss.transaction_hash}", "dim"))


def _ether(wei: str) -> str:
    """Wei in whole coins, six digits behind the point and no idle zeros."""
    return f"{Decimal(wei) / ETHER:.6f}".rstrip("0").rstrip(".")
