"""How many ordinary accounts named rules, lists and cuts of first contact would name, and how many are taken for contracts.

Part of `soba evaluate fraud`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from console.evaluate_fraud import ETHEREUM, Judged, Judges
from console.figures import Figure
from models.chain.gas import DAY_S, ENOUGH
from models.fraud import first_contact
from models.fraud.campaigns import FOLDS, Label, fold_of
from models.fraud.contracts import by_moves
from models.fraud.measure import auc
from models.fraud.profile import IN, OUT, Side
from models.fraud.reasons import GWEI, is_dear
from models.fraud.replay import Told
from models.fraud.walk import Floats
from models.fraud.wallet_rules import EXPOSED_TO, PAID, of_wallet
from topics.schemas.wallet import LEVELS

RULES = (
    "fast_drain", "many_to_one", "round_values", "wash", "token_wash", "new_wallet_large_amount", EXPOSED_TO, PAID
)  # fmt: skip
UNSEEN = -1
SIDES: tuple[tuple[str, Side], ...] = (("sender", OUT), ("receiver", IN))


def figures(history: Sequence[Told], labels: Mapping[str, Label], judged: Judged, by: Judges) -> list[Figure]:
    """Shares in percent: of ordinary account-quarters, and beside them of fraud."""
    medium = float(by.serving.cuts[0])
    rows = [*_rules(judged, medium), _gas(history, labels), *_contracts(judged, float(by.serving.cuts[1]))]
    for name, told, first_cuts in (
        ("on first contact", judged.asked, by.serving.first_cuts),
        ("by their first move", judged.moved, by.serving.single_cuts),
    ):
        rows += _first_contacts(name, told, first_cuts, judged, labels, by)
    shares = [Figure(name, round(100 * value, 3), "%", beside) for name, value, beside in rows]
    return [*shares, *_of_one_move(judged)]


Row = tuple[str, float, str]


def _rules(judged: Judged, medium: float) -> Iterator[Row]:
    ordinary, fraud = Counter[str](), Counter[str]()
    for profile, is_fraud, probability in zip(judged.profiles, judged.fraud, judged.probability, strict=True):
        told = of_wallet(profile, ETHEREUM)
        codes = {alert.code for alert in told}
        if raising := {alert.code for alert in told if alert.severity != LEVELS[0]}:
            codes |= {_RAISED} | ({_FOUND_LOW} if probability < medium else set())
            codes |= {_BY_HABIT} if probability < medium and EXPOSED_TO not in raising else set()
        (fraud if is_fraud else ordinary).update(codes)
    many, frauds = int((~judged.fraud).sum()), int(judged.fraud.sum())
    for code in (*RULES, _RAISED, _FOUND_LOW, _BY_HABIT):
        name = f"ordinary accounts named: {code}" if code in RULES else code
        yield name, ordinary[code] / max(many, 1), f"of fraud {fraud[code] / max(frauds, 1):.2%}"


_RAISED = "ordinary accounts that rules raise to medium or more"
_FOUND_LOW = "... of those that the model finds low"
_BY_HABIT = "... and that no dealing with a listed address raises"


def _gas(history: Sequence[Told], labels: Mapping[str, Label]) -> Row:
    """Transactions whose gas is dear against the median of the same history on their day."""
    paid = [
        (told.account, told.time // DAY_S, price)
        for told in history
        if told.move["direction"] == "out" and (price := told.move.get("gas_price_wei"))
    ]
    days: dict[int, list[int]] = {}
    for _, day, price in paid:
        days.setdefault(day, []).append(price)
    known = {day: median(prices) for day, prices in days.items() if len(prices) >= ENOUGH}
    many, dear = Counter[bool](), Counter[bool]()
    for account, day, price in paid:
        if day in known:
            many[labels[account].fraud] += 1
            dear[labels[account].fraud] += is_dear(price / GWEI, known[day])
    share = {fraud: dear[fraud] / max(many[fraud], 1) for fraud in (False, True)}
    return "ordinary transactions named: gas_price", share[False], f"of fraud {share[True]:.2%}"


def _contracts(judged: Judged, high: float) -> Iterator[Row]:
    """Account-quarters that at their end would be taken for contracts, and not be judged."""
    found = np.array([by_moves(profile) is not None for profile in judged.profiles])
    shares = [_share(found[judged.fraud == fraud]) for fraud in (False, True)]
    yield "ordinary accounts taken for contracts", shares[0], f"of fraud {shares[1]:.2%}"
    shares = [_share(judged.probability[found & (judged.fraud == fraud)] >= high) for fraud in (False, True)]
    yield "... of which the model would find high", shares[0], f"of fraud {shares[1]:.2%}"
    names = np.array([unit.account for unit in judged.units])
    sends = [profile.went.moves > 0 for profile in judged.profiles]
    found &= np.isin(names, np.unique(names[sends]))
    shares = [_share(found[judged.fraud == fraud]) for fraud in (False, True)]
    yield "... that send transactions in another quarter", shares[0], f"of fraud {shares[1]:.2%}"


def _first_contacts(
    when: str,
    told: Mapping[Side, Floats],
    cuts: Floats,
    judged: Judged,
    labels: Mapping[str, Label],
    by: Judges,
) -> Iterator[Row]:
    """Those that reach a level by the cuts of the model that serves; of its own training accounts, of the other folds."""
    groups = [labels[unit.account].group for unit in judged.units]
    folds = np.array([fold_of(group) if crc32(group.encode()) in by.trained_on else UNSEEN for group in groups])
    for name, side in SIDES:
        asked = told[side]
        there = ~np.isnan(asked)
        reached = asked[:, None] >= cuts[side]
        for fold in range(FOLDS):
            others = there & ~judged.fraud & (folds != fold) & (folds != UNSEEN)
            mine = there & (folds == fold)
            if others.any():
                reached[mine] = asked[mine, None] >= first_contact.cuts(asked[others])
        for place, level in enumerate(LEVELS[1:]):
            shares = [_share(reached[there & (judged.fraud == fraud), place]) for fraud in (False, True)]
            yield f"ordinary {name}s {when}, {level}", shares[0], f"of fraud {shares[1]:.2%}"


def _share(reached: NDArray[np.bool_]) -> float:
    return float(reached.mean()) if len(reached) else float("nan")


def _of_one_move(judged: Judged) -> Iterator[Figure]:
    for name, side in SIDES:
        there = ~np.isnan(judged.asked[side])
        yield Figure(
            f"{name}s on first contact, AUC", round(auc(judged.fraud[there], judged.asked[side][there]), 4), ""
        )
