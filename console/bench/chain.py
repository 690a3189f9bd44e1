"""A local chain, anvil, and contracts deployed from their own build artefacts.

For `soba bench ingest` and tests/chain. All of it comes by the lock of tests/chain, and is run only there.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import time
import urllib.request
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

from eth_hash.auto import keccak

from base.settings import ROOT
from console.local.errors import LocalError
from console.local.ports import LOOPBACK, pick

MODULES = ROOT / "tests" / "chain" / "node_modules"
BINARY = MODULES / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
_V2, _V2_PERIPHERY = MODULES / "@uniswap/v2-core/build", MODULES / "@uniswap/v2-periphery/build"
_V3 = MODULES / "@uniswap/v3-core/artifacts/contracts"
_V3_PERIPHERY = MODULES / "@uniswap/v3-periphery/artifacts/contracts"
ARTEFACTS = {
    "WETH9": _V2_PERIPHERY / "WETH9.json",
    "ERC20": _V2_PERIPHERY / "ERC20.json",
    "UniswapV2Factory": _V2 / "UniswapV2Factory.json",
    "UniswapV2Router02": _V2_PERIPHERY / "UniswapV2Router02.json",
    "UniswapV3Factory": _V3 / "UniswapV3Factory.sol/UniswapV3Factory.json",
    "NonfungiblePositionManager": _V3_PERIPHERY / "NonfungiblePositionManager.sol/NonfungiblePositionManager.json",
    "SwapRouter": _V3_PERIPHERY / "SwapRouter.sol/SwapRouter.json",
}
PATIENCE_S = 60.0
ETHER = 10**18
GWEI = 10**9
GAS = 500_000
"""Of a swap: with too little it reverts in silence."""


def missing() -> str:
    """What a local chain lacks here, and what to do; empty when nothing."""
    if not BINARY.exists():
        return "anvil and Uniswap's artefacts are not there: npm ci --ignore-scripts in tests/chain (bin/soba test does it)"
    return ""


class RpcError(Exception):
    """The node refused a call."""


class Chain:
    """A running anvil. Its accounts are unlocked; a transaction makes a block, unless mining is stopped."""

    def __init__(self, chain_id: int, *options: str, port: int | None = None) -> None:
        if lack := missing():
            raise LocalError(lack)
        self.chain_id = chain_id
        self.port = port or pick(1)[0]
        self._options = options
        self._mines = True
        self._ids = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Raises LocalError when it does not answer in a minute."""
        # By tip, the highest first: how builders order.
        fixed = ["--host", LOOPBACK, "--silent", "--accounts", "20", "--balance", "1000000", "--order", "fees"]
        self._process = subprocess.Popen(
            [str(BINARY), *fixed, "--port", str(self.port), "--chain-id", str(self.chain_id), *self._options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.accounts: list[str] = self.rpc("eth_accounts")
                return
            except OSError:
                if (code := self._process.poll()) is not None or time.monotonic() > give_up_at:
                    self.stop()
                    raise LocalError(f"anvil does not answer (exit code {code})") from None
                time.sleep(0.02)

    def stop(self) -> None:
        """SIGTERM, on which it writes its state where it was told to."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)
            self._process = None

    def rpc(self, method: str, *params: Any) -> Any:
        """The result of a call. Raises RpcError when it is refused, OSError when nobody answers."""
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        request = urllib.request.Request(
            self.url, json.dumps(body).encode(), {"content-type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            answer = json.load(response)
        if "error" in answer:
            raise RpcError(f"{method}: {answer['error']}")
        return answer["result"]

    @property
    def pid(self) -> int:
        assert self._process is not None, "it does not run"
        return self._process.pid

    @property
    def head(self) -> int:
        """The number of the newest block."""
        return int(self.rpc("eth_blockNumber"), 16)

    def hash(self, number: int) -> str:
        """A block's hash."""
        return str(self.rpc("eth_getBlockByNumber", hex(number), False)["hash"])

    def mine(self, count: int = 1) -> None:
        """Make blocks, the first of what is pending."""
        self.rpc("anvil_mine", hex(count))

    def mining(self, on: bool) -> None:
        """Whether each transaction makes a block."""
        self.rpc("evm_setAutomine", on)
        self._mines = on

    def send(
        self,
        sender: str,
        to: str | None,
        data: str,
        value: int = 0,
        tip: int = GWEI,
        gas: int = GAS,
        nonce: int | None = None,
    ) -> str:
        """Send a transaction and, unless mining is stopped, wait until it is in a block: its hash."""
        fields: dict[str, Any] = {
            "from": sender,
            "data": data,
            "value": hex(value),
            "gas": hex(gas),
            "maxPriorityFeePerGas": hex(tip),
            "maxFeePerGas": hex(100 * GWEI + tip),  # what anvil orders by
        }
        if to is not None:
            fields["to"] = to
        if nonce is not None:
            fields["nonce"] = hex(nonce)
        hash = str(self.rpc("eth_sendTransaction", fields))
        if self._mines:
            self.receipt(hash)
        return hash

    def receipt(self, hash: str) -> dict[str, Any]:
        """A transaction's receipt, once it is in a block. Raises RpcError when it is not within a minute."""
        give_up_at = time.monotonic() + PATIENCE_S
        while (found := self.rpc("eth_getTransactionReceipt", hash)) is None:
            if time.monotonic() > give_up_at:
                raise RpcError(f"transaction {hash} is in no block")
            time.sleep(0.002)
        return dict(found)

    def deploy(self, name: str, *words: int | str) -> str:
        """Deploy a contract by its artefact: its address, lower case."""
        code = json.loads(ARTEFACTS[name].read_text())["bytecode"].removeprefix("0x")
        hash = self.send(self.accounts[0], None, "0x" + code + packed(*words), gas=20_000_000)
        receipt = self.receipt(hash)
        if receipt["status"] != "0x1":
            raise RpcError(f"{name} was not deployed")
        return str(receipt["contractAddress"]).lower()

    def place(self, address: str, built: str) -> str:
        """Put the code that was built at one address at another, without what it has stored: that address."""
        self.rpc("anvil_setCode", address, self.rpc("eth_getCode", built, "latest"))
        return address

    def read(self, to: str, signature: str, *words: int | str) -> int:
        """The first word that a call returns."""
        data = calldata(signature, *words)
        return int(self.rpc("eth_call", {"to": to, "data": data}, "latest")[:66], 16)


@lru_cache(maxsize=256)
def selector(signature: str) -> str:
    """The first four bytes of a function's calldata, with 0x."""
    return "0x" + keccak(signature.encode())[:4].hex()


def packed(*words: int | str) -> str:
    """Words of 32 bytes: integers (two's complement), or hex with 0x."""
    return "".join(f"{one % 2**256:064x}" if isinstance(one, int) else one[2:].rjust(64, "0") for one in words)


def calldata(signature: str, *words: int | str) -> str:
    return selector(signature) + packed(*words)
