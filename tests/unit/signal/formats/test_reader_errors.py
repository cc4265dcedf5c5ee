import json
from pathlib import Path

import pytest

from spikefleet.cli.printing import failure_lines
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure, InputCorruptError, InputMissingError
from spikefleet.core.findings.next_step import next_step_for
from spikefleet.infra.rpc.convert.values import from_failure, to_failure
from spikefleet.signal.formats.frame_gaps import note_frame_gaps
from spikefleet.signal.formats.reader_errors import corrupt, reading


def test_what_a_foreign_library_raises_is_the_files_fault():
    with pytest.raises(InputCorruptError) as caught, reading(Path("a.json")):
        json.loads("{")
    assert caught.value.reason == "unreadable"


def test_what_our_own_line_raises_is_our_bug_and_not_the_recordings_fault():
    with pytest.raises(AttributeError), reading(Path("a.h5")):
        note_frame_gaps(None, [])


def test_a_file_that_is_not_there_is_missing():
    with pytest.raises(InputMissingError), reading(Path("/nowhere/a.h5")):
        Path("/nowhere/a.h5").read_bytes()


def test_a_library_that_raises_a_bare_exception_is_caught_too():
    # As probeinterface does; compiled in a file of its own so that its frame is no frame of ours.
    code = compile("def fail():\n    raise Exception('Probes are overlapping!')", "lib.py", "exec")
    library: dict = {}
    exec(code, library)
    with pytest.raises(InputCorruptError, match="Probes are overlapping"), reading(Path("p.json")):
        library["fail"]()


@pytest.mark.parametrize("reason", ["still_written", "transposed", "no_geometry", "unsafe"])
def test_a_copy_from_the_rig_is_advised_only_where_it_can_help(reason):
    assert "rig" not in corrupt(Path("a"), reason, "it is so.").message
    assert "rig" in corrupt(Path("a"), "truncated", "it is so.").message


def test_the_next_step_of_a_refusal_travels_with_its_failure():
    refused = corrupt(Path("a"), "transposed", "it is so.")
    failure = Failure.from_json(Failure.from_error(refused).to_json())
    assert failure.next_step.startswith("Write the data as time x channels")
    assert next_step_for(failure) == failure.next_step
    assert from_failure(to_failure(failure)).next_step == failure.next_step
    assert to_failure(failure).next_step == failure.next_step
    assert "rig" not in failure_lines(failure).plain


def test_a_failure_without_a_step_of_its_own_has_that_of_its_row():
    failure = Failure(FailureCode.INPUT_CORRUPT, "It is so.")
    assert failure.next_step == failure.row.next_step
