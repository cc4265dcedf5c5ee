"""What every call passes through on the server, from the outside in: id, meter, deadline, errors,
admission.

Decides how an exception leaves (never raw) and how long a call may take; streams end when the
server drains. It knows no room: what is counted goes to a ``RpcMeter`` handed in by ``deploy``.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from spikefleet.infra.rpc.access import Admission, current_caller, is_bounded, is_counted
from spikefleet.infra.rpc.bounds import require_bounded
from spikefleet.infra.rpc.errors import (
    DETAILS_KEY,
    REQUEST_ID_KEY,
    Problem,
    RpcProblem,
    problem_of,
)
from spikefleet.infra.rpc.shares import CallShares
from spikefleet.infra.telemetry import RPC_DURATION, RPC_HANDLED, RPC_STARTED, Series

_log = logging.getLogger(__name__)
_REQUEST_ID: ContextVar[str] = ContextVar("spikefleet_request_id", default="")
_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEALTH_WORD_S = 0.1  # time for an open health watch to hear NOT_SERVING before it is ended

Around = Callable[[Any, str], AbstractAsyncContextManager[None]]
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


class RpcMeter(Protocol):
    """What a server counts with; ``infra.metrics.Metrics`` is one."""

    def add(self, series: Series, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        ...

    def begin(self, series: Series, **labels: str) -> None:
        """Show a counter or histogram at zero before its first event."""
        ...

    def observe(self, series: Series, value: float, **labels: str) -> None:
        """Add one observation to a histogram."""
        ...


def current_request_id() -> str:
    """Id of the call being served; empty outside one."""
    return _REQUEST_ID.get()


def new_request_id() -> str:
    """An opaque id, 16 hexadecimal digits."""
    return secrets.token_hex(8)


class _Wrapping(grpc.aio.ServerInterceptor):  # type: ignore[misc,unused-ignore]
    """Runs every handler, of any of the four kinds, inside ``around(context, method)``."""

    def __init__(self, around: Around) -> None:
        self._around = around

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """Return the wrapped handler; an unknown method stays unknown."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        for kind in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
            inner = getattr(handler, kind)
            if inner is not None:
                wrapped = self._wrap(inner, method)
                return handler._replace(**{kind: wrapped})
        return handler

    def _wrap(self, inner: Callable[..., Any], method: str) -> Callable[..., Any]:
        around = self._around
        if inspect.isasyncgenfunction(inner):

            async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
                async with around(context, method):
                    async for response in inner(request, context):
                        yield response

            return stream

        async def answer(request: Any, context: Any) -> Any:
            async with around(context, method):
                return await inner(request, context)

        return answer


class _Remembered(grpc.aio.ServerInterceptor):  # type: ignore[misc,unused-ignore]
    """Keeps what the interceptors behind it made of a method: its handler is always the same."""

    def __init__(self) -> None:
        self._handlers: dict[str, Any] = {}

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """Return the method's handler; an unknown method stays unknown and is not kept."""
        method = handler_call_details.method
        handler = self._handlers.get(method)
        if handler is None:
            handler = await continuation(handler_call_details)
            if handler is not None:
                self._handlers[method] = handler
        return handler


def remembered() -> grpc.aio.ServerInterceptor:
    """The outermost: wrap each method once and not in every call."""
    return _Remembered()


def request_ids() -> grpc.aio.ServerInterceptor:
    """Take the caller's request id or make one; send it back in the trailing metadata."""

    @asynccontextmanager
    async def around(context: Any, method: str) -> AsyncIterator[None]:
        given = dict(context.invocation_metadata() or ()).get(REQUEST_ID_KEY, "")
        request_id = given if _VALID_ID.fullmatch(str(given)) else new_request_id()
        _REQUEST_ID.set(request_id)
        context.set_trailing_metadata(((REQUEST_ID_KEY, request_id),))
        yield

    return _Wrapping(around)


def metering(meter: RpcMeter) -> grpc.aio.ServerInterceptor:
    """Count calls when they start and when they end."""

    @asynccontextmanager
    async def around(context: Any, method: str) -> AsyncIterator[None]:
        service, _, name = method.strip("/").rpartition("/")
        meter.add(RPC_STARTED, service=service, method=name)
        began = time.monotonic()
        code = "OK"
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            code = "CANCELLED"
            raise
        except BaseException:
            code = _code_name(context, "UNKNOWN")
            raise
        else:
            code = _code_name(context, "OK")
        finally:
            meter.add(RPC_HANDLED, service=service, method=name, code=code)
            meter.observe(RPC_DURATION, time.monotonic() - began, service=service, method=name)

    return _Wrapping(around)


def _code_name(context: Any, default: str) -> str:
    """Name of the code a handler set, which grpc keeps as an enum or as its number."""
    code = context.code()
    if not code:
        return default
    number = code if isinstance(code, int) else code.value[0]
    return next((c.name for c in grpc.StatusCode if c.value[0] == number), default)


class _Deadlines(grpc.aio.ServerInterceptor):  # type: ignore[misc,unused-ignore]
    """Caps calls that answer once; a stream lives as long as its caller and its server."""

    def __init__(self, cap_s: float) -> None:
        self._cap_s = cap_s

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        inner, cap_s = handler.unary_unary, self._cap_s

        async def capped(request: Any, context: Any) -> Any:
            try:
                async with asyncio.timeout(cap_s):
                    return await inner(request, context)
            except TimeoutError:
                problem = Problem("DEADLINE_EXCEEDED", f"the call took longer than {cap_s:g} s")
                await _abort(context, problem)

        return handler._replace(unary_unary=capped)


def deadlines(cap_s: float) -> grpc.aio.ServerInterceptor:
    """End any unary call after ``cap_s``, whatever deadline its caller set or forgot."""
    return _Deadlines(cap_s)


def error_mapping() -> grpc.aio.ServerInterceptor:
    """Let errors leave as google.rpc.Status; one the table does not know as INTERNAL and an id."""

    @asynccontextmanager
    async def around(context: Any, method: str) -> AsyncIterator[None]:
        try:
            yield
        except (grpc.aio.AbortError, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - the border: nothing raw leaves a service
            problem = problem_of(error)
            if problem is None:
                opaque = new_request_id()
                _log.exception(
                    "call failed", extra={"method": method, "error_id": opaque}, exc_info=error
                )
                problem = Problem(
                    "INTERNAL",
                    f"The service failed; its log holds the details under {opaque}.",
                    metadata={"error_id": opaque},
                )
            await _abort(context, problem)

    return _Wrapping(around)


async def _abort(context: Any, problem: Problem) -> None:
    request_id = current_request_id()
    trailing = (
        (REQUEST_ID_KEY, request_id),
        (DETAILS_KEY, problem.to_status(request_id).SerializeToString()),
    )
    await context.abort(problem.row.code, problem.message, trailing)


def admission(door: Admission, port: Callable[[], int]) -> grpc.aio.ServerInterceptor:
    """Refuse calls that are not for their caller; ``port`` is the one the server listens at."""

    @asynccontextmanager
    async def around(context: Any, method: str) -> AsyncIterator[None]:
        door.admit(method, context, port())
        yield

    return _Wrapping(around)


def sharing(shares: CallShares) -> grpc.aio.ServerInterceptor:
    """Refuse a caller who has too many calls open already."""

    @asynccontextmanager
    async def around(context: Any, method: str) -> AsyncIterator[None]:
        if not is_counted(method):
            yield
            return
        with shares.one_call(current_caller().owner):
            yield

    return _Wrapping(around)


class _Bounded(grpc.aio.ServerInterceptor):  # type: ignore[misc,unused-ignore]
    """Holds every request that comes at once, and is not a room's, to the bounds."""

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or not is_bounded(handler_call_details.method):
            return handler
        read = _reading(handler.request_deserializer)
        if handler.unary_unary is not None:
            wrapped = self._wrap(handler.unary_unary)
            return handler._replace(unary_unary=wrapped, request_deserializer=read)
        if handler.unary_stream is not None:
            wrapped = self._wrap_stream(handler.unary_stream)
            return handler._replace(unary_stream=wrapped, request_deserializer=read)
        return handler

    def _wrap(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def answer(request: Any, context: Any) -> Any:
            _require_request(request)
            return await inner(request, context)

        return answer

    def _wrap_stream(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            _require_request(request)
            async for response in inner(request, context):
                yield response

        return stream


def _reading(deserializer: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Read a request; None for bytes that are not that message, so that the refusal is ours."""

    def read(data: bytes) -> Any:
        try:
            return deserializer(data)
        except DecodeError:
            return None

    return read


def _require_request(request: Any) -> None:
    if request is None:
        raise RpcProblem("INVALID_ARGUMENT", "The bytes are no message of this call.")
    require_bounded(request)


def bounded() -> grpc.aio.ServerInterceptor:
    """Refuse requests that say more than anybody means, before a room reads them."""
    return _Bounded()


class _Draining(grpc.aio.ServerInterceptor):  # type: ignore[misc,unused-ignore]
    """Ends response streams once the event is set; what answers once is left to finish."""

    def __init__(self, draining: asyncio.Event) -> None:
        self._draining = draining

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        for kind in ("unary_stream", "stream_stream"):
            inner = getattr(handler, kind)
            if inner is not None:
                return handler._replace(**{kind: self._wrap(inner)})
        return handler

    def _wrap(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isasyncgenfunction(inner):

            async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
                responses = inner(request, context)
                while True:
                    try:
                        response = await self._unless_draining(anext(responses), 0.0)
                    except StopAsyncIteration:
                        return
                    yield response

            return stream

        async def write(request: Any, context: Any) -> Any:
            return await self._unless_draining(inner(request, context), _HEALTH_WORD_S)

        return write

    async def _unless_draining(self, work: Awaitable[Any], last_word_s: float) -> Any:
        """Await ``work``, or stop it when the server drains. Raises RpcProblem then."""
        task = asyncio.ensure_future(_awaited(work))
        drained = asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait({task, drained}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and last_word_s:
                await asyncio.wait({task}, timeout=last_word_s)
            if task.done() and (not self._draining.is_set() or last_word_s):
                return task.result()
            raise RpcProblem("SERVICE_DRAINING", "The service is shutting down.")
        finally:
            drained.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # looked at, or asyncio logs the end of a left stream as an error


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work


def draining_streams(draining: asyncio.Event) -> grpc.aio.ServerInterceptor:
    """End open streams with UNAVAILABLE and RetryInfo when ``draining`` is set."""
    return _Draining(draining)
