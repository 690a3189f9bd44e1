"""A node that has its answers ready: `python -m console.bench.ready_node URL FIRST LAST` fetches another's and prints its own port.

Blocks FIRST to LAST and their receipts are answered from memory, much as a node does that keeps signers and receipts; all else is
passed on.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from console.local.ports import LOOPBACK
from ingest.node.rpc import Call, Endpoint

Answers = dict[tuple[str, str], bytes]
"""(method, first parameter) → the result as JSON."""


async def fetch(endpoint: Endpoint, first: int, last: int) -> Answers:
    """The answers about these blocks."""
    ready: Answers = {}
    for number in range(first, last + 1):
        (block,) = await endpoint.ask([Call("eth_getBlockByNumber", [hex(number), True])])
        (receipts,) = await endpoint.ask([Call("eth_getBlockReceipts", [block["hash"]])])
        ready["eth_getBlockByNumber", hex(number)] = orjson.dumps(block)
        ready["eth_getBlockReceipts", block["hash"]] = orjson.dumps(receipts)
    return ready


async def main(url: str, first: int, last: int) -> None:
    """Serve until cancelled."""
    async with aiohttp.ClientSession() as session:
        endpoint = Endpoint(url, session)
        ready = await fetch(endpoint, first, last)

        async def one(call: dict[str, Any]) -> bytes:
            result = ready.get((call["method"], str((call["params"] or [""])[0])))
            if result is None:
                (told,) = await endpoint.ask([Call(call["method"], call["params"])])
                result = orjson.dumps(told)
            return b'{"jsonrpc":"2.0","id":%d,"result":%s}' % (call["id"], result)

        async def answer(request: web.Request) -> web.Response:
            asked = orjson.loads(await request.read())
            if isinstance(asked, dict):
                body = await one(asked)
            else:
                body = b"[" + b",".join([await one(call) for call in asked]) + b"]"
            return web.Response(body=body, content_type="application/json")

        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, LOOPBACK, 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
