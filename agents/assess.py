"""assess: swap.requests → risk.scores and the RISK table; who waits for an answer gets it.

A request is assessed once: its id is the header `request_id`, else where it lies, never the hash that it names, since anybody may
name any. One that comes again is answered from its row. Profiles of wallets are read and never written here, so a request changes
nothing that a later one is judged by.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from agents.agent import Agent, DeadLetter, Output, Record, Result, RowName, Rows
from agents.judged import MOST_FAULTS
from base.wording import wordings
from models.chain import gas
from models.chain.normal_form import is_address
from models.fraud import requests
from models.fraud.assess import Case, assess
from models.fraud.judging import Known
from models.fraud.lists import Lists
from models.fraud.scorer import FRAUD
from models.fraud.wallet import current
from models.fraud.wallet_rules import LISTED
from models.releases import Models
from tables.registry import GAS, PROFILES, RISK, RISK_BY_TRANSACTION, RISK_BY_WALLET, GasRow, ProfileRow
from tables.rows import Answer, Pointer, Row
from topics.codecs import TOO_MANY_FAULTS, Unfit, element_slices
from topics.headers import REPLY_TO, REQUEST_ID, cloud_event
from topics.registry import RISK_SCORES, SWAP_REQUESTS
from topics.schemas.requests import Fault
from topics.schemas.risk import MOST_REQUESTS, REQUEST, Assessment, RiskAnswer, SwapRequest

LONGEST_ID = 300
"""Characters of a header `request_id`, which anybody may write; a longer one names nothing."""


class _Element(NamedTuple):
    """One request of a record; `place` is None where it came alone."""

    id: str
    place: int | None
    value: SwapRequest | Unfit


def _elements(record: Record) -> Iterator[_Element]:
    given = record.header(REQUEST_ID) or ""
    id = given if 0 < len(given) <= LONGEST_ID else f"{record.partition}:{record.offset}"
    if not isinstance(record.value, list):
        yield _Element(id, None, record.value)
        return
    for index, value in enumerate(record.value):
        yield _Element(f"{id}:{index}", index, value)


@lru_cache(maxsize=4096)
def _wallet(chain_id: int, address: str | None) -> str | None:
    """The key of a wallet, where the address is one."""
    return f"{chain_id}:{address.lower()}" if address is not None and is_address(address) else None


def _day(request: SwapRequest, now: float) -> str | None:
    """The key of the day whose gas prices its own is held against; None where it names none."""
    if request.gas_price is None:
        return None
    at = int(now) if request.timestamp is None else request.timestamp
    return f"{request.chain_id}:{at // gas.DAY_S}"


def keys(batch: Sequence[Record]) -> list[RowName]:
    """What was said of each request before, what is known of its wallets, and what gas costs on its day."""
    names: dict[RowName, None] = {}
    now = time.time()
    for record in batch:
        for element in _elements(record):
            names[RISK, element.id] = None
            request = element.value
            if isinstance(request, SwapRequest):
                for address in (request.from_address, request.to_address):
                    if (wallet := _wallet(request.chain_id, address)) is not None:
                        names[PROFILES, wallet] = None
                if (day := _day(request, now)) is not None:
                    names[GAS, day] = None
    return list(names)


def handle(batch: Sequence[Record], rows: Rows, models: Models, lists: Lists) -> Result:
    """Assess what is new, all of a batch at one time and by one model; refuse what is no request, or cannot be."""
    result, now = Result(), time.time()
    days = {key: _price(row) for (table, key), row in rows.items() if table is GAS}
    told: dict[str, Assessment] = {}
    cases: dict[str, tuple[Case, Record]] = {}
    asked: list[tuple[str, Record, bool]] = []
    for record in batch:
        refused: list[tuple[_Element, list[Fault]]] = []
        for element in _elements(record):
            before = rows.get((RISK, element.id))
            if isinstance(before, Assessment):
                told[element.id] = before
            again = element.id in told or element.id in cases
            if not again and (faults := _faults(element.value, now)):
                refused.append((element, faults))
                continue
            if not again and isinstance(element.value, SwapRequest):
                day_wei = days.get(_day(element.value, now) or "")
                cases[element.id] = _case(element.id, record, element.value, rows, day_wei), record
            asked.append((element.id, record, again))
        _refuse(result, record, refused)
    model = models.get(FRAUD.name)
    scorer, by, stale = (None, "", False) if model is None else (model.loaded, model.id, model.stale)
    for one in assess([case for case, _ in cases.values()], scorer, by, stale, now, lists):
        told[one.id] = one
        row = Row(RISK, one.id, one.revision, one, _pointers(one))
        result.outputs.append(_output(one, row.stored, cases[one.id][1]))
        result.rows.append(row)
    for id, record, again in asked:
        if (reply_to := record.header(REPLY_TO)) is not None:
            result.answers.append(Answer(id, reply_to, RiskAnswer(assessment=told[id], repeated=again)))
    return result


def _faults(value: SwapRequest | Unfit, now: float) -> list[Fault]:
    return requests.errors(value, now) if isinstance(value, SwapRequest) else _unfit(value.value)


def _unfit(value: object) -> list[Fault]:
    """Why `value`, parsed JSON, is no swap request."""
    if isinstance(value, list):
        said = f"an array holds at most {MOST_REQUESTS} swap requests; send the others in another"
        return [Fault(field="", code="too_many", message=said)]
    try:
        REQUEST.validate_python(value)
    except ValidationError as error:
        return [
            Fault(field=told.field, code=told.code, message=told.said)
            for told in wordings(error.errors(include_url=False))
        ]
    return [Fault(field="", code="wrong_type", message="it is no swap request; give fromAddress and amount")]


def _case(id: str, record: Record, request: SwapRequest, rows: Rows, day_wei: float | None) -> Case:
    sender = _known(rows, _wallet(request.chain_id, request.from_address))
    receiver = _known(rows, _wallet(request.chain_id, request.to_address))
    return Case(id, record.offset, request, sender, receiver, day_wei)


def _price(row: BaseModel | None) -> float | None:
    return gas.Day(row.bins, row.folded, row.kept).median_wei() if isinstance(row, GasRow) else None


def _known(rows: Rows, wallet: str | None) -> Known | None:
    row = None if wallet is None else rows.get((PROFILES, wallet))
    if not isinstance(row, ProfileRow) or not row.moves:
        return None
    # Lists are asked anew for each request: what the row says of them is older.
    alerts = [alert for alert in row.alerts if alert.code != LISTED]
    return Known(
        row.moves,
        partial(current, row),
        row.model,
        row.probability,
        row.anomaly,
        alerts,
        row.exposure,
        None if row.known == "profile" else row.known,
    )


def _refuse(result: Result, record: Record, refused: Sequence[tuple[_Element, list[Fault]]]) -> None:
    """Tell who waits; what nobody waits for is set aside, each element alone."""
    if not refused:
        return
    if (reply_to := record.header(REPLY_TO)) is not None:
        result.answers += [Answer(element.id, reply_to, RiskAnswer(errors=faults)) for element, faults in refused]
        return
    if len(refused) > MOST_FAULTS:
        said = f"{len(refused)} of its {len(record.value)} elements are refused, more than {MOST_FAULTS}"
        result.dead_letters.append(DeadLetter(record, TOO_MANY_FAULTS, "", said, record.raw))
        return
    slices = element_slices(record.raw, record.value) if isinstance(record.value, list) else [record.raw]
    for element, faults in refused:
        index = None if element.place is None else str(element.place)
        first = faults[0]
        raw = slices[element.place or 0]
        result.dead_letters.append(DeadLetter(record, first.code, first.field, first.message, raw, index))


def _output(one: Assessment, value: bytes, record: Record) -> Output:
    headers = cloud_event(f"{one.id}:{one.revision}", AGENT.name, "soba.risk.request", record.headers)
    return Output(RISK_SCORES.name, f"{one.chain_id}:{one.from_address}".encode(), value, headers)


def _pointers(one: Assessment) -> tuple[Pointer, ...]:
    """Where the row is looked up: by the transaction that the request names, and by each wallet."""
    at, found = int(one.processed_at), []
    if requests.is_hash(one.transaction_hash):
        found.append(Pointer(RISK_BY_TRANSACTION, f"{one.chain_id}:{one.transaction_hash}", at))
    wallets = {address for address in (one.from_address, one.to_address) if address and is_address(address)}
    found += [Pointer(RISK_BY_WALLET, f"{one.chain_id}:{address}", at) for address in sorted(wallets)]
    return tuple(found)


AGENT = Agent(
    "assess", SWAP_REQUESTS, handle, keys, own=(RISK,), feed="consume", models=(FRAUD,), lists=True, at_once=1_024
)
