"""What tests see and steer of the server itself: the requests it had, and refusals on order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.kubefake.api import Answer, Asked
from tests.kubefake.refusals import RefusedError
from tests.kubefake.store import Document


@dataclass(frozen=True)
class Request:
    """One request that was answered. ``at_s`` is monotonic real time of its beginning."""

    method: str
    path: str
    query: Mapping[str, str]
    status: int
    at_s: float


@dataclass
class _Order:
    refusal: RefusedError
    verb: str
    plural: str
    left: int


@dataclass
class Surface:
    """Belongs to one server. ``evict`` and ``logs`` are put in by the cluster."""

    evict: Callable[[Asked, Any], Answer]
    log_text: Callable[[Document], bytes]
    requests: list[Request] = field(default_factory=list)
    _orders: list[_Order] = field(default_factory=list)

    def note(
        self, method: str, path: str, query: Mapping[str, str], status: int, began: float
    ) -> None:
        """Write a request down."""
        self.requests.append(Request(method, path, query, status, began))

    def refuse(self, refusal: RefusedError, *, verb: str, plural: str, times: int = 1) -> None:
        """The next requests of this verb and kind are answered with ``refusal``."""
        self._orders.append(_Order(refusal, verb, plural, times))

    def refuse_next(self, asked: Asked, verb: str) -> None:
        """Raises what was ordered."""
        for order in self._orders:
            if order.left and order.verb == verb and order.plural == asked.resource.plural:
                order.left -= 1
                raise order.refusal

    def log_of(self, pod: Document, query: Mapping[str, str]) -> bytes:
        """A container's log, cut as it was asked for."""
        raw = self.log_text(pod)
        if "tailLines" in query:
            lines = raw.splitlines(keepends=True)
            raw = b"".join(lines[max(0, len(lines) - int(query["tailLines"])) :])
        return raw[: int(query["limitBytes"])] if "limitBytes" in query else raw

    def count_since(self, began_s: float) -> int:
        """How many requests began after a moment of ``time.monotonic``."""
        return sum(one.at_s >= began_s for one in self.requests)


def now_s() -> float:
    """The clock of ``Request.at_s``."""
    return time.monotonic()
