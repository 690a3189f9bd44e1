"""Protocol knowledge as data: one file a protocol, one line of `PROTOCOLS` each."""

from __future__ import annotations

from ingest.facts import Answers, Facts, Family, Question, Request, Wanted
from ingest.protocols import (
    aave,
    balancer_v1,
    balancer_v2,
    compound_v2,
    compound_v3,
    curve,
    dodo_v2,
    erc20,
    morpho_blue,
    uniswap_v2,
    uniswap_v3,
    uniswap_v4,
    weth,
    zeroex_v4,
)
from ingest.protocols.base import Decoder

PROTOCOLS = (
    uniswap_v2,
    uniswap_v3,
    uniswap_v4,
    curve,
    balancer_v1,
    balancer_v2,
    dodo_v2,
    zeroex_v4,
    aave,
    compound_v2,
    compound_v3,
    morpho_blue,
    erc20,
    weth,
)

BY_TOPIC: dict[str, Decoder] = {
    topic: decoder for protocol in PROTOCOLS for topic, decoder in protocol.DECODERS.items()
}
"""topic0, lower case → decoder: one dictionary look-up a log, however many protocols there are."""

QUESTIONS: dict[Family, Question] = {
    family: question for protocol in PROTOCOLS for family, question in protocol.QUESTIONS.items()
}
"""Family → how a node is asked what decoding missed."""


def requests(wanted: Wanted) -> list[Request]:
    """The JSON-RPC requests, all to be sent at once, whose answers `learn` reads."""
    return QUESTIONS[wanted.family].requests(wanted)


def learn(facts: Facts, wanted: Wanted, answers: Answers) -> bool:
    """Put what `answers` say into `facts`; False where they say nothing, and asking again would not help.

    `answers` are the results in the order of the requests, None for each that the node answered with an error. A request that
    the node did not answer at all (it was busy) is no None: send it again first.
    """
    found = QUESTIONS[wanted.family].read(wanted, answers)
    if found is None:
        return False
    if isinstance(found, int):
        facts.decimals[wanted.subject] = found
    else:
        facts.pools[wanted.subject] = found
    return True
