"""What tells of the machine outranks what tells of the recording, wherever it was said."""

import pytest
from tests.corpus.ends import ENDS, GPU, SILENT

from spikefleet.core.failures.classify import LOG_MARKS, Evidence, classify, read_log
from spikefleet.core.failures.codes import FailureCode

F = FailureCode


@pytest.mark.parametrize("name", ENDS)
def test_every_end_has_its_right_name(name):
    failure, code = ENDS[name]
    assert failure.code is code


def test_bad_channels_are_counted_in_the_evidence():
    evidence = ENDS["every channel was found bad"][0].evidence
    assert (evidence["bad_channels"], evidence["total_channels"]) == (974, 974)


def test_a_kill_says_what_the_kernel_counted():
    assert "counted no kill" in ENDS["killed, and the kernel counted nothing"][0].message
    assert "does not tell" in ENDS["killed, and nobody counts"][0].message


@pytest.mark.parametrize("before", [1_000, 500_000, 3_999_990])
def test_a_line_deep_in_a_log_of_megabytes_is_found(tmp_path, before):
    log = tmp_path / "child.log"
    filler = b"batch done\n"
    log.write_bytes(filler * (before // 11) + f"{GPU}\n".encode() + filler * 600_000)
    read = read_log(log, LOG_MARKS)
    evidence = Evidence(
        "lupin", exit_code=1, log_tail=read.tail, log_head=read.head, log_scan=read.scan
    )
    assert classify(evidence).code is F.GPU_OUT_OF_MEMORY


def test_an_error_deep_in_a_log_that_was_handled_blames_nobody(tmp_path):
    log = tmp_path / "child.log"
    frame = '  File "/venv/lib/x.py", line 3, in run\n    attempt()\n'
    handled = f"Traceback (most recent call last):\n{frame}torch.OutOfMemoryError: {GPU}\nagain\n"
    log.write_bytes(b"x\n" * 50_000 + handled.encode() + b"batch done\n" * 400_000)
    read = read_log(log, LOG_MARKS)
    assert GPU in read.scan
    evidence = Evidence("lupin", exit_code=1, log_tail=read.tail, log_scan=read.scan)
    assert classify(evidence).code is F.UNCLASSIFIED


def test_what_nobody_looked_at_is_told(tmp_path):
    log = tmp_path / "child.log"
    with log.open("wb") as handle:
        handle.truncate(100_000_000)
    read = read_log(log, LOG_MARKS)
    assert read.unread_bytes == 100_000_000 - 262_144 - 32_768 - 32_000_000
    evidence = Evidence("lupin", exit_code=1, log_unread_bytes=read.unread_bytes)
    assert classify(evidence).evidence["log_unread_bytes"] == read.unread_bytes


def frames(*places):
    return [
        {"file": file, "function": function, "line": 1}
        for file, _, function in (place.rpartition(":") for place in places)
    ]


OURS = ("/site-packages/kilosort/spikedetect.py:run", "/a/services/spikefleet/core/x.py:measure")


@pytest.mark.parametrize("type_name", ["TypeError", "AttributeError", "KeyError", "ValueError"])
@pytest.mark.parametrize("message", ["x", SILENT, "cannot mmap an empty file"])
def test_our_bug_is_not_the_recordings_fault(type_name, message):
    child = {
        "exception_type": type_name,
        "module": "builtins",
        "message": message,
        "frames": frames(*OURS),
        "trace_tail": ["Traceback (most recent call last):", "the lines of it"],
    }
    unfit = {"n_channels": 8, "flat_channels": 8, "silent_fraction": 1.0, "rail_fraction": 1.0}
    failure = classify(Evidence("kilosort4", exit_code=1, child_failure=child, preflight=unfit))
    assert (failure.code, failure.rule_id) == (F.UNCLASSIFIED, "ours.mistake")
    assert failure.evidence["trace_tail"] == child["trace_tail"]
    assert "spikefleet/core/x.py:measure" in failure.message


def test_what_the_machine_did_to_our_code_is_no_bug_of_ours():
    child = {"exception_type": "OSError", "module": "builtins", "message": "x", "errno": 28}
    given = {**child, "frames": frames(*OURS)}
    failure = classify(Evidence("kilosort4", exit_code=1, child_failure=given))
    assert failure.code is F.DISK_EXHAUSTION


def test_a_bug_of_a_library_we_called_is_not_ours():
    child = {
        "exception_type": "ValueError",
        "module": "builtins",
        "message": SILENT,
        "frames": frames(*reversed(OURS)),
    }
    failure = classify(Evidence("kilosort4", exit_code=1, child_failure=child))
    assert failure.code is F.INSUFFICIENT_ACTIVITY
