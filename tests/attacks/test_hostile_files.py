"""Recordings made to run code, read other files, fill the memory or wait for ever.

Each is handed in to one real service, in place and a third of them uploaded, while somebody else's
run goes on; and each is inspected. All end as refusals by name, and no mark appears outside.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.hostile.folder_files import FOLDERS
from tests.support.hostile.hdf5_files import HDF5
from tests.support.hostile.traps import Trap, Writer
from tests.support.hostile.vendor_files import VENDORS
from tests.support.hostile.zygotes import LOOKING
from tests.support.recordings import make_recording

from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import RunView
from spikefleet.core.failures.codes import FailureCode
from spikefleet.infra.rpc.errors import ServiceError
from spikefleet.infra.system.confinement import SandboxPolicy
from spikefleet.infra.system.openings import Limits, OpeningPool

HOSTILE: Mapping[str, Writer] = {**FOLDERS, **HDF5, **VENDORS}
UPLOADED = tuple(HOSTILE)[::3]
NAMED = {FailureCode.INPUT_CORRUPT, FailureCode.INPUT_MISSING}
REFUSED_AT_THE_DOOR = {"PATH_REFUSED", "PATH_NOT_VISIBLE", "INVALID_ARGUMENT"}
LIMITS = Limits(wall_s=30.0, cpu_s=20, memory_bytes=1 << 30, scratch_bytes=16 << 20)
_AT_ONCE = 4


@dataclass
class Ends:
    """How each hostile recording ended, by its name and how it was handed in."""

    paths: dict[str, Path]
    outside: Path
    refusals: dict[tuple[str, bool], ServiceError] = field(default_factory=dict)
    runs: dict[tuple[str, bool], RunView] = field(default_factory=dict)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ends]:
    base = tmp_path_factory.mktemp("hostile")
    outside = base / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret" * 3000 + b"!")
    ends = Ends({}, outside)
    for number, (name, write) in enumerate(HOSTILE.items()):
        folder = base / str(number)
        folder.mkdir()
        ends.paths[name] = write(Trap(folder, outside))
    yield ends
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="module")
def handed_in(attacked_service, stranger_address, written: Ends) -> Ends:
    """Hand everything in at once, and a stranger's own recording before and after it."""
    address = attacked_service.service.address
    healthy = make_recording(attacked_service.folder / "other", condition="silent").path
    with SortingClient(stranger_address) as other:
        before = other.submit(healthy, "mountainsort5", in_place=False)
        calls = [(name, True) for name in HOSTILE] + [(name, False) for name in UPLOADED]
        with ThreadPoolExecutor(_AT_ONCE) as pool, SortingClient(address) as client:
            list(pool.map(lambda call: _hand_in(client, written, call), calls))
            for call, run in written.runs.items():
                written.runs[call] = client.wait([run.run_id], timeout_s=120)[0]
        for run in other.wait([run.run_id for run in before.runs], timeout_s=120):
            assert run.failure is not None
            assert run.failure.code is FailureCode.INSUFFICIENT_ACTIVITY, run.failure
    return written


def _hand_in(client: SortingClient, ends: Ends, call: tuple[str, bool]) -> None:
    name, in_place = call
    try:
        batch = client.submit(ends.paths[name], "mountainsort5", in_place=in_place)
    except ServiceError as error:
        ends.refusals[call] = error
        return
    ends.runs[call] = batch.runs[0]


def _says(ends: Ends, call: tuple[str, bool]) -> str:
    """Check that a refusal is by name and with a next step; return what was said."""
    refusal = ends.refusals.get(call)
    if refusal is not None:
        assert refusal.reason in REFUSED_AT_THE_DOOR, refusal
        return refusal.message
    run = ends.runs[call]
    assert run.failure is not None, f"it was sorted: {run.state}"
    assert run.failure.code in NAMED, run.failure
    assert run.failure.row.next_step
    return run.failure.message


def _require_named(said: str) -> None:
    assert said
    assert "Traceback" not in said
    assert "service failed" not in said.lower()
    assert "step of the service" not in said


@pytest.mark.parametrize("name", HOSTILE)
def test_in_place_it_is_refused_by_name(handed_in: Ends, attacked, name) -> None:
    _require_named(_says(handed_in, (name, True)))
    assert not (handed_in.outside / "mark").exists()


@pytest.mark.parametrize("name", UPLOADED)
def test_uploaded_it_is_refused_by_name(handed_in: Ends, attacked, name) -> None:
    """A link is uploaded as what it leads to, and what is no file is not: both are damage."""
    _require_named(_says(handed_in, (name, False)))


@pytest.mark.parametrize("name", HOSTILE)
async def test_inspected_it_is_refused_by_name_wherever_it_might_write(
    written: Ends, zygote, name
) -> None:
    """With every file to read and the place of the mark to write: the reader itself refuses."""
    base = written.outside.parent
    policy = SandboxPolicy(readable=(str(base), "/etc"), writable=(str(base),))
    arguments = {"path": str(written.paths[name])}
    done = await OpeningPool(zygote).run(f"{LOOKING}:inspect", arguments, policy, LIMITS)
    answer = json.loads(done["said"])
    streams = [stream["refusal"] for stream in answer.get("streams", [])]
    refused = [answer["error"]] if "error" in answer else [each for each in streams if each]
    assert done["exit_code"] == 1
    assert {each["code"] for each in refused} <= {str(code) for code in NAMED}
    for each in refused:
        _require_named(each["message"])
        assert each["next_step"]
    assert refused
    assert sorted(entry.name for entry in written.outside.iterdir()) == ["other.h5", "secret"]
