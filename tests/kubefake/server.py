"""The fake's door: HTTP/1.1 on loopback, one thread per connection, watches as chunked streams."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.kubefake import refusals
from tests.kubefake.api import Answer, Api, Asked
from tests.kubefake.refusals import RefusedError
from tests.kubefake.resources import PODS, SERVED
from tests.kubefake.store import Change
from tests.kubefake.surface import Surface

_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[^/]+)"
    r"(?:/(?P<name>[^/]+)(?:/(?P<sub>[^/]+))?)?"
)
_VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.2", "platform": "linux/amd64"}
_BOOKMARK_EVERY_S = 60.0
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Server(ThreadingHTTPServer):
    """Listens on a free port of loopback until ``shutdown``."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, api: Api, surface: Surface, token: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = api
        self.surface = surface
        self.token = token
        self.closing = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are no news."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        began = time.monotonic()
        status = 0
        try:
            if url.path in ("/version", "/readyz"):
                status = self._plain(url.path)
                return
            self._authenticate()
            asked = _read_path(url.path, query)
            if self.command == "GET" and not asked.name and query.get("watch") in ("1", "true"):
                status = self._watch(asked)
            elif asked.sub == "log":
                status = self._log(asked)
            else:
                answer = self._do(asked, raw)
                status = answer.status
                self._send(
                    status,
                    answer.body,
                    {"Warning": ", ".join(answer.warnings)} if answer.warnings else {},
                )
        except RefusedError as refusal:
            status = refusal.code
            self._send(status, refusal.body, refusal.headers)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            self.server.surface.note(self.command, url.path, query, status, began)

    def _authenticate(self) -> None:
        if self.headers.get("Authorization") not in (f"Bearer {self.server.token}",):
            raise RefusedError(401, "Unauthorized", "Unauthorized")

    def _plain(self, path: str) -> int:
        if path == "/version":
            self._send(200, _VERSION, {})
        else:
            self._send_bytes(200, b"ok", {"Content-Type": "text/plain; charset=utf-8"})
        return 200

    def _do(self, asked: Asked, raw: bytes) -> Answer:
        api, method = self.server.api, self.command
        verb = _VERBS[method]
        if method == "GET" and not asked.name:
            verb = "list"
        if method == "DELETE" and not asked.name:
            verb = "deletecollection"
        with api.store.clock.lock:
            self._check(asked, verb)
            self.server.surface.refuse_next(asked, verb)
            body = _read_json(raw, asked)
            if method == "GET":
                return api.list(asked) if verb == "list" else api.get(asked)
            if method == "POST" and asked.sub == "eviction" and asked.resource is PODS:
                return self.server.surface.evict(asked, body)
            if method == "POST" and not asked.name:
                return api.create(asked, body)
            if method == "PUT" and asked.name:
                return api.replace(asked, body)
            if method == "PATCH" and asked.name:
                return api.patch(asked, body, self.headers.get("Content-Type", ""))
            if method == "DELETE" and asked.name and not asked.sub:
                return api.delete(asked, body if isinstance(body, dict) else {})
        raise RefusedError(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )

    def _check(self, asked: Asked, verb: str) -> None:
        self.server.api.access.check(
            asked.resource,
            asked.sub,
            verb,
            namespace=asked.namespace,
            name=asked.name,
            agent=self.headers.get("User-Agent", ""),
        )

    def _log(self, asked: Asked) -> int:
        with self.server.api.store.clock.lock:
            self._check(asked, "get")
            pod = self.server.api.store.get(PODS, asked.namespace, asked.name)
            text = self.server.surface.log_of(pod, asked.query)
        self._send_bytes(200, text, {"Content-Type": "text/plain"})
        return 200

    def _send(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        raw = (json.dumps(body) + "\n").encode()
        self._send_bytes(status, raw, {"Content-Type": "application/json", **headers})

    def _send_bytes(self, status: int, raw: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    # --- watches ---------------------------------------------------------------------------

    def _watch(self, asked: Asked) -> int:
        api = self.server.api
        wanted = asked.query.get("resourceVersion", "")
        with api.store.clock.lock:
            self._check(asked, "watch")
            self.server.surface.refuse_next(asked, "watch")
            matches = api.matcher(asked)
            if wanted and not wanted.isdigit():
                raise RefusedError(
                    500,
                    "",
                    f'resourceVersion: Invalid value: "{wanted}": strconv.ParseUint: parsing '
                    f'"{wanted}": invalid syntax',
                )
            stream = _Stream(self, asked, matches)
            if wanted in ("", "0"):
                cursor = api.store.version
                first = [
                    one
                    for one in api.store.list(asked.resource, asked.namespace or None)
                    if matches(one)
                ]
                lines = [{"type": "ADDED", "object": one} for one in first]
            elif int(wanted) < api.store.compacted_to:
                gone = refusals.expired(
                    f"too old resource version: {wanted} ({api.store.compacted_to})"
                )
                stream.begin()
                stream.line({"type": "ERROR", "object": gone.body})
                stream.end()
                return 200
            else:
                cursor, lines = int(wanted), []
            raw = [json.dumps(line).encode() + b"\n" for line in lines]
        stream.begin()
        for line in raw:
            stream.raw(line)
        self._follow(asked, stream, cursor)
        return 200

    def _follow(self, asked: Asked, stream: _Stream, cursor: int) -> None:
        store = self.server.api.store
        query = asked.query
        timeout_s = float(query.get("timeoutSeconds") or 1800)
        bookmarks = query.get("allowWatchBookmarks") in ("1", "true")
        began_s = mark_s = store.clock.now_s
        while not self.server.closing:
            with store.clock.lock:
                if store.compacted_to > cursor:
                    break  # the server "restarted": its watches end
                news = [one for one in store.history if one.version > cursor]
                now_s = store.clock.now_s
                left_s = began_s + timeout_s - now_s
                lines = [made for one in news if (made := stream.line_of(one)) is not None]
                cursor = max([cursor, *(one.version for one in news)])
                due = now_s - mark_s >= _BOOKMARK_EVERY_S or 0 < left_s < 1
                if bookmarks and due and mark_s < now_s:
                    mark_s = now_s
                    lines.append(_bookmark(asked, store.version))
                if not lines and left_s > 0:
                    store.changed.wait(0.05)
            for line in lines:
                stream.line(line)
            if left_s <= 0:
                break
        stream.end()


class _Stream:
    """One watch: chunked lines, each an event of the objects that match."""

    def __init__(self, handler: _Handler, asked: Asked, matches: Any) -> None:
        self._handler = handler
        self._asked = asked
        self._matches = matches

    def begin(self) -> None:
        self._handler.send_response(200)
        self._handler.send_header("Content-Type", "application/json")
        self._handler.send_header("Transfer-Encoding", "chunked")
        self._handler.end_headers()

    def line_of(self, change: Change) -> dict[str, Any] | None:
        """The event of a change; an object that leaves the selection is DELETED for this watch."""
        asked = self._asked
        if change.resource is not asked.resource:
            return None
        if asked.namespace not in ("", change.document["metadata"].get("namespace", "")):
            return None
        now = self._matches(change.document)
        before = change.before is not None and self._matches(change.before)
        if change.kind == "MODIFIED" and now is not before:
            return {"type": "ADDED" if now else "DELETED", "object": change.document}
        if not (now or before):
            return None
        return {"type": change.kind, "object": change.document}

    def line(self, event: Mapping[str, Any]) -> None:
        self.raw(json.dumps(event).encode() + b"\n")

    def raw(self, line: bytes) -> None:
        self._handler.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self._handler.wfile.flush()

    def end(self) -> None:
        self._handler.wfile.write(b"0\r\n\r\n")


def _bookmark(asked: Asked, version: int) -> dict[str, Any]:
    return {
        "type": "BOOKMARK",
        "object": {
            "kind": asked.resource.kind,
            "apiVersion": asked.resource.api_version,
            "metadata": {"resourceVersion": str(version)},
        },
    }


def _read_path(path: str, query: Mapping[str, str]) -> Asked:
    found = _PATH.fullmatch(unquote(path))
    if found is None:
        raise refusals.no_such_path()
    resource = SERVED.get((found["group"] or "", found["version"], found["plural"]))
    sub = found["sub"] or ""
    if resource is None or (sub and sub not in resource.subresources):
        raise refusals.no_such_path()
    return Asked(resource, found["namespace"] or "", found["name"] or "", sub, query)


def _read_json(raw: bytes, asked: Asked) -> Any:
    if not raw:
        return {}
    try:
        return json.loads(raw)
    except ValueError:
        raise refusals.bad_request(
            f"the object provided is unrecognized (must be of type {asked.resource.kind}): "
            "couldn't get version/kind; json parse error: unexpected end of JSON input"
        ) from None
