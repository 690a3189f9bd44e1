"""Swaps that a transaction asks a router for: calldata of Uniswap V2's and V3's routers, which many forks share.

Sources: UniswapV2Router02.sol (Uniswap/v2-periphery), SwapRouter.sol (Uniswap/v3-periphery), SwapRouter02's IV2SwapRouter.sol,
IV3SwapRouter.sol and IMulticallExtended.sol (Uniswap/swap-router-contracts).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ingest.facts import selector

MULTICALLS = ("multicall(bytes[])", "multicall(uint256,bytes[])", "multicall(bytes32,bytes[])")
MOST_CALLS = 32
"""In one multicall; the rest is passed over."""
_ADDRESS, _HOP = 20, 23
"""Bytes in a V3 path: token, then fee (3 bytes) and token for each pool."""


@dataclass(frozen=True, slots=True)
class Function:
    """Where a function's arguments say what is sold. V3's functions take one struct, whose fields are counted."""

    signature: str
    amount: int | None
    """Of what is sold, or the most of it; None: the ether sent along."""
    exact: bool
    """Whether that much is sold, and not at most that much."""
    route: int | None
    """Addresses, or V3's packed path; None: the first two arguments are the tokens."""
    backwards: bool = False
    """Whether the route names what is bought first."""


_PLACES = "(uint256,uint256,address[],address,uint256)"
_PAID = "(uint256,address[],address,uint256)"
_FEE = "SupportingFeeOnTransferTokens"
_SINGLE, _LATER = (
    "((address,address,uint24,address,uint256,uint256,uint256,uint160))",
    "((bytes,address,uint256,uint256,uint256))",
)
_SINGLE_02, _LATER_02 = (
    "((address,address,uint24,address,uint256,uint256,uint160))",
    "((bytes,address,uint256,uint256))",
)
FUNCTIONS = {
    selector(one.signature): one
    for one in (
        Function("swapExactTokensForTokens" + _PLACES, 0, True, 2),
        Function("swapExactTokensForTokens" + _FEE + _PLACES, 0, True, 2),
        Function("swapExactTokensForETH" + _PLACES, 0, True, 2),
        Function("swapExactTokensForETH" + _FEE + _PLACES, 0, True, 2),
        Function("swapTokensForExactTokens" + _PLACES, 1, False, 2),
        Function("swapTokensForExactETH" + _PLACES, 1, False, 2),
        Function("swapExactETHForTokens" + _PAID, None, True, 1),
        Function("swapExactETHForTokens" + _FEE + _PAID, None, True, 1),
        Function("swapETHForExactTokens" + _PAID, None, False, 1),
        Function("swapExactTokensForTokens(uint256,uint256,address[],address)", 0, True, 2),
        Function("swapTokensForExactTokens(uint256,uint256,address[],address)", 1, False, 2),
        Function("exactInputSingle" + _SINGLE, 5, True, None),
        Function("exactInput" + _LATER, 3, True, 0),
        Function("exactOutputSingle" + _SINGLE, 6, False, None),
        Function("exactOutput" + _LATER, 4, False, 0, backwards=True),
        Function("exactInputSingle" + _SINGLE_02, 4, True, None),
        Function("exactInput" + _LATER_02, 2, True, 0),
        Function("exactOutputSingle" + _SINGLE_02, 5, False, None),
        Function("exactOutput" + _LATER_02, 3, False, 0, backwards=True),
    )
}
_MULTICALLS = {selector(signature): signature for signature in MULTICALLS}


@dataclass(frozen=True, slots=True)
class Planned:
    """One swap that a transaction asks for."""

    tokens: tuple[str, ...]
    """Along its route, from what is sold to what is bought; lower case. Ether is its wrapper."""
    amount: int
    """Base units of the first; where it is not `exact`, the most that may be sold."""
    exact: bool


def planned(data: str, value: int) -> list[Planned]:
    """The swaps that calldata (hex with 0x) asks a router for, sent along with `value` wei; none where it is no router's."""
    return list(_planned(data, value, nested=False))


def _planned(data: str, value: int, nested: bool) -> Iterator[Planned]:
    if (function := FUNCTIONS.get(data[:10])) is not None:
        arguments = _arguments(function.signature, data)
        if arguments is not None and (one := _read(function, arguments, value)) is not None:
            yield one
    elif not nested and (signature := _MULTICALLS.get(data[:10])) is not None:
        for call in (_arguments(signature, data) or [()])[-1][:MOST_CALLS]:
            yield from _planned("0x" + call.hex(), value, nested=True)


def _arguments(signature: str, data: str) -> Any:
    """The arguments of a call, those of a struct flat; None where they do not fit."""
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    inner = signature[signature.index("(") + 1 : -1]
    struct = inner.startswith("(")
    try:
        found = decode([inner] if struct else inner.split(","), bytes.fromhex(data[10:]))
    except (DecodingError, ValueError, OverflowError):
        return None
    return found[0] if struct else found


def _read(function: Function, arguments: Any, value: int) -> Planned | None:
    if function.route is None:
        tokens: tuple[str, ...] = arguments[:2]
    else:
        route = arguments[function.route]
        tokens = _unpacked(route) if isinstance(route, bytes) else tuple(route)
    amount = value if function.amount is None else arguments[function.amount]
    # SwapRouter02 takes 0 for all that a call before this one left it: nobody knows yet how much that is.
    if len(tokens) < 2 or amount <= 0:
        return None
    lower = tuple(token.lower() for token in tokens)
    return Planned(lower[::-1] if function.backwards else lower, amount, function.exact)


def _unpacked(route: bytes) -> tuple[str, ...]:
    """The tokens of a V3 path; none where it has not its form."""
    if (len(route) - _ADDRESS) % _HOP:
        return ()
    return tuple("0x" + route[place : place + _ADDRESS].hex() for place in range(0, len(route), _HOP))
