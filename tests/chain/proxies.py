"""Proxies before a node that make it as nodes are: over a limit, slow, behind, gone."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

Fault = Callable[["Answer"], None]


class Answer:
    """What the proxy is about to say."""

    def __init__(self, calls: Any, body: bytes) -> None:
        self.calls: list[dict[str, Any]] = calls if isinstance(calls, list) else [calls]
        self.status, self.body, self.headers = 200, body, dict[str, str]()
        self.wait_s = 0.0

    def asks(self, method: str) -> bool:
        return any(call["method"] == method for call in self.calls)

    def say(self, value: Any) -> None:
        self.body = json.dumps(value).encode()

    def nulls(self) -> None:
        """Null in the place of every result."""
        told = json.loads(self.body)
        for one in told if isinstance(told, list) else [told]:
            one["result"] = None
        self.say(told)

    def refuse(self, code: int, message: str) -> None:
        """An error in the place of every result."""
        refused = [
            {"jsonrpc": "2.0", "id": call["id"], "error": {"code": code, "message": message}} for call in self.calls
        ]
        self.say(refused if len(refused) > 1 else refused[0])


class Proxy:
    """Forwards to a node; what `faults` holds is done to the answers, one to each in turn."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.url = ""
        self.faults: list[Fault] = []
        self.always: Fault | None = None
        self.asked: list[list[str]] = []
        self.times: list[float] = []
        self.lock = threading.Lock()

    def answer(self, body: bytes) -> Answer:
        calls = json.loads(body)
        request = urllib.request.Request(self.node, body, {"content-type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = Answer(calls, response.read())
        with self.lock:
            self.asked.append([call["method"] for call in answer.calls])
            self.times.append(time.monotonic())
            fault = self.faults.pop(0) if self.faults else self.always
        if fault:
            fault(answer)
        return answer


@contextlib.contextmanager
def proxied(node: str) -> Iterator[Proxy]:
    """A proxy before `node`, on a free port."""
    proxy = Proxy(node)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            answer = proxy.answer(self.rfile.read(int(self.headers["content-length"])))
            if answer.wait_s:
                ended.wait(answer.wait_s)
            with contextlib.suppress(OSError):  # nobody waits any more
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass

    ended = threading.Event()
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Wire:
    """A websocket to a node that can be dropped, and spoken into."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._open: list[ServerConnection] = []
        self._kinds: dict[Any, str] = {}
        self.logs: str | None = None
        """The subscription to logs."""
        self.connections = 0
        self.url = ""

    def handle(self, near: ServerConnection) -> None:
        with connect(self._node, max_size=None) as far:
            self.connections += 1
            self._open.append(near)
            back = threading.Thread(target=self._back, args=(near, far))
            back.start()
            with contextlib.suppress(ConnectionClosed):
                for message in near:
                    told = json.loads(message)
                    if told.get("method") == "eth_subscribe":
                        self._kinds[told["id"]] = told["params"][0]
                    far.send(message)
            far.close()
            back.join()

    def _back(self, near: ServerConnection, far: Any) -> None:
        with contextlib.suppress(ConnectionClosed):
            for message in far:
                told = json.loads(message)
                near.send(message)
                if self._kinds.pop(told.get("id"), None) == "logs":  # known there, before anything is said under it
                    self.logs = told["result"]
        near.close()

    def drop(self) -> None:
        """Close the connection, as a node that restarts."""
        gone, self._open = self._open, []  # who is told goodbye may be back before all are
        for one in gone:
            one.close()

    def take_back(self, log: dict[str, Any]) -> None:
        """Say that a log is no longer on the chain, as geth and reth do."""
        params = {"subscription": self.logs, "result": {**log, "removed": True}}
        self._open[-1].send(json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params}))


@contextlib.contextmanager
def wired(node: str) -> Iterator[Wire]:
    """A websocket proxy before `node`, on a free port."""
    wire = Wire(node)
    with serve(wire.handle, "127.0.0.1", 0, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        wire.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        try:
            yield wire
        finally:
            server.shutdown()  # with its connections, and whoever comes back is refused
            thread.join()
