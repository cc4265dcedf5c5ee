"""Workers: the loop stays free, a crash is one call's error, and none outlives its service."""

import asyncio
import math
import os
import signal
import subprocess
import sys
import time

import pytest

from spikefleet.infra.workers import WorkerDiedError, WorkerPool

OWNER = """
import asyncio, os
from spikefleet.infra.workers import WorkerPool
async def main():
    pool = WorkerPool()
    print(await pool.run(os.getpid), flush=True)
    await asyncio.sleep(60)
if __name__ == "__main__":
    asyncio.run(main())
"""


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as handle:
            return handle.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def test_a_result_comes_from_another_process_and_the_loop_stays_free() -> None:
    pool = WorkerPool()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.02)
            ticks += 1

    ticking = asyncio.create_task(tick())
    assert await pool.run(os.getpid) != os.getpid()
    before = ticks
    await pool.run(time.sleep, 0.3)
    ticking.cancel()
    pool.close()
    assert ticks - before >= 5


async def test_what_the_function_raises_is_raised_here() -> None:
    pool = WorkerPool()
    with pytest.raises(ValueError, match=r"math domain|nonnegative"):
        await pool.run(math.sqrt, -1.0)
    pool.close()


async def test_a_killed_worker_is_an_error_of_its_call_and_the_next_call_works() -> None:
    pool = WorkerPool()
    with pytest.raises(WorkerDiedError, match="_kill_self"):
        await pool.run(_kill_self)
    assert await pool.run(math.sqrt, 4.0) == 2.0
    pool.close()


async def test_every_waiting_call_of_a_dead_worker_ends_and_the_pool_goes_on() -> None:
    pool = WorkerPool()
    answers = await asyncio.gather(
        pool.run(_kill_self), pool.run(_kill_self), return_exceptions=True
    )
    assert all(isinstance(answer, WorkerDiedError) for answer in answers)
    assert await pool.run(math.sqrt, 9.0) == 3.0
    pool.close()


async def test_closing_ends_a_worker_in_the_middle_of_its_call() -> None:
    pool = WorkerPool()
    pid = await pool.run(os.getpid)
    working = asyncio.create_task(pool.run(time.sleep, 60))
    await asyncio.sleep(0.1)
    began_s = time.monotonic()
    pool.close()
    with pytest.raises(WorkerDiedError):
        await working
    assert time.monotonic() - began_s < 5
    assert not _is_alive(pid)


def test_a_worker_dies_with_its_service_however_that_ends(tmp_path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    owner = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert owner.stdout is not None
    worker_pid = int(owner.stdout.readline())
    assert _is_alive(worker_pid)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    deadline_s = time.monotonic() + 5
    while _is_alive(worker_pid) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert not _is_alive(worker_pid)
