"""`soba fuzz`: hostile input by the hundred thousand, every element of which must be accounted for."""

from __future__ import annotations

import faulthandler
import json
import time
from pathlib import Path
from typing import Annotated

import typer

from console import needs

app = typer.Typer()


@app.callback(invoke_without_command=True)
def fuzz(
    inputs: Annotated[int, typer.Option(min=20, help="How many, judged in batches of 1, 3 and 16.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Another seed, other inputs; the same one, the same inputs.")] = 1,
    live: Annotated[
        int,
        typer.Option(min=0, help="How many of them also go through a real Kafka and worker, and over HTTP; 0: none."),
    ] = 3_000,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Hostile input against validate: nothing may raise, hang, or be dropped without a word.

    Malformed and deeply nested JSON, NaN, huge numbers, wrong encodings, duplicate keys, hostile Unicode, large values, and real
    events with fields dropped, replaced and doubled, alone, in arrays and in envelopes. Each must be taken, sent on or become
    a dead letter with its bytes and a reason, the good events beside it unharmed. The first defect ends it, made as small as
    possible.
    """
    needs.hypothesis()
    from console.figures import Figure, show
    from console.fuzz.judge import LIMIT_S
    from console.fuzz.run import in_process

    began = time.monotonic()
    faulthandler.enable()
    found = in_process(inputs, seed, live)
    ledger = found.ledger
    figures = [
        Figure("inputs", ledger.inputs, "inputs", json.dumps(dict(found.kinds)), f">= {inputs}"),
        Figure("elements in them and beside them", ledger.elements, "elements"),
        Figure("taken", ledger.taken, "elements"),
        Figure("dead letters", ledger.refused, "elements", json.dumps(dict(ledger.reasons.most_common()))),
        Figure("sent on", ledger.sent_on, "elements"),
        Figure("unaccounted for", ledger.unaccounted, "elements", None, "= 0"),
        Figure("good events beside them, all taken", ledger.good, "events"),
        Figure("slowest batch", round(ledger.slowest_s, 2), "s", None, f"< {LIMIT_S:.0f}"),
        Figure("defects", len(found.defect[:1]), "defects", None, "= 0"),
    ]
    if found.defect:
        out = Path("fuzz-defect.txt")
        out.write_text(found.defect)
        typer.echo(f"{found.defect[:4_000]}\nall of it is in {out}", err=True)
    elif live:
        from console.fuzz.live import through_servers

        figures += through_servers(found.kept)
    figures.append(Figure("time", round(time.monotonic() - began, 1), "s"))
    raise typer.Exit(show(figures, as_json))
