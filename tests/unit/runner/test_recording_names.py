"""What a submitter calls his files holds up nobody else's runs."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.attempts import make_spec

from spikefleet.core.attempts import AttemptSpec, InputFile, RunFolder
from spikefleet.core.failures.codes import Disposition, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.files import write_json
from spikefleet.runner.evidence import judge
from spikefleet.runner.recording_names import recording_names
from spikefleet.runner.supervise import ChildEnd

# A name, and the way in which a sorter's log or exception may repeat it.
NAMES = [
    "License checkout failed.raw",
    "HDF5_PLUGIN_PATH libcompression.raw",
    "error while loading shared libraries: x.raw",
    "No CUDA GPUs are available.raw",
    "Cannot connect to the Docker daemon.raw",
    'manifest unknown "pull access denied" é.raw',
]


def _spec(folder: Path, name: str) -> AttemptSpec:
    source = f"/rigs/{name}/{name}"
    return replace(
        make_spec(folder), recording=name, inputs=(InputFile(name, source, 1, in_place=True),)
    )


def _judged(folder: Path, spec: AttemptSpec, said: str) -> Failure:
    run = RunFolder(folder)
    document = {"exception_type": "OSError", "module": "builtins", "message": f"cannot read {said}"}
    write_json(run.child_failure, document)
    run.child_log.write_text(f"reading {said}\n{said}\n", encoding="utf-8")
    failure = judge(spec, run, ChildEnd(1, None, None, "", 1.0))
    assert failure is not None
    return failure


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_sounds_like_the_machines_trouble_holds_no_lane(name, tmp_path):
    spec = _spec(tmp_path, name)
    for said in (name, f"/rigs/{name}/{name}"):
        assert _judged(tmp_path, spec, said).row.disposition is not Disposition.HOLD


# A licence is a matter of the log, which an exception of another kind outranks.
@pytest.mark.parametrize("name", NAMES[1:])
def test_the_same_words_from_anybody_else_hold_it(name, tmp_path):
    said = name.removesuffix(".raw")
    failure = _judged(tmp_path, _spec(tmp_path, "night.raw"), said)
    assert failure.row.disposition is Disposition.HOLD


def test_a_machine_in_trouble_is_told_whatever_the_recording_is_called(tmp_path):
    spec = _spec(tmp_path, "License checkout failed.raw")
    failure = _judged(tmp_path, spec, "No CUDA GPUs are available")
    assert failure.code is FailureCode.ENVIRONMENT_OTHER


def test_names_come_longest_first_and_short_ones_are_no_words(tmp_path):
    names = recording_names(_spec(tmp_path, "a long name.raw"))
    assert names[0] == "/rigs/a long name.raw/a long name.raw"
    assert list(names) == sorted(names, key=len, reverse=True)
    assert "rigs" not in names
