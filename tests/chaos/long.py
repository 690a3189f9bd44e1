"""`soba chaos`: a long run of kills, pauses, joins and leaves under load, compared with a run that nobody disturbs."""

from __future__ import annotations

import contextlib
import itertools
import logging
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
import orjson
import typer
from confluent_kafka import Producer
from typer.core import TyperCommand

from base.settings import load
from console.cli import untype_flags
from console.figures import Figure, show
from console.figures import keep as keep_figures
from tests.chaos.compare import Difference, check_calm, difference, explain, still
from tests.chaos.flow import Flow
from tests.chaos.hang import explanation
from tests.chaos.load import ASKED, FIRST_PROBE, PATIENT, Load, probe
from tests.chaos.scene import Scene, scene
from tests.chaos.strikes import KINDS, Strikes
from tests.chaos.witness import Witness
from tests.conftest import wait_for
from topics.clients import producer

STUCK_S = 60.0
"""Nothing has come through for so long while records wait: something hangs."""
CHAINS = 9_500_001
STRINGS = orjson.OPT_NON_STR_KEYS
app = typer.Typer()


class _Command(TyperCommand):
    """In a process of its own, so that console.cli never has it in hand."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        untype_flags(self, ctx)
        super().format_help(ctx, formatter)


class Stuck(Exception):
    """Nothing moves any more, or something ended for good."""


@dataclass
class Watch:
    """Waits while it reads what comes out, and sees when nothing does."""

    scene: Scene
    load: Load
    flow: Flow
    witness: Witness

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Until the condition holds.

        Raises:
            Stuck: with what was waited for.
        """
        began = time.time()
        while not condition():
            self.witness.hear(0.05)
            self.check(what, began)

    def check(self, what: str, began: float) -> None:
        """Raises Stuck when something has ended for good, or nothing came through for a minute of waiting."""
        if self.load.failed:
            raise Stuck(f"the load ended: {self.load.failed[0]!r}")
        if gone := self.scene.launcher.given_up:
            raise Stuck(f"ended for good: {', '.join(gone)}")
        if self.load.busy and time.time() - max(self.flow.last, began) > STUCK_S:
            raise Stuck(f"nothing came through for {STUCK_S:.0f} s; waited for {what}")


@app.command(cls=_Command)
def chaos(
    minutes: Annotated[
        float, typer.Option(min=0.1, help="How long to disturb; start and comparison come on top.")
    ] = 10,
    seed: Annotated[int, typer.Option(help="The same seed disturbs in the same order.")] = 0,
    only: Annotated[str, typer.Option(help=f"Kinds of disturbance, comma separated: {', '.join(KINDS)}.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    keep: Annotated[bool, typer.Option(help="Keep the result in benchmarks/results.")] = False,
) -> None:
    """Kill, pause, join and leave at random moments under load; then compare with an undisturbed run.

    It runs a system of its own in the data folder. Where something is lost, doubled or hangs, its folder stays, with all logs.
    """
    kinds = only.split(",") if only else list(KINDS)
    if unknown := set(kinds) - set(KINDS):
        raise typer.BadParameter(f"no kind {', '.join(sorted(unknown))}; there are: {', '.join(KINDS)}")
    logging.getLogger("soba").addHandler(logging.NullHandler())  # a broker that is away is what we want
    logging.getLogger("soba").propagate = False
    parent = load().data_dir / "chaos"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
    figures = _figures(_run(folder, minutes, seed, kinds))
    if keep:
        keep_figures("chaos", figures, {"minutes": minutes, "seed": seed, "kinds": kinds})
    code = show(figures, as_json)
    if code:
        say(f"what happened is in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(code)


def say(text: str) -> None:
    """A line of progress, beside the figures."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass
class Run:
    """A run and what came of it."""

    minutes: float
    kinds: list[str]
    strikes: Strikes
    total: Difference = field(default_factory=Difference)
    events: int = 0
    asked: int = 0
    chains: int = 0
    contradictions: int = 0
    falls: int = 0
    stuck: bool = False


def _run(folder: Path, minutes: float, seed: int, kinds: list[str]) -> Run:
    say(f"starting a system in {folder}")
    chains = itertools.count(CHAINS)
    with scene(folder, say) as stage, contextlib.closing(Witness(stage.settings)) as witness:
        sender = Load(stage.settings, lambda: stage.http, chains)
        say("an undisturbed run, to compare with")
        calm, calm_posted, calm_asked = _calm(stage, sender, witness, chains)
        sender.events = 0
        flow = Flow(stage.settings, sender)
        watch = Watch(stage, sender, flow, witness)
        run = Run(minutes, kinds, Strikes(stage, flow, watch.wait, say, random.Random(seed)))
        flow.start()
        sender.start()
        try:
            began = time.time()
            watch.wait(lambda: flow.back(began), "the first output")
            say(f"disturbing for {minutes:g} minutes: {', '.join(kinds)}")
            run.strikes.run(kinds, time.monotonic() + 60 * minutes)
            sender.finish()
            say("letting it settle")
            watch.wait(lambda: not sender.busy, "the load to end")
            wanted = {**dict.fromkeys(sender.whole, calm), **dict.fromkeys(sender.posted, calm_posted)}
            wanted |= dict.fromkeys(sender.asked, calm_asked)
            _settle(watch, wanted)
            wanted |= _undisturbed_probes(stage, sender, witness, chains)
            run.chains = len(wanted)
            run.total = _compare(witness, wanted, folder)
        except (Stuck, AssertionError) as error:
            run.stuck = True
            say(f"STUCK: {error}")
            text = explanation(stage)
            (folder / "stuck.txt").write_text(text)
            print(text, file=sys.stderr, flush=True)
        finally:
            flow.close()
        run.events, run.asked = sender.events, ASKED * len(sender.asked)
        for chain_id in (*sender.whole, *sender.posted, *sender.asked, *sender.probes):
            chain = witness.of(chain_id)
            run.falls += len(chain.falls)
            run.contradictions += len(chain.contradictions)
            for one in chain.contradictions[:2]:
                say(f"told with two contents: {one}")
        return run


def _calm(stage: Scene, sender: Load, witness: Witness, chains: itertools.count[int]) -> tuple[Any, Any, Any]:
    """What a chain of everything, one over HTTP, and swap requests amount to when nobody disturbs."""
    whole, posted, asked = next(chains), next(chains), next(chains)
    client = Producer({**producer(stage.settings), **PATIENT})
    sender.send_chain(client, whole, 1.0)
    client.flush(60)
    calm = still(witness, whole)
    check_calm(calm)
    with httpx.Client(timeout=35, trust_env=False) as http:
        sender.send_posts(http, posted)
    calm_posted = still(witness, posted)
    assert len(calm_posted["chain.blocks"]) == 2 and not calm_posted["chain.events.dlq"]
    sender.send_asked(client, asked)
    calm_asked = still(witness, asked)
    assert len(calm_asked["table risk"]) == len(calm_asked["risk.scores"]) == ASKED
    return calm, calm_posted, calm_asked


def _settle(watch: Watch, wanted: dict[int, Any]) -> None:
    """Until all chains are as wanted and all probes are through, or nothing has changed for a minute."""
    missing, moved = set(wanted), time.monotonic()
    while time.monotonic() - moved < STUCK_S:
        watch.witness.look()
        done = {chain for chain in missing if watch.witness.seen(chain) == wanted[chain]}
        if done:
            missing -= done
            moved = time.monotonic()
        if not missing and all(len(chain) == watch.load.probed for chain in watch.flow.arrived.values()):
            return
    say(f"{len(missing)} chains have not become what they should")


def _undisturbed_probes(stage: Scene, sender: Load, witness: Witness, chains: itertools.count[int]) -> dict[int, Any]:
    """What the probe chains must amount to: the same blocks again, on a chain of their own."""
    calm, client = next(chains), Producer({**producer(stage.settings), **PATIENT})
    for number in range(FIRST_PROBE, FIRST_PROBE + sender.probed):
        client.produce("chain.events", probe(calm, number), b"%d" % calm)
        client.poll(0)
    client.flush(60)

    def through() -> bool:
        witness.look()
        return len(witness.of(calm).states["alerts"]) == sender.probed == witness.rows(calm, "alerts")

    wait_for(through, 180, every=0.2)
    return dict.fromkeys(sender.probes, witness.seen(calm))


def _compare(witness: Witness, wanted: dict[int, Any], folder: Path) -> Difference:
    """All chains with what they should be; says where they differ."""
    total = Difference()
    witness.look()
    for chain_id, calm in wanted.items():
        found = witness.seen(chain_id)
        if one := difference(calm, found):
            total.add(one)
            (folder / f"differs-{chain_id}.json").write_bytes(orjson.dumps([calm, found], default=str, option=STRINGS))
            with contextlib.redirect_stdout(sys.stderr):
                print(f"chain {chain_id} differs: {one}")
                explain(calm, found)
    return total


def _figures(run: Run) -> list[Figure]:
    strikes = run.strikes
    kills = strikes.kills.total()
    enough = ">= 50" if run.minutes >= 10 and set(run.kinds) == set(KINDS) else None
    figures = [Figure("kills", kills, "processes", pass_=enough)]
    figures += [Figure(f"kills: {kind}", many, "processes") for kind, many in sorted(strikes.kills.items())]
    figures += [
        Figure("pauses beyond the session", strikes.pauses, "workers"),
        Figure("orderly joins and leaves", strikes.moves, "times"),
        Figure("events accepted", run.events, "events"),
        Figure("swap requests", run.asked, "requests"),
    ]
    if not run.stuck:
        figures += [
            Figure("chains compared", run.chains, "chains"),
            Figure("lost", run.total.lost, "events", pass_="= 0"),
            Figure("counted twice", run.total.twice, "events", pass_="= 0"),
            Figure("rows that differ", run.total.rows, "rows", pass_="= 0"),
        ]
    figures += [
        Figure("revisions told with two contents", run.contradictions, "revisions", pass_="= 0"),
        Figure("older revisions told late", run.falls, "revisions"),
        Figure("did not recover", int(run.stuck), "times", pass_="= 0"),
    ]
    if times := sorted(strikes.back):
        figures.append(Figure("kill to output, median", round(times[len(times) // 2][0], 1), "s"))
        figures.append(Figure(f"kill to output, longest ({times[-1][1]})", round(times[-1][0], 1), "s"))
    if gaps := sorted(strikes.gaps):
        longest, which = gaps[-1]
        figures.append(Figure(f"longest gap of output ({which})", round(longest, 1), "s", pass_="< 5"))
    return figures


if __name__ == "__main__":
    app(prog_name="soba chaos")
