"""Alerts from findings: which facts a person is told, how severe they are, and their English text.

An alert is a kind and its arguments; a text is the kind's template filled with them. Other languages fill templates of
their own with the same arguments, so a template never says what no argument holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from models.fraud.wallet_rules import ETHER_CHAINS
from topics.schemas.alerts import RISK, Alert
from topics.schemas.mev import Finding, TokenAmount
from topics.schemas.native import COINS, WRAPPERS, ZERO
from topics.schemas.risk import Assessment

Severity = Literal["info", "low", "medium", "high", "critical"]
Args = dict[str, str | int | list[str]]

LEVELS: tuple[Severity, ...] = ("low", "medium", "high", "critical")
MANY_VICTIMS = 5
"""So many victims raise a finding by one level."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A token in which gains are weighed: `notable` base units are medium, 10 times that high, 100 times critical."""

    symbol: str
    decimals: int
    notable: int


QUOTES: dict[tuple[int, str], Quote] = {
    (1, WRAPPERS[1]): Quote("WETH", 18, 10**17),
    **dict.fromkeys(((1, coin) for coin in COINS), Quote("ETH", 18, 10**17)),
    (1, "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"): Quote("USDC", 6, 200 * 10**6),
    (1, "0xdac17f958d2ee523a2206206994597c13d831ec7"): Quote("USDT", 6, 200 * 10**6),
    (1, "0x6b175474e89094c44da98b954eedeac495271d0f"): Quote("DAI", 18, 200 * 10**18),
    (1, "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599"): Quote("WBTC", 8, 5 * 10**5),
}
"""(chain id, token in lower case) → quote."""


@dataclass(frozen=True, slots=True)
class Template:
    """The texts of one kind: by the English plural class of the argument `count`, and for `{outcome}` by what there is to tell."""

    count: str
    one: str
    other: str
    outcomes: Mapping[tuple[bool, bool], str] = field(default_factory=dict)
    """By whether `gained` and `short` hold anything."""
    places: Mapping[bool, str] = field(default_factory=dict)
    """For `{place}`: by whether `earlier` holds anything."""

    def fill(self, args: Args) -> str:
        """The text for `args`; a list reads as its items with commas between."""
        words = {name: ", ".join(value) if isinstance(value, list) else value for name, value in args.items()}
        if self.outcomes:
            words["outcome"] = self.outcomes[bool(words["gained"]), bool(words["short"])].format(**words)
        if self.places:
            words["place"] = self.places[bool(words["earlier"])].format(**words)
        return (self.one if args[self.count] == 1 else self.other).format(**words)


def _outcomes(who: str) -> dict[tuple[bool, bool], str]:
    """What `who` was left with."""
    return {
        (True, False): f"the {who} gained {{gained}}, before gas",
        (True, True): f"the {who} gained {{gained}} and is short of {{short}}, before gas",
        (False, True): f"the {who} is short of {{short}}, before gas",
        (False, False): f"what the {who} gained is in tokens without a known price",
    }


CATALOGUE: dict[str, Template] = {
    "mev.sandwich": Template(
        count="victims",
        one="Sandwich in {place} on {protocols}: one trade was caught between {front} and {back}; {outcome}.",
        other="Sandwich in {place} on {protocols}: {victims} trades were caught between {front} and {back}; {outcome}.",
        outcomes=_outcomes("attacker"),
        places={False: "block {block}", True: "blocks {earlier} and {block}"},
    ),
    "mev.arbitrage": Template(
        count="swaps",
        one="Arbitrage in block {block} on {protocols}: {transactions} closed a cycle in one swap; {outcome}.",
        other="Arbitrage in block {block} on {protocols}: {transactions} closed a cycle of {swaps} swaps; {outcome}.",
        outcomes=_outcomes("arbitrageur"),
    ),
    "mev.liquidation": Template(
        count="swaps",
        one="Liquidation in block {block} on {protocols}: {transactions} closed a loan; {outcome}.",
        other="Liquidation in block {block} on {protocols}: {transactions} closed {swaps} loans; {outcome}.",
        outcomes=_outcomes("liquidator"),
    ),
    "mev.jit": Template(
        count="victims",
        one="Just-in-time liquidity in block {block} on {protocols}: added in {front} for one trade, removed in {back}; "
        "{outcome}.",
        other="Just-in-time liquidity in block {block} on {protocols}: added in {front} for {victims} trades, removed in "
        "{back}; {outcome}.",
        outcomes=_outcomes("attacker"),
    ),
    "mev.backrun": Template(
        count="victims",
        one="Back-run in block {block} on {protocols}: {back} traded right behind another's trade; {outcome}.",
        other="Back-run in block {block} on {protocols}: {back} traded right behind {victims} trades; {outcome}.",
        outcomes=_outcomes("searcher"),
    ),
    "mev.frontrun": Template(
        count="victims",
        one="Front-run in block {block} on {protocols}: {front} did first what another was about to do; {outcome}.",
        other="Front-run in block {block} on {protocols}: {front} did first what {victims} others were about to do; "
        "{outcome}.",
        outcomes=_outcomes("attacker"),
    ),
    RISK: Template(
        count="reasons",
        one="A swap of {amount} ({pair}) from {sender} to {receiver} is of {level} risk, {score} of 1: {codes}.",
        other="A swap of {amount} ({pair}) from {sender} to {receiver} is of {level} risk, {score} of 1, for {reasons} "
        "reasons: {codes}.",
    ),
}
"""Alert kind → its English texts."""
PAYMENT = Template(
    count="reasons",
    one="A payment of {amount} {coin} from {sender} to {receiver} is of {level} risk, {score} of 1: {codes}.",
    other="A payment of {amount} {coin} from {sender} to {receiver} is of {level} risk, {score} of 1, for {reasons} "
    "reasons: {codes}.",
)
"""The texts of `RISK` where no pair was given: the chain's own coin is paid."""

RETRACTED = "Taken back, the chain or its data changed: {text}"
UNKNOWN = "unknown"


def from_finding(finding: Finding) -> Alert:
    """The alert of one finding, of its revision and status."""
    kind = f"mev.{finding.kind}"
    args: Args = {
        "block": finding.block_number,
        "earlier": [str(number) for number in finding.blocks[:-1]],
        "victims": len(finding.victims),
        "front": finding.front,
        "back": finding.back,
        "transactions": finding.transactions,
        "swaps": len(finding.path),
        "attackers": finding.attackers,
        "pools": finding.pools,
        "protocols": finding.protocols or [UNKNOWN],
        "profit": [amount_text(finding.chain_id, one) for one in finding.profit] or [UNKNOWN],
        "gained": _told(finding, 1),
        "short": _told(finding, -1),
    }
    text = CATALOGUE[kind].fill(args)
    retracted = finding.status == "retracted"
    return Alert(
        id=f"alert:{finding.id}",
        kind=kind,
        args=args,
        severity="info" if retracted else severity(finding),
        entity=f"{finding.chain_id}:{finding.block_number}",
        text=RETRACTED.format(text=text) if retracted else text,
        chain_id=finding.chain_id,
        block_number=finding.block_number,
        block_timestamp=finding.block_timestamp,
        revision=finding.revision,
        status=finding.status,
        source=finding.id,
    )


def from_assessment(one: Assessment) -> Alert:
    """The alert of a swap request; of the party whose risk is larger, the sender where they are equal."""
    worst = one.from_address
    if one.to_address is not None and (one.risk_to_sender or 0.0) > (one.risk_to_receiver or 0.0):
        worst = one.to_address
    args: Args = {
        "sender": one.from_address,
        "receiver": one.to_address or "an unknown receiver",
        "amount": one.amount,
        "pair": one.token_pair or UNKNOWN,
        "coin": "ETH" if one.chain_id in ETHER_CHAINS else f"coins of chain {one.chain_id}",
        "level": one.risk_level,
        "score": f"{one.risk_score:.2f}",
        "reasons": len(one.alerts),
        "codes": [alert.code for alert in one.alerts],
    }
    return Alert(
        id=f"alert:risk:{one.id}",
        kind=RISK,
        args=args,
        severity=one.risk_level,
        entity=f"{one.chain_id}:{worst}",
        text=(CATALOGUE[RISK] if one.token_pair else PAYMENT).fill(args),
        chain_id=one.chain_id,
        processed_at=one.processed_at,
        revision=one.revision,
        status=one.status,
        source=one.id,
    )


def severity(finding: Finding) -> Severity:
    """By what the gain is worth, else by the largest gain in a quote token, low where none is known or something was paid for it.

    One level more for `MANY_VICTIMS`.
    """
    worth = _worth(finding)
    paid = any(one.amount_raw.startswith("-") for one in finding.profit)
    gains = [worth] if worth is not None else [] if paid else finding.profit
    level = max((_level(finding.chain_id, one) for one in gains), default=0)
    if len(finding.victims) >= MANY_VICTIMS:
        level += 1
    return LEVELS[min(level, len(LEVELS) - 1)]


def _level(chain_id: int, gain: TokenAmount) -> int:
    quote = QUOTES.get((chain_id, gain.token.lower()))
    if quote is None:
        return 0
    return sum(int(gain.amount_raw) >= quote.notable * factor for factor in (1, 10, 100))


def _worth(finding: Finding) -> TokenAmount | None:
    """The whole gain in the chain's native coin, by the prices of its block; None where a token of it has none there."""
    if finding.profit_wei is None or (finding.chain_id, ZERO) not in QUOTES:
        return None
    return TokenAmount(token=ZERO, amount_raw=finding.profit_wei)


def _told(finding: Finding, sign: int) -> list[str]:
    """What was gained (1) or is short (-1), never some of it alone: one quote token, else what all is worth, else every token.

    Base units of unknown tokens alone say nothing to a reader: none are told then.
    """
    amounts = [one for one in finding.profit if int(one.amount_raw)]
    quoted = [one for one in amounts if (finding.chain_id, one.token.lower()) in QUOTES]
    if len(amounts) > len(quoted[:1]) and (worth := _worth(finding)) is not None:
        told = _signed(worth, sign)
        nothing = sign > 0 and not int(worth.amount_raw)
        return [f"tokens worth {amount_text(finding.chain_id, told)}"] if nothing or int(told.amount_raw) > 0 else []
    signed = [_signed(one, sign) for one in amounts if quoted]
    return [amount_text(finding.chain_id, one) for one in signed if int(one.amount_raw) > 0]


def _signed(amount: TokenAmount, sign: int) -> TokenAmount:
    return amount.model_copy(update={"amount_raw": str(sign * int(amount.amount_raw))})


def amount_text(chain_id: int, amount: TokenAmount) -> str:
    """`0.0499 WETH` for quote tokens, to six decimals where that leaves any; base units and the address for others."""
    quote = QUOTES.get((chain_id, amount.token.lower()))
    raw = int(amount.amount_raw)
    if quote is None:
        return f"{raw} base units of {amount.token}"
    whole, rest = divmod(abs(raw), 10**quote.decimals)
    exact = f"{rest:0{quote.decimals}d}"
    fraction = (exact[:6] if whole or exact[:6].strip("0") else exact).rstrip("0")
    sign = "-" if raw < 0 else ""
    return f"{sign}{whole}{'.' if fraction else ''}{fraction} {quote.symbol}"
