"""Which tokens a block's pools hold: by facts known beforehand, else proven by CREATE2, else by a swap's own transfers.

A pool of an unknown factory is still known where the two legs of one of its swaps equal one transfer in and one out exactly.
What no fact and no proof tells is noted as wanted: a node could tell it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.deployments import PairFamily, Pool, resolve
from ingest.facts import Facts, Family, PoolFacts, Wanted
from ingest.parts import Log

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


Moved = tuple[str, str, str, str]
"""One ERC-20 transfer: token, from whom, to whom, and the amount as its word of hex."""


@dataclass(slots=True)
class Pools:
    """The pools of one block."""

    chain_id: int
    facts: Facts
    logs: list[Log]
    wanted: dict[Wanted, None] = field(default_factory=dict)
    """What was asked for here and is not known, in order."""
    _found: dict[str, Pool] = field(default_factory=dict)
    _moved: dict[str, list[Moved]] | None = None
    _touching: dict[str, set[str]] = field(default_factory=dict)

    def want(self, family: Family, subject: str, contract: str) -> None:
        """Note that a node should be asked for `subject`, which a log of `contract` brought up."""
        self.wanted[Wanted(family, subject, contract)] = None

    def find(self, address: str, family: PairFamily) -> Pool | None:
        """The pool of two tokens at `address`, or None where neither facts nor CREATE2 tell them."""
        held = self._found.get(address)
        if held is not None:
            return held
        facts = self.facts.pools.get(address)
        if facts is not None and facts.token0 and facts.token1:
            known = "unknown" not in facts.protocol
            pool: Pool | None = Pool(
                facts.protocol if known else f"{family}_fork", facts.token0.lower(), facts.token1.lower()
            )
        else:
            self._read_transfers()
            pool = resolve(self.chain_id, address, family, frozenset(self._touching.get(address, ())))
            if pool is not None:  # proven, for later blocks too
                self.facts.pools[address] = PoolFacts(protocol=pool.protocol, token0=pool.token0, token1=pool.token1)
        if pool is not None:
            self._found[address] = pool
        else:
            self.want(family, address, address)
        return pool

    def infer(self, log: Log, address: str, family: PairFamily, net0: int, net1: int) -> Pool | None:
        """The pool behind a swap that put `net0`, `net1` into it (negative: took out), by its transaction's transfers.

        None unless exactly one token went in with the one amount and one came out with the other, in token order.
        """
        paid, got = (net0, -net1) if net0 > 0 else (net1, -net0)
        sold, bought = self.sold(log, address, paid), self.bought(log, address, got)
        if sold is None or bought is None:
            return None
        token0, token1 = (sold, bought) if net0 > 0 else (bought, sold)
        if not token0 < token1:
            return None
        pool = self._found[address] = Pool(f"{family}_fork", token0, token1)
        return pool

    def sold(self, log: Log, address: str, amount: int) -> str | None:
        """The one token of which the log's transaction moved exactly `amount` to `address`; None where none or several."""
        moved = self._read_transfers().get(log.transaction_hash, ())
        found = {token for token, _, target, word in moved if target == address and int(word, 16) == amount}
        return found.pop() if len(found) == 1 else None

    def bought(self, log: Log, address: str, amount: int) -> str | None:
        """The same of what it moved from `address`."""
        moved = self._read_transfers().get(log.transaction_hash, ())
        found = {token for token, source, _, word in moved if source == address and int(word, 16) == amount}
        return found.pop() if len(found) == 1 else None

    def touching(self, log: Log, address: str) -> frozenset[str]:
        """The tokens that the log's transaction moved to or from `address`."""
        moved = self._read_transfers().get(log.transaction_hash, ())
        return frozenset(token for token, *parties, _ in moved if address in parties)

    def _read_transfers(self) -> dict[str, list[Moved]]:
        """The block's transfers by transaction; also notes which tokens touched which address."""
        if self._moved is None:
            self._moved = {}
            for log in self.logs:
                topics = log.topics
                if len(topics) == 3 and topics[0] == TRANSFER and len(log.data) == 66:
                    token, source, target = log.address, "0x" + topics[1][26:], "0x" + topics[2][26:]
                    self._moved.setdefault(log.transaction_hash, []).append((token, source, target, log.data))
                    self._touching.setdefault(source, set()).add(token)
                    self._touching.setdefault(target, set()).add(token)
        return self._moved
