"""What an agent with state carries from its records to what it makes of them.

A block is made from many records. It carries what that record carried which changed it last: its id names it, and it may have come
in an earlier batch. So a block, made again from the same records, carries the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

from agents import spans
from agents.agent import Output, Record, Result
from topics.headers import Headers, carry, get

KEPT = 100_000
"""Records whose headers are kept for blocks still open; beyond, the oldest are forgotten, and a block carries nothing."""


class Carried:
    """What the records of one partition carry, as long as something may be made of them.

    `made_at` tells from the `ce_id` of an output the offset of the record that changed it last. What may only follow an output
    (`Result.after`) has the output's `ce_id` and one part more, and carries what the output carries.
    """

    def __init__(self, made_at: Callable[[str], int]) -> None:
        self._made_at = made_at
        self._open: OrderedDict[int, Headers] = OrderedDict()

    def give(self, records: Sequence[Record], result: Result) -> None:
        """Put into what was made of `records` and earlier ones what it carries."""
        made: dict[bytes, Headers] = {}
        for output in result.outputs:
            id = get(output.headers, "ce_id") or b""
            made[id] = self._of(records, self._made_at(id.decode()))
            output.headers.extend(made[id])
        follow(result.after, made)

    def keep(self, records: Sequence[Record], floor: int | None) -> None:
        """Remember what those records carry that are needed again, from offset `floor` on; None: none is."""
        if floor is None:
            self._open.clear()
            return
        while self._open and next(iter(self._open)) < floor:
            self._open.popitem(last=False)
        here = spans.here()
        for record in records[bisect_left(records, floor, key=attrgetter("offset")) :]:
            if record.headers or here:
                carried = spans.continued(carry(record.headers), here)
                if carried:
                    self._open[record.offset] = carried
        while len(self._open) > KEPT:
            self._open.popitem(last=False)

    def _of(self, records: Sequence[Record], offset: int) -> Headers:
        place = bisect_left(records, offset, key=attrgetter("offset"))
        if place < len(records) and records[place].offset == offset:
            return carry(records[place].headers)
        return self._open.get(offset, [])


def follow(outputs: Iterable[Output], made: Mapping[bytes, Headers]) -> None:
    """Put into each of `outputs` what that one carries whose `ce_id` begins its own."""
    for output in outputs:
        id = get(output.headers, "ce_id") or b""
        output.headers.extend(carry(made.get(id.rpartition(b":")[0], [])))
