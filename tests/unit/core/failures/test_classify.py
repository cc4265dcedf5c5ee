import json
import signal
import subprocess
import sys
import time

import pytest

from spikefleet.core.failures.classify import RULES, Evidence, classify, read_log_tail
from spikefleet.core.failures.codes import FAILURES, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.failures.rules.base import Source

F = FailureCode
TRUNCATED = (
    "Found array with 0 sample(s) (shape=(0, 61)) while a minimum of 1 is required by TruncatedSVD."
)
LEARNING = "kilosort/spikedetect.py:extract_wPCA_wTEMP"


def document(type_name, message, frame="", step="sort", **more):
    module, _, name = type_name.rpartition(".")
    frames = []
    if frame:
        file, _, function = frame.rpartition(":")
        frames = [
            {"file": "/x/spikefleet/runner/child.py", "function": "main", "line": 1},
            {"file": f"/venv/lib/site-packages/{file}", "function": function, "line": 2},
            {"file": "/venv/lib/site-packages/sklearn/base.py", "function": "fit", "line": 3},
        ]
    return {
        "step": step,
        "exception_type": name,
        "module": module or "builtins",
        "message": message,
        "frames": frames,
        **more,
    }


def ended(backend="kilosort4", type_name="", message="", frame="", step="sort", **more):
    child = document(type_name, message, frame, step) if type_name else None
    more = {"exit_code": 1, **more}
    return classify(Evidence(backend, step=step, child_failure=child, **more))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.rule_id)
def test_every_rule_matches_its_own_example(rule):
    backend = rule.sorter[0] if rule.sorter else "kilosort4"
    step = rule.step or "sort"
    if rule.source is Source.LOG:
        log = f"before\n{rule.example}\nafter\n"
        failure = ended(backend, step=step, log_tail=log)
    else:
        failure = ended(
            backend, rule.example_type or "ValueError", rule.example, rule.example_frame, step
        )
    assert (failure.rule_id, failure.code) == (rule.rule_id, rule.code)
    assert failure.message
    assert failure.evidence["sorter"] == backend


def test_rule_names_are_unique():
    assert len({rule.rule_id for rule in RULES}) == len(RULES)


def test_a_trip_outranks_everything():
    trip = Failure(F.SORTER_TIMEOUT, "Silent.", rule_id="guard.silence")
    evidence = Evidence("kilosort4", signal=9, trip=trip, interrupted=True, oom_kill_delta=3)
    assert classify(evidence) is trip


def test_a_request_to_stop_outranks_the_kernel_and_the_child():
    failure = ended(type_name="MemoryError", message="x", interrupted=True, oom_kill_delta=1)
    assert failure.code is F.ATTEMPT_INTERRUPTED


def test_the_kernel_outranks_what_the_child_said():
    failure = ended(
        type_name="concurrent.futures.process.BrokenProcessPool", message="x", oom_kill_delta=2
    )
    assert failure.code is F.HOST_OUT_OF_MEMORY
    assert failure.evidence["oom_kills"] == 2


def test_a_failure_the_child_classified_is_taken_over_with_its_evidence():
    told = Failure(F.INPUT_CORRUPT, "Truncated.", evidence={"reason": "truncated"})
    child = document("x.InputCorruptError", "Truncated.", classified=told.to_json())
    failure = classify(Evidence("lupin", exit_code=86, child_failure=child))
    assert (failure.code, failure.evidence["reason"]) == (F.INPUT_CORRUPT, "truncated")
    assert failure.rule_id == "child.raised"


def test_a_classification_that_cannot_be_read_is_no_evidence():
    child = document("ValueError", TRUNCATED, LEARNING, classified={"code": "from_the_future"})
    assert classify(Evidence("kilosort4", child_failure=child)).code is F.INSUFFICIENT_ACTIVITY


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGSEGV, F.SORTER_CRASH),
        (signal.SIGABRT, F.SORTER_CRASH),
        (signal.SIGBUS, F.SORTER_CRASH),
        (signal.SIGKILL, F.SORTER_CRASH),
        (signal.SIGTERM, F.ATTEMPT_INTERRUPTED),
    ],
)
@pytest.mark.parametrize("form", ["signal", "negative", "shell"])
def test_a_death_by_signal_is_named(number, code, form):
    told = {
        "signal": {"signal": int(number)},
        "negative": {"exit_code": -int(number)},
        "shell": {"exit_code": 128 + int(number)},
    }[form]
    failure = classify(Evidence("kilosort4", **told))
    assert failure.code is code
    assert failure.evidence["signal"] == number.name


def test_a_real_segmentation_fault_is_a_crash_with_its_log(tmp_path):
    log = tmp_path / "child.log"
    code = "import faulthandler,os,signal;faulthandler.enable();os.kill(os.getpid(),signal.SIGSEGV)"
    with log.open("wb") as handle:
        ended_by = subprocess.run([sys.executable, "-c", code], stderr=handle, check=False)
    failure = classify(Evidence("lupin", signal=-ended_by.returncode, log_tail=read_log_tail(log)))
    assert failure.code is F.SORTER_CRASH
    assert "Segmentation fault" in failure.evidence["log_tail"][0]


def test_an_error_the_sorter_got_over_does_not_explain_a_signal():
    trace = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n'
    log = f"{trace}ValueError: {TRUNCATED}\n"
    assert classify(Evidence("kilosort4", signal=11, log_tail=log)).code is F.SORTER_CRASH
    assert (
        classify(Evidence("kilosort4", exit_code=1, log_tail=log)).code is F.INSUFFICIENT_ACTIVITY
    )


def test_an_exit_code_of_the_table_means_what_the_table_says():
    for row in filter(lambda row: row.exit_code, FAILURES):
        assert classify(Evidence("lupin", exit_code=row.exit_code)).code is row.code, row.code


def test_a_file_a_sorter_lost_of_its_own_scratch_holds_no_lane():
    lost = "[Errno 2] No such file or directory: '{}'"
    own = ended("lupin", "FileNotFoundError", lost.format("/scratch/run/sorter/run/peaks.npy"))
    other = ended("lupin", "FileNotFoundError", lost.format("/models/mea/init.npy"))
    assert (own.code, other.code) == (F.UNCLASSIFIED, F.ENVIRONMENT_OTHER)


def test_an_exit_code_of_ours_and_a_signal_to_stop_outrank_the_log():
    log = "RuntimeError: CUDA error: out of memory\n"
    assert classify(Evidence("lupin", exit_code=107, log_tail=log)).code is F.DISK_EXHAUSTION
    assert classify(Evidence("lupin", signal=15, log_tail=log)).code is F.ATTEMPT_INTERRUPTED
    assert classify(Evidence("lupin", exit_code=1, log_tail=log)).code is F.GPU_OUT_OF_MEMORY


def test_a_message_of_megabytes_costs_no_more_than_a_short_one():
    frame = '  File "/venv/lib/python3.11/site-packages/a.py", line 1, in f\n'
    text = f"Traceback (most recent call last):\n{frame}KeyError: 1\n" * 100_000
    started = time.process_time()
    failure = ended("lupin", "spikeinterface.sorters.utils.SpikeSortingError", text)
    assert time.process_time() - started < 1
    assert failure.code is F.UNCLASSIFIED


def test_success_without_a_result_is_incomplete():
    assert classify(Evidence("lupin", exit_code=0)).code is F.INCOMPLETE


@pytest.mark.parametrize(
    ("type_name", "message", "code"),
    [
        ("RuntimeError", "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED", F.GPU_OUT_OF_MEMORY),
        ("torch.cuda.OutOfMemoryError", "CUDA out of memory.", F.GPU_OUT_OF_MEMORY),
        ("RuntimeError", "CUDA error: out of memory", F.GPU_OUT_OF_MEMORY),
        ("RuntimeError", "CUDA driver error: CUDA_ERROR_ILLEGAL_ADDRESS", F.GPU_FAULT),
        ("RuntimeError", "No CUDA GPUs are available", F.ENVIRONMENT_OTHER),
        ("RuntimeError", "CUDA error: no kernel image is available for exec", F.ENVIRONMENT_OTHER),
        ("RuntimeError", "java.lang.OutOfMemoryError: GC overhead", F.HOST_OUT_OF_MEMORY),
        ("MemoryError", "", F.HOST_OUT_OF_MEMORY),
        ("OSError", "[Errno 28] No space left on device: 'a.png'", F.DISK_EXHAUSTION),
        ("OSError", "Unable to synchronously read data (inflate() failed)", F.INPUT_CORRUPT),
        ("OSError", "Unable to open file (truncated file: eof = 96, sblock)", F.INPUT_CORRUPT),
        (
            "OSError",
            "Unable to synchronously read data (can't open directory: /usr/local/plugin)",
            F.HDF5_PLUGIN_MISSING,
        ),
        (
            "OSError",
            "Can't synchronously read data (can't find plugin. Check either HDF5_VOL_CONNECTOR, "
            "HDF5_PLUGIN_PATH, default location, or path set by H5PLxxx functions)",
            F.HDF5_PLUGIN_MISSING,
        ),
        (
            "OSError",
            "Can't synchronously read data (can't dlopen:/p/libcompression.so: file too short)",
            F.HDF5_PLUGIN_MISSING,
        ),
        ("ModuleNotFoundError", "No module named 'kilosort'", F.MODEL_LOADING),
        ("ImportError", "libcuda.so.1: cannot open shared object file", F.ENVIRONMENT_OTHER),
        ("PermissionError", "[Errno 13] Permission denied: '/out'", F.ENVIRONMENT_OTHER),
        ("ConnectionError", "dial tcp: lookup s3.example.org: no such host", F.STORAGE_UNAVAILABLE),
    ],
)
def test_machine_and_file_failures_are_told_apart_for_every_sorter(type_name, message, code):
    for backend in ("kilosort4", "lupin", "mountainsort5"):
        assert ended(backend, type_name, message).code is code


def test_a_missing_library_is_named_in_the_first_sentence():
    said = "/opt/x/libfftw3.so.3: cannot open shared object file"
    told = ended("lupin", "ImportError", said).message
    assert told.endswith("is missing on this machine or in its image: libfftw3.so.3.")
    bare = ended("lupin", "OSError", "cannot open shared object file").message
    assert bare.endswith("or in its image.")


@pytest.mark.parametrize(
    "message",
    [
        "can't open directory of the bandpass filter",
        "connect: no such file or directory",
        "120 sequences remain",
        "state_dict.pt written",
        "the units file holds 30 entries",
    ],
)
def test_harmless_words_are_not_mistaken_for_a_known_failure(message):
    for backend in ("kilosort4", "rt_sort", "lupin"):
        assert ended(backend, "RuntimeError", message, log_tail=message).code is F.UNCLASSIFIED


@pytest.mark.parametrize("frame", [LEARNING, ""])
@pytest.mark.parametrize("shape", ["(0, 61)", "(0, 41)"])
def test_silence_is_biology_whatever_the_template_length(frame, shape):
    failure = ended(
        type_name="ValueError", message=TRUNCATED.replace("(0, 61)", shape), frame=frame
    )
    assert failure.code is F.INSUFFICIENT_ACTIVITY
    assert failure.evidence["samples"] == 0


def test_the_number_of_spikes_at_failure_is_kept():
    failure = ended(type_name="ValueError", message="n_samples=3 should be >= n_clusters=6.")
    assert (failure.evidence["units_at_failure"], failure.evidence["n_clusters"]) == (3, 6)


def test_what_was_asked_of_the_gpu_is_kept_in_bytes():
    message = (
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.15 GiB "
        "of which 512.00 MiB is free."
    )
    evidence = ended(type_name="torch.OutOfMemoryError", message=message).evidence
    assert evidence["requested_bytes"] == 2 * 2**30
    assert evidence["free_bytes"] == 512 * 2**20


SILENT = [
    ("spykingcircus2", "AssertionError", "Prototype should have a negative peak", ""),
    ("lupin", "AssertionError", "Prototype should have a negative peak", ""),
    (
        "tridesclous2",
        "ZeroDivisionError",
        "division by zero",
        "spikeinterface/sorters/internal/tridesclous2.py:_run_from_folder",
    ),
    (
        "tridesclous2",
        "UnboundLocalError",
        "cannot access local variable 'node0' where it is not associated with a value",
        "spikeinterface/sortingcomponents/matching/main.py:find_spikes_from_templates",
    ),
    ("simple", "ValueError", TRUNCATED.replace("61", "75"), ""),
]


@pytest.mark.parametrize(("backend", "type_name", "message", "frame"), SILENT)
def test_silence_ends_the_same_way_with_every_sorter(backend, type_name, message, frame):
    assert ended(backend, type_name, message, frame).code is F.INSUFFICIENT_ACTIVITY


def test_a_division_by_zero_elsewhere_is_not_silence():
    failure = ended("tridesclous2", "ZeroDivisionError", "division by zero", "numpy/lib.py:mean")
    assert failure.code is F.UNCLASSIFIED


def test_an_error_wrapped_in_another_ones_text_is_found():
    inner = (
        "Spike sorting error trace:\nTraceback (most recent call last):\n"
        '  File "/venv/lib/site-packages/spikeinterface/sorters/basesorter.py", line 261, in run\n'
        "    SorterClass._run_from_folder(sorter_output_folder)\n"
        '  File "/venv/lib/site-packages/spikeinterface/sorters/internal/tridesclous2.py", '
        "line 269, in _run_from_folder\n    x / y\nZeroDivisionError: division by zero\n\n"
        "Spike sorting failed. You can inspect the runtime trace in /x/spikeinterface_log.json."
    )
    failure = ended("tridesclous2", "spikeinterface.sorters.utils.SpikeSortingError", inner)
    assert failure.code is F.INSUFFICIENT_ACTIVITY
    assert failure.evidence["exception_type"] == "ZeroDivisionError"


def test_the_cause_of_an_exception_is_found_in_its_trace():
    trace = [
        "Traceback (most recent call last):",
        '  File "/venv/lib/site-packages/numpy/core.py", line 1, in zeros',
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 3.20 GiB for an array",
        "",
        "The above exception was the direct cause of the following exception:",
        "",
        "Traceback (most recent call last):",
        '  File "/venv/lib/site-packages/lib/x.py", line 2, in run',
        "RuntimeError: step failed",
    ]
    child = document("RuntimeError", "step failed", trace_tail=trace)
    failure = classify(Evidence("lupin", exit_code=1, child_failure=child))
    assert failure.code is F.HOST_OUT_OF_MEMORY
    assert failure.evidence["requested_bytes"] == int(3.2 * 2**30)


def test_an_unknown_failure_carries_a_fingerprint_and_the_last_lines_of_the_log():
    log = "\n".join(f"line {number}" for number in range(200))
    one = ended(type_name="ValueError", message="batch 17 at 0x7f3a is odd", log_tail=log)
    two = ended(type_name="ValueError", message="batch 4711 at 0xdead is odd")
    other = ended(type_name="KeyError", message="batch 17 at 0x7f3a is odd")
    assert one.code is F.UNCLASSIFIED
    assert one.evidence["fingerprint"] == two.evidence["fingerprint"]
    assert one.evidence["fingerprint"] != other.evidence["fingerprint"]
    assert one.evidence["log_tail"] == [f"line {number}" for number in range(150, 200)]


@pytest.mark.parametrize(
    "child",
    [
        {},
        {"exception_type": None, "message": None, "frames": None, "trace_tail": None},
        {"frames": ["x", 3], "message": 7, "classified": "yes"},
        {"exception_type": "ValueError", "message": "\n\n", "errno": "28"},
    ],
)
def test_strange_documents_still_give_a_failure(child):
    failure = classify(Evidence("kilosort4", exit_code=1, child_failure=child))
    assert failure.code is F.UNCLASSIFIED
    json.dumps(failure.to_json())


def test_every_failure_can_be_written_as_json_and_read_back():
    for rule in RULES:
        failure = ended(type_name=rule.example_type or "ValueError", message=rule.example)
        assert Failure.from_json(json.loads(json.dumps(failure.to_json()))) == failure


def test_a_long_log_is_read_only_at_its_end(tmp_path):
    log = tmp_path / "child.log"
    log.write_bytes(b"".join(b"line %d\r" % number for number in range(900_000)))
    started = time.monotonic()
    tail = read_log_tail(log)
    assert len(tail) <= 262_144
    assert tail.splitlines()[0].startswith("line ")
    assert tail.splitlines()[-1] == "line 899999"
    assert len(read_log_tail(log, limit_bytes=10**9)) <= 2_000_000
    classify(Evidence("kilosort4", exit_code=1, log_tail=tail))
    assert time.monotonic() - started < 5


def test_a_log_that_is_not_there_or_not_text_is_no_problem(tmp_path):
    assert read_log_tail(tmp_path / "none.log") == ""
    (tmp_path / "binary.log").write_bytes(bytes(range(256)))
    assert read_log_tail(tmp_path / "binary.log")


def test_classifying_needs_no_science_library():
    code = (
        "import sys, spikefleet.core.failures.classify; "
        "print([m for m in ('numpy', 'torch', 'spikeinterface') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
