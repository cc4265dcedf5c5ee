"""Bytes of parts on their way: in all, of one user, and what is too long in coming."""

from __future__ import annotations

import asyncio

import pytest

from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.ingest.parts_budget import PartsBudget


async def test_one_user_fills_his_share_and_no_more() -> None:
    budget = PartsBudget(total_bytes=100, owner_bytes=50, patience_s=0.1)
    async with budget.holding("a", 30):
        with pytest.raises(RpcProblem) as caught:
            async with budget.holding("a", 30):
                pass
        assert caught.value.reason == "SERVICE_BUSY"
        async with budget.holding("b", 50):
            pass
    async with budget.holding("a", 50):
        pass


async def test_all_together_fill_the_total_and_room_that_is_freed_is_taken() -> None:
    budget = PartsBudget(total_bytes=100, owner_bytes=80, patience_s=10)
    release = asyncio.Event()

    async def hold() -> None:
        async with budget.holding("a", 80):
            await release.wait()

    first = asyncio.create_task(hold())
    await asyncio.sleep(0)

    async def wait() -> str:
        async with budget.holding("b", 80):
            return "in"

    second = asyncio.create_task(wait())
    await asyncio.sleep(0.1)
    assert not second.done()
    release.set()
    assert await second == "in"
    await first


async def test_a_part_larger_than_every_share_comes_alone() -> None:
    budget = PartsBudget(total_bytes=10, owner_bytes=5, patience_s=0.1)
    async with budget.holding("a", 1000):
        with pytest.raises(RpcProblem):
            async with budget.holding("b", 1):
                pass
