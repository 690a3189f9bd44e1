"""Which of a profile's numbers lies where: those of each half, what came in and what went out, and those of both together.

Of a half, transactions and ERC-20 transfers have numbers of their own: most wallets have none of one of them.
All are held as floats in plain lists, or `half.NO_TRANSACTIONS` and `NO_TRANSFERS`; counts up to 2**53 are exact.
"""

from __future__ import annotations

COUNTS = (
    "moves", "failed", "zero", "calls", "plain", "round_limit", "sent_tokens", "approvals", "known", "famous", "tenths",
    "hundredths", "again", "fresh", "total", "last", "last_value",
)  # fmt: skip
"""Of a half's transactions.

moves (transactions), of which failed, with no value (zero), contract calls, with a gas limit of exactly `PLAIN_GAS` (plain), with
one of whole thousands other than that (round_limit), calls of ERC-20 `transfer` (sent_tokens) and of `approve` (approvals), with a
peer that the model knows (known) or that `FAMOUS_FROM` others deal with (famous), of a multiple of 0.1 and of 0.01 ether (tenths,
hundredths), of the same value as the one before (again), with a peer not seen before (fresh); total: ether; last: when the last
was, unix seconds; last_value: the `mark` of what the last that moved something moved.
"""
(
    MOVES, FAILED, ZERO, CALLS, PLAIN, ROUND_LIMIT, SENT_TOKENS, APPROVALS, KNOWN, FAMOUS, TENTHS,
    HUNDREDTHS, AGAIN, FRESH, TOTAL, LAST, LAST_VALUE,
) = range(len(COUNTS))  # fmt: skip

MOMENTS = ("value", "digits", "gap", "gas_limit", "gas_share", "gas_price", "price_digits", "fame")
"""Of them, each in five numbers.

value: log10 of ether, where there was some; digits: significant ones of the value in wei; gap: log10 of seconds since the one
before; gas_limit: log10; gas_share: used of it; gas_price: log2 against the market's; price_digits: significant ones of the price
in wei; fame: log10 of how many wallets are known to deal with the peer.
"""
PARTS = ("count", "mean", "squares", "low", "high")
"""By Welford's recurrence (1962): squares is the sum of squares of what differs from the mean."""
(VALUE, DIGITS, GAP, GAS_LIMIT, GAS_SHARE, GAS_PRICE, PRICE_DIGITS, FAME) = range(
    len(COUNTS), len(COUNTS) + len(MOMENTS) * len(PARTS), len(PARTS)
)

TOKEN_COUNTS = ("tokens", "empty_tokens")
"""Of a half's ERC-20 transfers: tokens, how many there were, of which empty_tokens moved nothing."""
(TOKENS, EMPTY_TOKENS) = range(len(TOKEN_COUNTS))
TOKEN_MOMENTS = ("token_fame", "coin_fame")
"""token_fame: log10 of how many wallets are known to deal with the peer; coin_fame: the same of the token."""
(TOKEN_FAME, COIN_FAME) = range(len(TOKEN_COUNTS), len(TOKEN_COUNTS) + len(TOKEN_MOMENTS) * len(PARTS), len(PARTS))

OWN_COUNTS = ("first", "latest", "created", "bursts", "quick", "drains", "balance", "peak", "sine", "cosine")
"""Of both halves together.

first, latest: when, unix seconds; created: contracts; bursts: moves within `BURST_S` of the one before; quick: went out within
`QUICK_S` of something that came in; drains: left less than a twentieth behind; balance, peak: ether, as far as moves tell; sine,
cosine: sums over moves of the hand of a clock of 24 hours.
"""
(FIRST, LATEST, CREATED, BURSTS, QUICK, DRAINS, BALANCE, PEAK, SINE, COSINE) = range(len(OWN_COUNTS))
OWN_MOMENTS = ("delay", "pause")
"""delay: log10 of seconds from the last that came in to one that goes out; pause: from any move to the next."""
(DELAY, PAUSE) = range(len(OWN_COUNTS), len(OWN_COUNTS) + len(OWN_MOMENTS) * len(PARTS), len(PARTS))

SEEN, TOKENS_SEEN = ("peers", "selectors"), ("token_peers",)
"""Bitmaps of a half: peers of transactions and functions called; peers of ERC-20 transfers."""
OWN_SEEN = ("hours", "days", "tokens", "peers")
"""Of both: hours of the day, days, ERC-20 tokens, and peers of either kind."""


def _names(counts: tuple[str, ...], moments: tuple[str, ...]) -> tuple[str, ...]:
    return (*counts, *(f"{name}.{part}" for name in moments for part in PARTS))


TRANSACTIONS, TRANSFERS = _names(COUNTS, MOMENTS), _names(TOKEN_COUNTS, TOKEN_MOMENTS)
"""Names of the numbers of a half, in order,"""
OWN = _names(OWN_COUNTS, OWN_MOMENTS)
"""and of those of both."""
