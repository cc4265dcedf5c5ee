"""A proxy before the fake that spoils answers on order: the network and the servers of bad days.

``order`` is asked for every request and answers with a fault or None. Faults that hang do so until
the proxy is closed or ``heal`` is called.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Seen:
    """One request at the proxy. ``at_s`` is ``time.monotonic`` of its arrival."""

    method: str
    path: str
    at_s: float

    @property
    def is_watch(self) -> bool:
        """Whether a stream was asked for."""
        return re.search(r"[?&]watch=(1|true)", self.path, re.IGNORECASE) is not None


@dataclass(frozen=True)
class Hang:
    """No answer. ``carried_out``: the server gets the request and does it."""

    carried_out: bool = False


@dataclass(frozen=True)
class Reset:
    """The connection is reset; with ``after_bytes`` that much of the answer comes first."""

    after_bytes: int = 0


@dataclass(frozen=True)
class Say:
    """This answer instead. ``carried_out``: the server did what was asked all the same."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    carried_out: bool = False


@dataclass(frozen=True)
class Slow:
    """The answer, later."""

    delay_s: float


@dataclass(frozen=True)
class Half:
    """The head of the answer and half its body (of a stream: one line and a half), then the end."""


@dataclass(frozen=True)
class Silent:
    """A stream that is opened and says nothing, not even bookmarks."""


@dataclass(frozen=True)
class Twisted:
    """A stream whose events come twice and, where several wait, in the wrong order."""


@dataclass(frozen=True)
class Stale:
    """A list as it was when the proxy saw it for the first time."""


Fault = Hang | Reset | Say | Slow | Half | Silent | Twisted | Stale
Order = Callable[[Seen], Fault | None]


def refusal(status: int, reason: str, *, retry_after_s: int | None = None) -> Say:
    """A Status of the API server."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"ordered: {reason}",
        "reason": reason,
        "code": status,
    }
    headers = {"Content-Type": "application/json"}
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    return Say(status, json.dumps(body).encode(), headers)


class FaultProxy:
    """Listens on loopback before ``target``. Without an order it passes everything on."""

    def __init__(self, target: str, order: Order | None = None) -> None:
        self.order: Order = order or (lambda seen: None)
        self.seen: list[Seen] = []
        self.healed = threading.Event()
        self.lists: dict[str, tuple[int, bytes]] = {}
        self._server = _ProxyServer(self, target)
        self._thread = threading.Thread(
            target=lambda: self._server.serve_forever(poll_interval=0.05), daemon=True
        )

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.heal()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def heal(self) -> None:
        """No more faults; what hangs is let go."""
        self.order = lambda seen: None
        self.healed.set()

    def count_since(self, began_s: float) -> int:
        """Requests that arrived after a moment of ``time.monotonic``."""
        return sum(one.at_s >= began_s for one in self.seen)


class _ProxyServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, proxy: FaultProxy, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.proxy = proxy
        self.target = urlsplit(target).netloc

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are what it is for."""


class _ProxyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _ProxyServer
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""

    def do_GET(self) -> None:
        self._pass()

    def do_POST(self) -> None:
        self._pass()

    def do_PUT(self) -> None:
        self._pass()

    def do_PATCH(self) -> None:
        self._pass()

    def do_DELETE(self) -> None:
        self._pass()

    def _pass(self) -> None:
        proxy = self.server.proxy
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = Seen(self.command, self.path, time.monotonic())
        proxy.seen.append(seen)
        fault = proxy.order(seen)
        if isinstance(fault, Slow):
            proxy.healed.wait(fault.delay_s)
        elif isinstance(fault, Hang):
            if fault.carried_out:
                self._ask(raw)[0].close()
            proxy.healed.wait()
            self.close_connection = True
            return
        elif isinstance(fault, Say):
            if fault.carried_out:
                self._ask(raw)[0].close()
            self._whole(fault.status, fault.body, fault.headers)
            return
        elif isinstance(fault, Reset) and not fault.after_bytes:
            self._reset()
            return
        connection, answer = self._ask(raw)
        try:
            if seen.is_watch and answer.status == 200:
                self._stream(answer, fault)
            else:
                self._body(answer, fault, seen)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            connection.close()

    def _ask(self, raw: bytes) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self.server.target, timeout=600)
        headers = {k: v for k, v in self.headers.items() if k not in ("Host", "Connection")}
        connection.request(self.command, self.path, body=raw or None, headers=headers)
        return connection, connection.getresponse()

    def _body(self, answer: http.client.HTTPResponse, fault: Fault | None, seen: Seen) -> None:
        body, status = answer.read(), answer.status
        if seen.method == "GET" and status == 200:
            first = self.server.proxy.lists.setdefault(seen.path, (status, body))
            if isinstance(fault, Stale):
                status, body = first
        headers = {k: v for k, v in answer.getheaders() if k in ("Content-Type", "Warning")}
        if not isinstance(fault, Half | Reset):
            self._whole(status, body, headers)
            return
        self._head(status, {**headers, "Content-Length": str(len(body))})
        self.wfile.write(body[: len(body) // 2 if isinstance(fault, Half) else fault.after_bytes])
        self.wfile.flush()
        if isinstance(fault, Reset):
            self._reset()
        self.close_connection = True

    def _stream(self, answer: http.client.HTTPResponse, fault: Fault | None) -> None:
        self._head(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
        self.wfile.flush()
        if isinstance(fault, Silent):
            self.server.proxy.healed.wait()
            self.close_connection = True
            return
        sent = 0
        for line in _twisted(answer) if isinstance(fault, Twisted) else answer:
            if isinstance(fault, Half) and sent:
                self._chunk(line[: len(line) // 2])
                self._reset()
                return
            if isinstance(fault, Reset) and sent + len(line) > fault.after_bytes:
                self._chunk(line[: fault.after_bytes - sent])
                self._reset()
                return
            self._chunk(line)
            sent += len(line)
        self.wfile.write(b"0\r\n\r\n")

    def _whole(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._head(status, {**headers, "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _chunk(self, piece: bytes) -> None:
        if piece:
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()

    def _reset(self) -> None:
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.shutdown(socket.SHUT_RD)
        self.connection.close()


def _twisted(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Each pair of lines backwards, each line twice."""
    held: bytes | None = None
    for line in answer:
        if held is None:
            held = line
            continue
        yield from (line, held, line)
        held = None
    if held is not None:
        yield from (held, held)
