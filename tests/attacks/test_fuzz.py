"""Every reader on damaged copies of genuine recordings: a named refusal or a recording, never else.

Each copy is looked at in a confined process of its own, as the service does, so that a crash or
endless work of a foreign library is a named end too. Seeds are fixed.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from tests.support.hostile.genuine import GENUINE
from tests.support.hostile.mutations import mutate
from tests.support.hostile.zygotes import LOOKING

from spikefleet.core.failures.errors import SpikeSortingClassifiedError
from spikefleet.infra.system.confinement import SandboxPolicy
from spikefleet.infra.system.opening_failures import blame_recording
from spikefleet.infra.system.openings import Limits, OpeningError, OpeningPool, Zygote

LIMITS = Limits(wall_s=60.0, cpu_s=20, memory_bytes=2 << 30, scratch_bytes=16 << 20)
FEW, MANY = 12, 90
# What a recording may be refused as; anything else is our own bug, or tells of the machine.
# A fraction of a second of noise holds nothing to sort, and inspect says so.
THE_SIGNALS = {"insufficient_activity", "no_good_channels", "saturated_signal"}
THE_RECORDINGS = THE_SIGNALS | {
    *("input_corrupt", "input_missing", "invalid_configuration", "hdf5_plugin_missing"),
}


@pytest.mark.parametrize("layout", GENUINE)
async def test_a_genuine_recording_is_looked_at_without_a_refusal(zygote, layout, tmp_path) -> None:
    path = GENUINE[layout](tmp_path)
    refused = await _refusals(OpeningPool(zygote), tmp_path, path)
    assert {code for code, _ in refused} <= THE_SIGNALS


@pytest.mark.parametrize("layout", GENUINE)
async def test_damaged_recordings_are_refused_by_name(zygote, layout, tmp_path) -> None:
    assert await _fuzz(zygote, layout, tmp_path, range(FEW)) == []


@pytest.mark.slow
@pytest.mark.parametrize("layout", GENUINE)
async def test_many_damaged_recordings_are_refused_by_name(zygote, layout, tmp_path) -> None:
    assert await _fuzz(zygote, layout, tmp_path, range(FEW, FEW + MANY)) == []


async def _fuzz(zygote: Zygote, layout: str, tmp_path: Path, seeds: range) -> list[str]:
    """Return what went wrong, one line or trace a seed."""
    original = tmp_path / "original"
    original.mkdir()
    entry = GENUINE[layout](original).relative_to(original)
    pool = OpeningPool(zygote, 2)
    found = await asyncio.gather(
        *(_look_at_one(pool, original, tmp_path / f"copy-{seed}", entry, seed) for seed in seeds)
    )
    return [said for said in found if said]


async def _look_at_one(
    pool: OpeningPool, original: Path, copy: Path, entry: Path, seed: int
) -> str:
    shutil.copytree(original, copy)
    damage = mutate(copy / entry, seed)
    before = _listing(copy)
    try:
        refused = await _refusals(pool, copy, copy / entry)
    except OpeningError as error:
        return f"seed {seed}, {damage}: {error}\n{error.words[-3000:]}"
    wrong = [said for said in refused if said[0] not in THE_RECORDINGS or not said[1]]
    wrote = _listing(copy) != before
    shutil.rmtree(copy)
    return f"seed {seed}, {damage}: {wrong} wrote: {wrote}" if wrong or wrote else ""


async def _refusals(pool: OpeningPool, folder: Path, path: Path) -> list[tuple[str, str]]:
    """Return (code, message) of each refusal. Raises OpeningFailedError where we have a bug."""
    policy = SandboxPolicy(readable=(str(folder),))
    try:
        answer = await pool.run(f"{LOOKING}:look", {"path": str(path)}, policy, LIMITS)
    except OpeningError as error:
        named: SpikeSortingClassifiedError = blame_recording(error, LIMITS)
        if named.code not in THE_RECORDINGS:
            raise
        return [(str(named.code), named.message)]
    return [(str(failure["code"]), str(failure["message"])) for failure in answer]


def _listing(folder: Path) -> list[tuple[str, int, int]]:
    entries = sorted(folder.rglob("*"))
    return [(str(e), e.lstat().st_size, e.lstat().st_mtime_ns) for e in entries]
