"""An HTTP server that gives the answers it was told, in order, and keeps every request."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

JOBS = "/apis/batch/v1/namespaces/sorting/jobs"
PODS = "/api/v1/namespaces/sorting/pods"
EVENTS = "/api/v1/namespaces/sorting/events"
SECRETS = "/api/v1/namespaces/sorting/secrets"
OWNER = "/api/v1/namespaces/sorting/configmaps/lab-runners"
WORKLOADS = "/apis/kueue.x-k8s.io/v1beta2/namespaces/sorting/workloads"

Answer = tuple[int, Any]


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    content_type: str


@dataclass
class Script:
    """Answers by method and path; the last one of a place is given again and again."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    _answers: dict[tuple[str, str], list[Answer | Callable[[Request], Answer]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def on(self, method: str, path: str, *answers: Answer | Callable[[Request], Answer]) -> None:
        """Say what will be answered; replaces what was said before."""
        self._answers[method, path] = list(answers)

    def asked(self, method: str, path: str = "") -> list[Request]:
        """The requests of this method whose path begins so."""
        return [r for r in self.requests if r.method == method and r.path.startswith(path)]

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        answers = self._answers.get((request.method, request.path))
        if not answers:
            return 404, status(404, "NotFound", f"{request.path} not found")
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return found(request) if callable(found) else found


def status(code: int, reason: str, message: str) -> dict[str, Any]:
    """An error as the API server writes it."""
    return {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "reason": reason, "message": message,
    }  # fmt: skip


def listing(*items: Any, proceed: str = "") -> Answer:
    """An answer to a LIST; ``proceed`` is the token of the next page."""
    return 200, {"items": list(items), "metadata": {"continue": proceed} if proceed else {}}


@contextmanager
def scripted_api() -> Iterator[Script]:
    """Serve a script on a free port of this machine."""
    script = Script()

    class _Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            kind = self.headers.get("Content-Type") or ""
            request = Request(self.command, parts.path, query, body, kind)
            code, document = script.answer(request)
            if code == 0:  # the connection ends without an answer
                self.close_connection = True
                return
            raw = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(raw)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - names of the library

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Door)
    server.daemon_threads = True
    script.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
