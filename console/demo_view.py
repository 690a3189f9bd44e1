"""The demo's screen: a live table on a terminal, plain lines elsewhere, and the summary at the end."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, get_args

from base.wording import counted
from console.demo_watch import News, Refused, Tally
from models.alerts import from_finding
from topics.registry import CHAIN_EVENTS
from topics.schemas.alerts import Alert
from topics.schemas.mev import Finding, Kind
from topics.schemas.risk import Assessment
from topics.schemas.wallet import Level

WINDOW_S = 3.0
"""Rates are over this long."""
NEWEST = 8
HASH = re.compile(r"(0x[0-9a-f]{8})[0-9a-f]{52}([0-9a-f]{4})")
"""A live line has no room for whole hashes; plain lines and the summary have them."""
BETWEEN = re.compile(r" between 0x[^;]*(?=;)")
KEY_VARIABLE = "SOBA_API_KEY"
"""Where a shell keeps the key that it sends."""
LINE_EVERY = 5
"""Plain output says a word every so many blocks."""


@dataclass(slots=True)
class Screen:
    """What there is to show; `sent` counts what this run sent."""

    tally: Tally
    sent_blocks: int = 0
    sent_events: int = 0
    away: list[str] = field(default_factory=list)
    """Processes that have to come back first."""
    began: float = field(default_factory=time.monotonic)
    _past: deque[tuple[float, int]] = field(default_factory=deque)
    _newest: deque[str] = field(default_factory=lambda: deque(maxlen=NEWEST))
    _live: Any = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Keep the live table on the screen inside the `with`, where there is a terminal."""
        if not sys.stdout.isatty():
            yield
            return
        from rich.live import Live

        with Live(self, refresh_per_second=5) as self._live:
            yield
        self._live = None

    def tell(self, news: News) -> None:
        """Show one thing that came out."""
        room = None if self._live is None else self._live.console.width
        text = self._text(news, room)
        if text is None:
            return
        if self._live is None:
            print(text, flush=True)
        else:
            self._newest.append(HASH.sub(r"\1…\2", text))

    def _text(self, news: News, room: int | None) -> str | None:
        if isinstance(news, Finding):
            return line_of(news, room)
        if isinstance(news, Refused):
            return f"rejected  {news.reason}" + (f" ({news.field})" if news.field else "") + f" at {news.source}"
        if isinstance(news, Alert):
            # The line of its finding names the transactions; the gain at the end must not be cut off for them.
            text = news.text if room is None else BETWEEN.sub("", news.text)
            return f"alert     {news.severity}: {text}"
        if isinstance(news, Assessment):
            return risk_of(news) if news.is_suspicious else None
        all_blocks = len(self.tally.sample.blocks)
        if news.place % LINE_EVERY == 0 or news.place == all_blocks:
            return f"blocks    {news.place} of {all_blocks} validated"
        return None

    def rate(self, now: float) -> float:
        """Validated events a second."""
        self._past.append((now, self.tally.valid))
        while now - self._past[0][0] > WINDOW_S:
            self._past.popleft()
        (then, before), (last, valid) = self._past[0], self._past[-1]
        return (valid - before) / (last - then) if last > then else 0.0

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        tally = self.tally
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold", width=10)
        table.add_column()
        lag = sum(id not in tally.blocks for id in tally.sample.blocks) if self.sent_blocks else 0
        waiting = max(0, lag - (len(tally.sample.blocks) - self.sent_blocks))
        rate = self.rate(time.monotonic())
        table.add_row("blocks", f"{len(tally.blocks)} of {len(tally.sample.blocks)} validated, {waiting} in work")
        table.add_row("events", f"{self.sent_events:,} sent, {tally.valid:,} valid, {rate:,.0f} a second")
        table.add_row("rejected", reasons(tally.rejected) or "none yet")
        table.add_row("findings", kinds(tally.found))
        table.add_row("alerts", alerts(tally))
        table.add_row("requests", f"{len(tally.assessed)} of {len(tally.sample.requests)} assessed: {levels(tally)}")
        if self.away:
            table.add_row("waiting", f"for {' and '.join(self.away)} to come back")
        # An alert says in many words what its finding said; anything else is short enough to stand whole.
        lines = (Text(line, no_wrap=line.startswith("alert"), overflow="ellipsis") for line in self._newest)
        return Group(table, "", *lines)


def reasons(rejected: Counter[str]) -> str:
    """`7: amount_positive 1, ...`, empty where nothing was rejected."""
    parts = ", ".join(f"{reason} {count}" for reason, count in rejected.most_common())
    return f"{rejected.total():,}: {parts}" if parts else ""


NAMES: dict[Kind, tuple[str, str]] = {
    "sandwich": ("sandwich", "sandwiches"),
    "liquidation": ("liquidation", "liquidations"),
    "jit": ("JIT", "JIT"),
    "arbitrage": ("arbitrage", "arbitrages"),
    "backrun": ("back-run", "back-runs"),
    "frontrun": ("front-run", "front-runs"),
}
"""Of one, and of several."""


def kinds(found: list[Finding]) -> str:
    """`18 sandwiches, 12 liquidations`: what was found, by kind."""
    counts = Counter(one.kind for one in found)
    parts = [f"{counts[kind]} {names[counts[kind] > 1]}" for kind, names in NAMES.items() if counts[kind]]
    return ", ".join(parts) or "none yet"


def alerts(tally: Tally) -> str:
    """`100: 67 of findings, 33 of swap requests`."""
    count, of_requests = len(tally.standing_alerts), tally.alerts_of_requests
    return f"{count}: {count - of_requests} of findings, {of_requests} of swap requests"


def levels(tally: Tally) -> str:
    """`97 low, 2 medium, 1 critical`."""
    counts: Counter[str] = Counter(one.risk_level for one in tally.assessed.values())
    return ", ".join(f"{counts[level]} {level}" for level in get_args(Level) if counts[level]) or "none yet"


def risk_of(one: Assessment) -> str:
    """A suspicious swap request in one line."""
    why = one.alerts[0].message if one.alerts else f"probability {one.probability or 0.0:.2f}"
    return f"request   {one.risk_level}: {one.amount} from {one.from_address}: {why}"


def line_of(finding: Finding, room: int | None = None) -> str:
    """A finding in one line: its transactions in full where there is room for them, else their ends; and what it gained."""
    victims = counted(len(finding.victims), "victim") if finding.victims else ""

    def ends(hashes: list[str], head: int) -> str:
        return ", ".join(_ends(hash, head) for hash in hashes)

    def line(head: int) -> str:
        front, back, alone = (ends(hashes, head) for hashes in (finding.front, finding.back, finding.transactions))
        parts = [f"front {front}" if front else "", victims, f"back {back}" if back else "", alone]
        return "  ".join(part for part in (finding.kind, f"block {finding.block_number}", *parts) if part)

    parts = [ends(hashes, 6) for hashes in (finding.front, finding.back, finding.transactions) if hashes]
    short = f"{finding.kind} {finding.block_number}: {' → '.join(parts)}" + (f", {victims}" if victims else "")
    gain = gained(finding)
    told = [line(len(finding.named()[0])), line(10)]
    fitting = [*(f"{one}  {gain}".rstrip() for one in told), told[1], f"{short}, {gain}".removesuffix(", ")]
    return next((one for one in fitting if room is None or len(one) <= room), short)


def gained(finding: Finding) -> str:
    """What was gained, or what that is worth, else the pool: one transaction may hold several findings, alike but for that."""
    gains = from_finding(finding).args["gained"]
    if isinstance(gains, list) and gains:
        return "+" + ", ".join(gain.removeprefix("tokens worth ") for gain in gains)
    return f"in {finding.pools[0]}" if finding.pools else ""


def _ends(hash: str, head: int) -> str:
    """A hash with `head` characters before the gap; whole where that is all of it."""
    return hash if head >= len(hash) else f"{hash[:head]}…{hash[-4:]}"


def summary(screen: Screen, http: str, keyed: bool, first_finding_s: tuple[float, float] | None, stored: bool) -> str:
    """The demo in a page: what went in, what came out, and where to look.

    `first_finding_s`: seconds from the start of the replay to the first finding, and from the command to the replay.
    """
    tally, found = screen.tally, screen.tally.found
    title = "Stored from an earlier start" if stored else "What happened"
    rows = [
        ("events in", f"{tally.sample.events:,} in {len(tally.sample.blocks)} real Ethereum blocks,"
                      f" {len(tally.sample.broken)} of them broken on purpose"),
        ("valid", f"{tally.valid:,}"),
        ("rejected", reasons(tally.rejected) or "0"),
        ("blocks", f"{len(tally.blocks)}"),
        ("findings", kinds(found)),
    ]  # fmt: skip
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    # The long list first: what scrolls away is what can be looked up. A heading, since its lines are those shown as they came.
    heading = f"Summary: {counted(len(found), 'finding')}"
    lines = ["", heading, *(line_of(finding, room) for finding in found), "", title]
    rows += [
        ("alerts", alerts(tally)),
        ("requests", f"{counted(len(tally.assessed), 'swap request')} assessed: {levels(tally)}"),
        (
            "wallets",
            f"{tally.risky:,} of {len(tally.wallets):,} in the blocks score medium or higher (5 % of ordinary ones do)",
        ),
    ]
    for name, text in rows:
        lines += _row(name, text, room)
    if first_finding_s is not None:
        replaying, starting = first_finding_s
        lines.append(f"  time to first finding: {replaying:.1f} s, after {starting:.1f} s of set-up and start")
    return "\n".join([*lines, *_where(http, keyed, found, tally.assessed.values())])


def _row(name: str, text: str, room: int | None) -> list[str]:
    """A row of the summary, on as many lines as the terminal needs."""
    first = f"  {name:<10} "
    if room is None:
        return [first + text]
    wide = max(room, len(first) + 20)
    return textwrap.wrap(text, wide, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False)


def _where(http: str, keyed: bool, found: list[Finding], assessed: Iterable[Assessment]) -> list[str]:
    # Never broken over lines: a terminal that wraps a line copies it whole.
    curl = "curl -s" + (f' -H "Authorization: Bearer ${KEY_VARIABLE}"' if keyed else "")
    lines = ["", "Where to look"]
    if keyed:
        lines.append(f"  HTTP is closed: put a key into {KEY_VARIABLE} (bin/soba keys create --name NAME)")
    if found:
        lines.append(f"  {curl} {http}/api/mev/transactions/{found[-1].named()[0]}")
        lines.append(f"  {curl} {http}/api/blocks/{found[-1].block_number}")
    if (worst := max(assessed, key=lambda one: one.risk_score, default=None)) is not None:
        lines.append(f"  {curl} {http}/api/risk/wallets/{worst.from_address}")
    return [
        *lines,
        f"  {curl} '{http}/api/mev?limit=3'",
        f"  {curl} '{http}/api/alerts?limit=3'",
        f"  {curl} {http}/api/python/health",
        "  bin/soba topics list",
        "  bin/soba consume mev.findings --from earliest --timeout 2",
        f"  bin/soba dlq show {CHAIN_EVENTS.name} -n 2",
        "  bin/soba lists show",
    ]
