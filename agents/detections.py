"""detections: what can be said of a transaction that somebody asks about over requests.chain, as MEV."""

from __future__ import annotations

from collections.abc import Sequence

from agents.agent import Agent, Record, Result, RowName, Rows, from_nobody
from models.mev.question import answer
from tables.registry import MEV, MevRow, mev_keys
from tables.rows import Answer
from topics.headers import REPLY_TO, REQUEST_ID
from topics.registry import REQUESTS_CHAIN
from topics.schemas.mev import Finding
from topics.schemas.mev_question import DetectMev


def _numbers(question: DetectMev) -> list[int]:
    """The blocks in which the mev agent may have found the target."""
    told = question.target_tx.block_number
    return sorted({*question.known_blocks, *([] if told is None else [told])})


def keys(batch: Sequence[Record]) -> list[RowName]:
    """What the mev agent said of those blocks, each with its neighbours."""
    asked = [record.value for record in batch]
    return list(dict.fromkeys((MEV, key) for one in asked for n in _numbers(one) for key in mev_keys(one.chain_id, n)))


def handle(batch: Sequence[Record], rows: Rows) -> Result:
    """Answer each question; one that does not say who asks is refused."""
    result = Result()
    for record in batch:
        request_id = record.header(REQUEST_ID)
        if request_id is None:
            result.dead_letters.append(from_nobody(record))
            continue
        question: DetectMev = record.value
        blocks: dict[int, tuple[str, list[Finding]]] = {}
        for number in _numbers(question):
            own, *pairs = (rows.get((MEV, key)) for key in mev_keys(question.chain_id, number))
            if isinstance(own, MevRow):
                found = (one for row in (own, *pairs) if isinstance(row, MevRow) for one in row.findings)
                blocks[number] = own.status, [one for one in found if one.status != "retracted"]
        result.answers.append(Answer(request_id, record.header(REPLY_TO), answer(question, blocks)))
    return result


AGENT = Agent("detections", REQUESTS_CHAIN, handle, keys, feed="consume")
