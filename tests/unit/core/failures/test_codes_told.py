"""What goes wrong in use, by plain words: what it is called, whose it is, and what helps.

One line a situation, from the corpora and from the layers that meet them. What is no failure of its
own (a finding, a page, a next attempt) is held where it happens; ``HELD`` says by which test.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.corpus.ends import ENDS, GPU

from spikefleet.core.config import resolve
from spikefleet.core.config.compat import told
from spikefleet.core.config.sorter_params import check_params
from spikefleet.core.config.units import CurationConfig
from spikefleet.core.failures.classify import LOG_MARKS, Evidence, classify, read_log
from spikefleet.core.failures.codes import Disposition, FailureCategory, FailureCode
from spikefleet.core.failures.errors import (
    Failure,
    HostMemoryWatchdogError,
    NoGoodChannelsError,
    SpikeSortingClassifiedError,
)
from spikefleet.core.policy.decide import DecisionContext, Policy, decide
from spikefleet.signal.formats.hdf5 import require_filters
from spikefleet.signal.open import open_recording
from spikefleet.signal.units.curate import curate_units
from spikefleet.signal.units.quality import UnitQuality

TESTS = Path(__file__).parents[3]
F, C = FailureCode, FailureCategory
Situation = Callable[[Path], Failure]


def _end(name: str) -> Situation:
    return lambda folder: ENDS[name][0]


def _raised(act: Callable[[Path], object]) -> Situation:
    def meet(folder: Path) -> Failure:
        with pytest.raises(SpikeSortingClassifiedError) as caught:
            act(folder)
        return Failure.from_error(caught.value)

    return meet


def _early_line(folder: Path) -> Failure:
    log = folder / "child.log"
    log.write_bytes(f"{GPU}\n".encode() + b"batch done\n" * 900_000)
    read = read_log(log, LOG_MARKS)
    return classify(
        Evidence("lupin", exit_code=1, log_tail=read.tail, log_head=read.head, log_scan=read.scan)
    )


def _without_waveforms(folder: Path) -> None:
    nothing = math.nan
    unit = UnitQuality(
        "a", 100, 2.0, 0, 0.0, 0.0, nothing, nothing, nothing, 1.0, "ch0", 0, 0.0, 0.0, False
    )
    curate_units([unit], CurationConfig())


def _filtered(folder: Path, number: int) -> None:
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((10,))
    creation.set_filter(number, h5py.h5z.FLAG_OPTIONAL)
    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple((100,))
        h5py.h5d.create(file.id, b"raw", h5py.h5t.STD_U16LE, space, creation)
        require_filters(file["raw"], path, None)


def _cut_short(folder: Path) -> None:
    path = folder / "rec.npy"
    np.save(path, np.zeros(10))
    open_recording(path)


# The situation -> how it is met, what it is called, whose it is, and words of what helps.
TOLD: Mapping[str, tuple[Situation, FailureCode, FailureCategory, str]] = {
    "every channel was found bad, and nothing else was said": (
        _end("every channel was found bad"), F.NO_GOOD_CHANNELS, C.BIOLOGICAL, "headstage",
    ),
    "no licence, under MATLAB's generic words": (
        _end("no licence, MATLAB failed"), F.LICENSE_UNAVAILABLE, C.ENVIRONMENT, "licence server",
    ),
    "no disk, under MATLAB's generic words": (
        _end("no disk, MATLAB failed"), F.DISK_EXHAUSTION, C.RESOURCE, "Free space",
    ),
    "no GPU memory, under MATLAB's generic words": (
        _end("no GPU memory, MATLAB failed"), F.GPU_OUT_OF_MEMORY, C.RESOURCE, "smaller batches",
    ),
    "no memory, under MATLAB's generic words": (
        _end("no memory, MATLAB failed"), F.HOST_OUT_OF_MEMORY, C.RESOURCE, "more memory",
    ),
    "a library that is not in the image": (
        _end("no library, MATLAB failed"), F.ENVIRONMENT_OTHER, C.ENVIRONMENT, "release the hold",
    ),
    "a sparse recording on a full GPU": (
        _end("sparse, and no GPU memory"), F.GPU_OUT_OF_MEMORY, C.RESOURCE, "smaller batches",
    ),
    "a sparse recording on a full disk": (
        _end("sparse, and no disk"), F.DISK_EXHAUSTION, C.RESOURCE, "Free space",
    ),
    "a sparse recording, and nothing else": (
        _end("sparse, and nothing else"), F.INSUFFICIENT_ACTIVITY, C.BIOLOGICAL, "threshold",
    ),
    "samples that could not be unpacked, over a silent end": (
        _end("a filter over a silent end"), F.HDF5_PLUGIN_MISSING, C.ENVIRONMENT, "plugin",
    ),
    "a cause that was set and never raised": (
        _end("a cause that was set and never raised"), F.DISK_EXHAUSTION, C.RESOURCE, "Free space",
    ),
    "killed by somebody, while the kernel counted nothing": (
        _end("killed, and the kernel counted nothing"), F.SORTER_CRASH, C.INTERNAL, "once",
    ),
    "no GPU memory, told early in a log of ten megabytes": (
        _early_line, F.GPU_OUT_OF_MEMORY, C.RESOURCE, "smaller batches",
    ),
    "a guard that warns where it stops": (
        _raised(lambda folder: resolve("kilosort4", {"host_ram_warn_pct": 92})),
        F.INVALID_CONFIGURATION, C.ENVIRONMENT, "Correct the named parameter",
    ),
    "units without waveforms under a criterion of waveforms": (
        _raised(_without_waveforms), F.EMPTY_WAVEFORM_METRICS, C.BIOLOGICAL, "retry",
    ),
    "a sorter's parameter with the wrong sign": (
        _raised(lambda folder: check_params("kilosort4", "Kilosort 4", {"batch_size": -1})),
        F.INVALID_CONFIGURATION, C.ENVIRONMENT, "Correct the named parameter",
    ),
    "a vendor's compression on a machine without the vendor's plugin": (
        _raised(lambda folder: _filtered(folder, 401)),
        F.HDF5_PLUGIN_MISSING, C.ENVIRONMENT, "Install the plugin",
    ),
    "a compression that only this file's writer chose": (
        _raised(lambda folder: _filtered(folder, 32_026)),
        F.INPUT_CORRUPT, C.INPUT, "Save it again",
    ),
    "a file of no known format": (
        _raised(_cut_short), F.INPUT_CORRUPT, C.INPUT, "Export it to one of these formats",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_what_goes_wrong_has_its_name_its_owner_and_a_step_that_can_be_taken(
    name: str, tmp_path: Path
) -> None:
    meet, code, category, helps = TOLD[name]
    failure = meet(tmp_path)
    assert (failure.code, failure.category) == (code, category)
    assert helps in failure.next_step
    assert failure.message


def test_both_fields_of_a_guard_are_named_where_one_contradicts_the_other() -> None:
    with pytest.raises(SpikeSortingClassifiedError, match="host_ram_abort_pct") as caught:
        resolve("kilosort4", {"host_ram_warn_pct": 92})
    assert "host_ram_warn_pct" in caught.value.message


def test_what_a_stopped_sorter_did_not_tell_is_none_and_no_error() -> None:
    assert HostMemoryWatchdogError("It was stopped.").percent_at_trip is None
    assert NoGoodChannelsError("None is good.").units_at_failure is None


def test_a_step_that_may_change_spikes_is_not_taken_without_leave_and_says_how_to_give_it() -> None:
    dead_end = Failure(F.PARAMETER_SENSITIVE, "A dead end.")
    assert "execution.allow_result_affecting=true" in dead_end.next_step
    config = resolve("kilosort4", {}).to_document()
    decision = decide(dead_end, [], Policy(), DecisionContext(config=config, ladder=()))
    assert decision.action is Disposition.FAIL


def test_a_setting_that_nothing_reads_is_told_where_it_is_given() -> None:
    assert told(["total_memory"])[0].startswith("total_memory is accepted and has no effect here")


# The situation -> the test that holds it.
HELD: Mapping[str, str] = {
    "a trial found the GPU too small": "integration/test_canary.py::"
    "test_a_stretch_too_large_for_the_gpu_lets_the_sort_begin_with_smaller_batches",
    "a version at the edge of the tested range": "unit/preflight/test_checks_host.py::"
    "test_a_version_outside_the_tested_range_warns",
    "the disk guard knows what was projected": "unit/runner/guards/test_make.py::"
    "test_the_disk_guard_is_given_what_preflight_projected",
    "several plugin folders": "unit/signal/formats/test_maxwell.py::"
    "test_plugin_folders_are_listed_as_in_path",
    "a window past the end": "unit/preflight/test_checks.py::"
    "test_a_window_past_the_end_is_told_and_sorted_up_to_there",
    "a spike at the edge": "unit/signal/units/test_analyzer.py::"
    "test_a_spike_whose_window_reaches_over_an_end_is_not_sampled_and_counted",
    "a damaged upload sent again": "integration/test_ingest_repairs.py::"
    "test_the_good_files_sent_again_mend_a_stored_recording_that_was_damaged",
    "the end of a long log": "unit/reporter/test_render.py::"
    "test_the_end_of_a_log_and_of_a_traceback_is_on_the_page_and_the_whole_behind_it",
    "a recording object in a script": "unit/deploy/test_notebook_inputs.py::"
    "test_a_recording_object_is_saved_and_stands_for_its_folder",
    "one bad input of several": "e2e/test_notebook.py::"
    "test_a_plain_script_gets_one_result_per_input_in_order",
    "a guard that sees nothing": "unit/reporter/test_before_sort.py::test_a_blind_guard_is_told",
    "what the guard that sees nothing measures": "unit/runner/test_reporting.py::"
    "test_every_signal_threshold_warning_trip_and_blindness_is_a_series",
}


@pytest.mark.parametrize("name", HELD)
def test_what_is_no_failure_of_its_own_is_held_where_it_happens(name: str) -> None:
    place, _, function = HELD[name].partition("::")
    tree = ast.parse((TESTS / place).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert function in [node.name for node in ast.walk(tree) if isinstance(node, functions)]


def test_a_failure_in_text_is_its_sentence_and_its_next_step():
    failure = Failure(FailureCode.INPUT_MISSING, "There is no file.")
    assert str(failure) == f"There is no file. {failure.next_step}"
