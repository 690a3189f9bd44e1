"""Protocol knowledge as data: one file a protocol, one line of `PROTOCOLS` each."""

from __future__ import annotations

from ingest.protocols import erc20, uniswap_v2, uniswap_v3, weth
from ingest.protocols.base import Decoder

PROTOCOLS = (uniswap_v2, uniswap_v3, erc20, weth)

BY_TOPIC: dict[str, Decoder] = {
    topic: decoder for protocol in PROTOCOLS for topic, decoder in protocol.DECODERS.items()
}
"""topic0, lower case → decoder: one dictionary look-up a log, however many protocols there are."""
