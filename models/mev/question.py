"""What can be said of a transaction that somebody asks about, from whatever little is told of it.

The best source answers: what the mev agent found in the block, else the detectors on a block made of the question, else patterns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from models.chain.normal_form import is_address
from models.mev import detect
from models.mev.asked import SCALE, TARGET, Asked, Made, block_of, is_hash, read
from models.mev.patterns import MODEL, Pattern, best
from topics.schemas.mev import Finding, TokenAmount
from topics.schemas.mev_question import DetectMev, Gain, MevAnswer
from topics.schemas.requests import Fault

IS_MEV = 0.3
"""A pattern that is worth less is told, and not taken for MEV: nothing speaks for it but amounts."""
LOOKED_THROUGH = {"complete": 0.9, "partial": 0.5}
"""Confidence that a transaction is no MEV where the mev agent found none in its block, by the block's status."""
MOST_MADE = 0.85
"""The most a finding in a block made of a question is worth: nobody checked that those transactions exist."""
POOL_GUESSED, ORDER_GUESSED = 0.5, 0.5
"""The most where pools or the order of transactions are not told but inferred."""
NONE_MADE, NONE_FITS, NOTHING_TOLD = 0.5, 0.2, 0.05
"""Confidence that it is no MEV: by the detectors, by patterns alone, without anything to compare with."""
MOST_TOLD = 50
"""Warnings of one answer."""


def answer(question: DetectMev, blocks: Mapping[int, tuple[str, Sequence[Finding]]]) -> MevAnswer:
    """The answer to `question`. `blocks` are those of its numbers that the table holds: status and standing findings."""
    asked = read(question)
    told = _of_table(asked[0], blocks) or _of_detectors(question, asked) or _of_patterns(asked)
    return told.model_copy(update={"unknown": _unknown(asked), "warnings": _warnings(question)})


def _said(
    confidence: float,
    evidence: list[str],
    basis: str,
    model: str,
    finding: Finding | None = None,
) -> MevAnswer:
    kind = finding.kind if finding else None
    told = {"is_mev": finding is not None, "mev_type": kind, "confidence": confidence, "evidence": evidence}
    return MevAnswer.model_validate({**told, "basis": basis, "unknown": {}, "warnings": [], "model": model})


def _of_table(target: Asked, blocks: Mapping[int, tuple[str, Sequence[Finding]]]) -> MevAnswer | None:
    """What the mev agent says of the target's hash; None where it has not seen it."""
    if target.hash is None:
        return None
    told = {one.id: one for _, findings in blocks.values() for one in findings if target.hash in _hashes(one)}
    found = list(told.values())  # what is over two blocks is told of both
    if found:
        one = _likeliest(found)
        where = f"the mev agent found it in {one.place()} ({one.status}), as {_words(one)}"
        more = {
            "role": _role(one, target.hash),
            "roles": {name: list(hashes) for name, hashes in _parts(one) if hashes},
            "profit": [Gain(token=gain.token, amount_raw=gain.amount_raw) for gain in one.profit],
            "findings": found,
        }
        return _said(one.confidence, [where], "table", one.model, one).model_copy(update=more)
    status, _ = blocks.get(-1 if target.block is None else target.block, ("unknown", ()))
    if status not in LOOKED_THROUGH:
        return None
    evidence = [
        f"the mev agent has looked through block {target.block} ({status}) and names this transaction in no finding"
    ]
    return _said(LOOKED_THROUGH[status], evidence, "table", MODEL)


def _of_detectors(question: DetectMev, asked: Sequence[Asked]) -> MevAnswer | None:
    """What the detectors find in a block made of the question; None where none can be made, or it is too little to say no."""
    made = block_of(question, asked)
    if made is None:
        return None
    found = [(one, hash) for one in detect(made.block) for hash in _hashes(one) if made.names[hash].key == asked[0].key]
    if not found:
        if not made.senders_told:
            return None
        said = f"the detectors find nothing with it among {len(made.names)} transactions, taken in the order of their {made.order}"
        return _said(_less(NONE_MADE, made), [said], "detector", MODEL)
    one = _likeliest([finding for finding, _ in found])
    target = next(hash for finding, hash in found if finding is one)
    evidence = [f"in a block made of {len(made.names)} transactions of the question the detectors find {_words(one)}"]
    evidence.append(f"their order is that of their {made.order}; nobody checked that they exist")
    if not made.pool_told:
        evidence.append("not all pools are told: swaps of one pair are taken to be of one pool")
    more = {
        "role": _role(one, target),
        "roles": {name: [made.names[hash].name for hash in hashes] for name, hashes in _parts(one) if hashes},
        "profit": [_in_units(gain) for gain in one.profit],
    }
    return _said(_less(min(one.confidence, MOST_MADE), made), evidence, "detector", one.model, one).model_copy(
        update=more
    )


def _less(confidence: float, made: Made) -> float:
    """Less where the block had to be guessed."""
    most = [confidence]
    most += [POOL_GUESSED] if not made.pool_told else []
    most += [ORDER_GUESSED] if made.order == "gas prices" else []
    return min(most)


def _of_patterns(asked: Sequence[Asked]) -> MevAnswer:
    """What amounts, times and prices allow."""
    if len(asked) == 1:
        said = "no transaction that may stand in one block with it is told: there is nothing to compare it with"
        return _said(NOTHING_TOLD, [said], "nothing", MODEL)
    found = best(asked)
    if found is None:
        said = f"no pattern fits it and what stands around it ({len(asked) - 1}), as far as that is told"
        return _said(NONE_FITS, [said], "pattern", MODEL)
    by_role = ", ".join(f"{role} {one.name}" for role, one in found.roles.items())
    if found.confidence < IS_MEV:
        evidence = [f"too little for a {found.kind} ({by_role})", *found.facts]
        return _said(NONE_FITS, evidence, "pattern", MODEL)
    evidence = [f"a pattern of {found.kind} fits: {by_role}", *found.facts]
    if found.confidence < 0.5:
        evidence.append("amounts, times and prices do not tell who traded, so this may be chance")
    target = asked[0]
    return _said(found.confidence, evidence, "pattern", MODEL).model_copy(
        update={
            "is_mev": True,
            "mev_type": found.kind,
            "role": next(role for role, one in found.roles.items() if one.key == target.key),
            "roles": {role: [one.name] for role, one in found.roles.items()},
            "profit": _gain(found),
        }
    )


def _gain(found: Pattern) -> list[Gain]:
    """What the two legs of a sandwich left of the token that it began with, where both told it."""
    front, back = found.roles["front"], found.roles.get("back")
    if back is None or front.direction is None or back.direction != front.direction[::-1]:
        return []
    if front.amount is None or back.amount_out is None:
        return []
    return [Gain(token=front.direction[0], amount=f"{back.amount_out - front.amount:f}")]


def _in_units(gain: TokenAmount) -> Gain:
    units = Decimal(gain.amount_raw).scaleb(-SCALE)
    symbol = gain.token if gain.token.startswith("0x") else gain.token.upper()
    return Gain(token=symbol, amount=f"{units.normalize():f}")


def _likeliest(found: Iterable[Finding]) -> Finding:
    return max(found, key=lambda one: one.confidence)


def _words(one: Finding) -> str:
    """A finding in a few words."""
    facts = ", ".join(fact.replace("_", " ") for fact in one.evidence)
    return f"{one.kind} (rules {one.model}, confidence {one.confidence:g})" + (f", from: {facts}" if facts else "")


def _parts(one: Finding) -> list[tuple[str, list[str]]]:
    return [("front", one.front), ("victim", one.victims), ("back", one.back), ("part", one.transactions)]


def _hashes(one: Finding) -> set[str]:
    return {hash for _, hashes in _parts(one) for hash in hashes}


def _role(one: Finding, hash: str) -> str:
    return next(role for role, hashes in _parts(one) if hash in hashes)


_WANTED = (
    ("hash", lambda one: one.hash is None or not is_hash(one.hash), "what the mev agent found cannot be looked up"),
    ("pool", lambda one: one.pool is None, "whether they traded in one pool is not known"),
    ("fromAddress", lambda one: one.sender is None, "who sent them is not known, so that chance cannot be told from intent"),
    ("tokenIn", lambda one: one.direction is None, "which way they traded is not known, nor what anybody gained"),
    ("transactionIndex", lambda one: one.index is None, "their order is taken from what else is told"),
    ("timestamp", lambda one: one.time is None and one.block is None, "whether they stand in one block is not known"),
    ("gasPrice", lambda one: one.gas is None, "who paid to be first is not known"),
    ("amount", lambda one: one.amount is None, "how much was traded is not known"),
)  # fmt: skip


def _unknown(asked: Sequence[Asked]) -> dict[str, str]:
    """What is not told of the target or of those around it, and what follows."""
    told = {}
    for field, missing, follows in _WANTED:
        among = asked[:1] if field == "hash" else asked
        many = sum(map(missing, among))
        if many:
            whose = TARGET if len(among) == 1 else f"{many} of {len(among)} transactions"
            told[field] = (
                f"not told of {whose}, or not whole: {follows}"
                if field == "hash"
                else f"not told of {whose}: {follows}"
            )
    return told


def _warnings(question: DetectMev) -> list[Fault]:
    places = [(TARGET, question.target_tx)]
    places += [(f"surroundingTxs.{at}", told) for at, told in enumerate(question.surrounding_txs)]
    found = []
    for place, told in places:
        for name, given, whole in (
            ("hash", told.hash, is_hash),
            ("fromAddress", told.from_address, is_address),
            ("toAddress", told.to_address, is_address),
        ):
            if given is not None and not whole(given):
                said = f"{given[:60]} is no whole identifier: it is compared with others and not looked up"
                found.append(Fault(field=f"{place}.{name}", code="abbreviated", message=said))
        found += [
            Fault(field=f"{place}.{name}", code="unknown_field", message="not part of the schema; left out")
            for name in told.model_extra or ()
        ]
    return found[:MOST_TOLD]
