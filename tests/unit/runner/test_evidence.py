"""From what lies in a run folder to one failure, whatever lies there."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from tests.corpus.cases import recorded

from spikefleet.core.attempts import AttemptSpec, RunFolder
from spikefleet.core.failures.codes import FailureCategory, FailureCode
from spikefleet.core.failures.reading.exception_chain import package_path
from spikefleet.core.files import write_json
from spikefleet.runner.child import describe
from spikefleet.runner.evidence import KernelKills, judge, read_result
from spikefleet.runner.supervise import ChildEnd

CASES = recorded()


def spec(backend="kilosort4", **params):
    return AttemptSpec(
        run_id="r",
        attempt_id="a",
        name="s-r-sort-1",
        number=1,
        backend=backend,
        recording="rec.dat",
        stream="",
        inputs=(),
        config={"sorter": {"sorter_params": params}},
        artifacts_url="file:///none",
        artifacts_prefix="runs/r",
    )


def end(exit_code: int | None = 1, signal: int | None = None) -> ChildEnd:
    return ChildEnd(exit_code, signal, None, "", 1.0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_real_end_is_named_from_the_files_of_its_folder(case, tmp_path):
    folder = RunFolder(tmp_path)
    write_json(folder.child_failure, case.given["child_failure"])
    folder.child_log.write_text("\n".join(case.given["log"]), encoding="utf-8")
    failure = judge(spec(case.given["backend"]), folder, end())
    assert failure is not None
    assert failure.code is not FailureCode.UNCLASSIFIED
    assert failure.stage == "sort"


def test_the_settings_of_the_run_travel_with_a_silence(tmp_path):
    case = next(case for case in CASES if case.name == "kilosort4: threshold_of_one_channel")
    folder = RunFolder(tmp_path)
    write_json(folder.child_failure, case.given["child_failure"])
    failure = judge(spec(Th_single_ch=1000), folder, end())
    assert failure is not None
    assert failure.evidence["sorter_params"] == {"Th_single_ch": 1000}


def test_what_preflight_measured_says_here_already_why_a_sorter_found_nothing(tmp_path):
    case = next(case for case in CASES if case.name == "kilosort4: threshold_of_one_channel")
    folder = RunFolder(tmp_path)
    write_json(folder.child_failure, case.given["child_failure"])
    measured = {"n_crossings": 9000, "n_crossings_noise": 20, "n_channels": 64}
    order = replace(spec(Th_single_ch=1000), preflight={"measurements": measured})
    failure = judge(order, folder, end())
    assert failure is not None
    assert (failure.code, failure.rule_id) == (
        FailureCode.INVALID_CONFIGURATION,
        "measured.thresholds",
    )


def test_counts_at_the_beginning_of_a_long_log_are_found(tmp_path):
    folder = RunFolder(tmp_path)
    with folder.child_log.open("wb") as log:
        log.write(
            b"Recording has 64 channels\nfound 12 threshold crossings in 200.0 seconds of data\n"
        )
        log.write(b"Time 1s. Loading raw data\n" * 100_000)
        log.write(b"-----The CUDA error was: invalid configuration argument\n")
    failure = judge(spec("kilosort2"), folder, end())
    assert failure is not None
    assert failure.code is FailureCode.INSUFFICIENT_ACTIVITY
    assert failure.evidence["threshold_crossings"] == 12


@pytest.mark.parametrize("message", ["x", "n_samples=3 should be >= n_clusters=6."])
def test_our_bug_is_not_the_recordings_fault(tmp_path, message):
    """What the child writes down of an exception is enough to tell whose mistake it was."""

    class Unreadable:
        def replace(self, *_args):
            raise ValueError(message)

    def ours():
        package_path(Unreadable())  # type: ignore[arg-type]

    with pytest.raises(ValueError, match=r".") as library:
        ours()
    with pytest.raises(AttributeError) as own:
        package_path(None)  # type: ignore[arg-type]
    folder = RunFolder(tmp_path)
    folder.child_failure.parent.mkdir(exist_ok=True)
    write_json(folder.child_failure, describe(own.value, "analyze"))
    failure = judge(spec(), folder, end())
    assert failure is not None
    assert (failure.code, failure.rule_id) == (FailureCode.UNCLASSIFIED, "ours.mistake")
    assert failure.evidence["step"] == "analyze"
    assert "AttributeError" in str(failure.evidence["trace_tail"])
    write_json(folder.child_failure, describe(library.value, "analyze"))
    foreign = judge(spec(), folder, end())
    assert foreign is not None
    assert foreign.rule_id != "ours.mistake"


@pytest.mark.parametrize(("count", "says"), [(None, "does not tell"), (0, "counted no kill")])
def test_a_kill_is_told_with_what_the_kernel_counted(tmp_path, count, says):
    failure = judge(spec(), RunFolder(tmp_path), end(None, 9), KernelKills(count))
    assert failure is not None
    assert failure.code is FailureCode.SORTER_CRASH
    assert says in failure.message


@pytest.mark.parametrize("seed", range(30))
def test_random_bytes_in_every_file_crash_nothing_and_hold_nothing(seed, tmp_path):
    rng = random.Random(seed)
    folder = RunFolder(tmp_path)
    for path in (folder.child_log, folder.child_failure, folder.child_result):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(rng.randbytes(rng.randint(0, 5000)))
    ends = (end(1), end(None, 11), end(None, 9), end(127))
    for each in ends:
        failure = judge(spec(), folder, each)
        assert failure is not None
        assert failure.category is not FailureCategory.ENVIRONMENT
        json.dumps(failure.to_json())
    assert read_result(folder).missing


@pytest.mark.parametrize(
    "document",
    [
        {"n_units": "3", "n_spikes": None, "timings_s": [1], "versions": 7, "duration_s": "long"},
        {"timings_s": {"sort": "fast", "load": 1.5}, "versions": {"numpy": 2}},
        {},
    ],
)
def test_a_result_with_fields_of_another_kind_is_read_without_them(document, tmp_path):
    folder = RunFolder(tmp_path)
    write_json(folder.child_result, document)
    found = read_result(folder)
    assert (found.n_units, found.n_spikes, found.duration_s) == (None, None, None)
    assert dict(found.versions) == {}
    assert dict(found.timings_s) in ({}, {"load": 1.5})


def test_a_folder_that_is_gone_still_gives_a_failure(tmp_path: Path):
    failure = judge(spec(), RunFolder(tmp_path / "none"), end(None, 9), KernelKills(1))
    assert failure is not None
    assert failure.code is FailureCode.HOST_OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("ended", "document", "is_memory"),
    [
        (end(None, 9), None, True),
        (end(137), None, True),
        (end(1), {"exception_type": "BrokenProcessPool", "message": "a worker died"}, True),
        (end(1), {"exception_type": "KeyError", "message": "'amplitude'"}, False),
        (end(None, 11), None, False),
    ],
)
def test_a_kernel_kill_beside_neighbours_explains_only_an_end_it_can_cause(
    ended, document, is_memory, tmp_path
):
    folder = RunFolder(tmp_path)
    if document is not None:
        write_json(folder.child_failure, document)
    shared = judge(spec(), folder, ended, KernelKills(1, is_shared=True))
    alone = judge(spec(), folder, ended, KernelKills(1))
    assert shared is not None
    assert alone is not None
    assert (shared.code is FailureCode.HOST_OUT_OF_MEMORY) is is_memory
    assert alone.code is FailureCode.HOST_OUT_OF_MEMORY
