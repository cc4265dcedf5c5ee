"""The messages of UploadParts: a part of many messages, or many small parts in one message.

Decides what one message may hold and how long the next one is waited for; stores nothing, and knows
the messages by their fields only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.ingest.uploads import ArrivedPart

MOST_SMALL_PARTS = 256
_MOST_MESSAGE_BYTES = 1 << 20
_BETWEEN_PARTS_S = 600.0
_WITHIN_PART_S = 60.0


class WholePart(Protocol):
    """The fields of a part that comes whole."""

    @property
    def path(self) -> str:
        """Path of the file."""
        ...

    @property
    def offset_bytes(self) -> int:
        """Where in the file the bytes are."""
        ...

    @property
    def data(self) -> bytes:
        """The bytes."""
        ...

    @property
    def part_sha256(self) -> str:
        """Digest of the part, hex, or empty."""
        ...

    @property
    def file_sha256(self) -> str:
        """Digest of the file up to the part's end, hex, or empty."""
        ...


class PartsMessage(WholePart, Protocol):
    """The fields of one message: some bytes of one part, or small parts."""

    @property
    def upload_id(self) -> str:
        """The upload that the bytes belong to."""
        ...

    @property
    def small_parts(self) -> Collection[WholePart]:
        """Parts that came together."""
        ...


def whole_parts(message: PartsMessage, length_of: Callable[[str, int], int]) -> list[ArrivedPart]:
    """Return a message's small parts; ``length_of`` tells a part's length by path and offset.

    Raises RpcProblem when it holds too much, half a part, or two parts of one file.
    """
    small = message.small_parts
    named = (message.path, message.offset_bytes, message.data)
    if any(named) or message.part_sha256 or message.file_sha256:
        raise _refusal("small_parts", "a message of small parts names the upload and nothing else")
    if len(small) > MOST_SMALL_PARTS:
        raise _refusal("small_parts", f"a message carries at most {MOST_SMALL_PARTS} small parts")
    _require_size(sum(len(part.data) for part in small))
    if len({part.path for part in small}) < len(small):
        raise _refusal("small_parts.path", "a message carries one part of a file")
    arrived = []
    for part in small:
        arriving = ArrivingPart(
            message.upload_id, part.path, part.offset_bytes, length_of(part.path, part.offset_bytes)
        )
        arriving.append(part.data)
        arrived.append(arriving.arrived(part))
    return arrived


async def gather(
    first: PartsMessage,
    messages: AsyncIterator[PartsMessage],
    length: int,
) -> ArrivedPart:
    """Take the messages of a part of ``length`` bytes.

    Raises RpcProblem, UPLOAD_STALLED when it stops coming.
    """
    arriving = ArrivingPart(first.upload_id, first.path, first.offset_bytes, length)
    last = await _last_of(arriving, first, messages)
    if last is None:
        raise RpcProblem("UPLOAD_STALLED", f"the part of {first.path} ended without a digest")
    return arriving.arrived(last)


@dataclass
class ArrivingPart:
    """A part whose messages are still coming."""

    upload_id: str
    path: str
    offset_bytes: int
    size_bytes: int
    chunks: list[bytes] = field(default_factory=list)
    received_bytes: int = 0

    def add(self, message: PartsMessage) -> None:
        """Append a message's bytes. Raises RpcProblem when they are not the next ones."""
        _require_size(len(message.data))
        if message.small_parts:
            raise _refusal("small_parts", "small parts come between other parts, not within one")
        expected = (self.upload_id, self.path, self.offset_bytes + self.received_bytes)
        if (message.upload_id, message.path, message.offset_bytes) != expected:
            raise RpcProblem(
                "INVALID_ARGUMENT",
                f"the part of {self.path} continues at byte {expected[2]}, "
                f"not with {message.path} at {message.offset_bytes}",
                field="offset_bytes",
            )
        self.append(message.data)

    def append(self, data: bytes) -> None:
        """Append the next bytes. Raises RpcProblem when there are more than the part has."""
        self.received_bytes += len(data)
        if self.received_bytes > self.size_bytes:
            raise self._wrong_size(f"is {self.size_bytes} bytes")
        self.chunks.append(data)

    def arrived(self, last: WholePart) -> ArrivedPart:
        """Return the complete part with its sender's digest. Raises RpcProblem."""
        if self.received_bytes != self.size_bytes:
            raise self._wrong_size(f"ended after {self.received_bytes} of {self.size_bytes} bytes")
        return ArrivedPart(
            self.path,
            self.offset_bytes,
            tuple(self.chunks),
            last.file_sha256 or last.part_sha256,
            from_start=bool(last.file_sha256),
        )

    def _wrong_size(self, what: str) -> RpcProblem:
        return RpcProblem(
            "INVALID_ARGUMENT",
            f"the part of {self.path} at byte {self.offset_bytes} {what}",
            field="data",
        )


async def _last_of(
    arriving: ArrivingPart,
    first: PartsMessage,
    messages: AsyncIterator[PartsMessage],
) -> PartsMessage | None:
    """Take a part's messages; return the one with its digest, None when there is none.

    One clock for all of them, set again once a second: a clock for each costs as much as taking
    it. Raises RpcProblem, UPLOAD_STALLED.
    """
    clock = asyncio.get_running_loop().time
    message: PartsMessage | None = first
    set_at_s = clock()
    with _stalling(_WITHIN_PART_S):
        async with asyncio.timeout_at(set_at_s + _WITHIN_PART_S) as limit:
            while message is not None:
                arriving.add(message)
                if message.part_sha256 or message.file_sha256:
                    return message
                message = await anext(messages, None)
                if clock() - set_at_s > 1.0:
                    set_at_s = clock()
                    limit.reschedule(set_at_s + _WITHIN_PART_S)
    return None


async def next_message(
    messages: AsyncIterator[PartsMessage],
) -> PartsMessage | None:
    """The first message of what comes next, None at the end. Raises RpcProblem UPLOAD_STALLED."""
    with _stalling(_BETWEEN_PARTS_S):
        async with asyncio.timeout(_BETWEEN_PARTS_S):
            return await anext(messages, None)


@contextmanager
def _stalling(patience_s: float) -> Iterator[None]:
    """Turn a time-out into its refusal. Raises RpcProblem UPLOAD_STALLED."""
    try:
        yield
    except TimeoutError as error:
        raise RpcProblem(
            "UPLOAD_STALLED", f"nothing came for {patience_s:g} s; the stream is closed"
        ) from error


def _require_size(size_bytes: int) -> None:
    if size_bytes > _MOST_MESSAGE_BYTES:
        raise _refusal("data", "a message carries at most 1 MiB of data")


def _refusal(name: str, what: str) -> RpcProblem:
    return RpcProblem("INVALID_ARGUMENT", what, field=name)
