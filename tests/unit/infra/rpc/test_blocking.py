"""Work of one caller never keeps another's from being done, and ends when its caller leaves."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from spikefleet.infra.rpc.access import _CALLER, Caller
from spikefleet.infra.rpc.blocking import BlockingPool, CallerLeftError, require_caller
from spikefleet.infra.rpc.errors import RpcProblem


def _as(uid: int, pool: BlockingPool, work, *arguments):  # type: ignore[no-untyped-def]
    async def call():  # type: ignore[no-untyped-def]
        _CALLER.set(Caller(uid=uid))
        return await pool.run(work, *arguments)

    return asyncio.create_task(call())


async def test_an_answer_and_an_error_come_back() -> None:
    pool = BlockingPool("k", threads=1, per_owner=1, waiting=10)
    assert await pool.run(max, 1, 2) == 2
    with pytest.raises(ZeroDivisionError):
        await pool.run(divmod, 1, 0)
    assert await pool.run(max, 3, 2) == 3


async def test_one_callers_long_work_leaves_threads_to_others() -> None:
    pool = BlockingPool("k", threads=3, per_owner=2, waiting=100)
    release = threading.Event()
    held = [_as(1, pool, release.wait, 30) for _ in range(20)]
    await asyncio.sleep(0.05)
    began_s = time.monotonic()
    assert await _as(2, pool, max, 1, 2) == 2
    assert time.monotonic() - began_s < 2
    release.set()
    assert await asyncio.gather(*held) == [True] * 20


async def test_more_than_may_wait_is_refused_at_once_and_only_to_him() -> None:
    pool = BlockingPool("k", threads=1, per_owner=1, waiting=3)
    release = threading.Event()
    running = _as(1, pool, release.wait, 30)
    await asyncio.sleep(0.05)
    waiting = [_as(1, pool, max, n, 0) for n in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(RpcProblem) as caught:
        await _as(1, pool, max, 1, 2)
    assert caught.value.reason == "SERVICE_BUSY"
    other = _as(2, pool, max, 5, 0)
    release.set()
    assert await asyncio.gather(running, *waiting, other) == [True, 0, 1, 2, 5]


async def test_a_caller_who_leaves_takes_running_and_waiting_work_with_him() -> None:
    pool = BlockingPool("k", threads=1, per_owner=1, waiting=10)
    ended, began = threading.Event(), []

    def long() -> None:
        began.append("long")
        try:
            while True:
                require_caller()
                time.sleep(0.01)
        except CallerLeftError:
            ended.set()
            raise

    running = _as(1, pool, long)
    waiting = _as(1, pool, began.append, "waiting")
    await asyncio.sleep(0.1)
    for task in (waiting, running):
        task.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    assert await asyncio.to_thread(ended.wait, 5)
    assert await pool.run(max, 1, 2) == 2
    assert began == ["long"]


def test_outside_a_call_there_is_always_a_caller() -> None:
    require_caller()


def test_a_thread_that_hangs_does_not_keep_the_process_alive() -> None:
    code = (
        "import asyncio, time\n"
        "from spikefleet.infra.rpc.blocking import BlockingPool\n"
        "async def main():\n"
        "    pool = BlockingPool('k', threads=1, per_owner=1, waiting=1)\n"
        "    task = asyncio.create_task(pool.run(time.sleep, 600))\n"
        "    await asyncio.sleep(0.1)\n"
        "    task.cancel()\n"
        "asyncio.run(main())\n"
    )
    began_s = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
    assert time.monotonic() - began_s < 30
