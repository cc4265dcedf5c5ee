"""What an attempt takes is read of real processes and files, and never judged."""

import subprocess
import sys

import pytest

from spikefleet.infra.system.usage import AttemptUsage

MB = 1_000_000
_HOLDER = """
import sys
held = bytearray(b"x" * int(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder():
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(120 * MB)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def test_memory_is_that_of_the_process_tree(tmp_path, holder):
    values = AttemptUsage(tmp_path, root_pid=holder.pid).read(0.0).values
    assert 115 * MB < values["memory_bytes"] < 180 * MB
    own = AttemptUsage(tmp_path).read(0.0).values
    assert own["memory_bytes"] > values["memory_bytes"]


def test_a_process_that_is_gone_leaves_memory_out_and_says_so(tmp_path, holder):
    guard = AttemptUsage(tmp_path, root_pid=holder.pid)
    holder.kill()
    holder.wait()
    reading = guard.read(0.0)
    assert "memory_bytes" not in reading.values
    assert reading.advisory


def test_scratch_is_what_lies_in_the_folder_and_what_was_added_to_a_shared_one(tmp_path):
    folder, shared = tmp_path / "attempt", tmp_path / "shared"
    folder.mkdir()
    shared.mkdir()
    (folder / "input").write_bytes(b"x" * 3 * MB)
    (shared / "of-others").write_bytes(b"x" * 5 * MB)
    guard = AttemptUsage(folder, shared)
    assert guard.read(0.0).values["scratch_bytes"] == pytest.approx(3 * MB, rel=0.05)
    (shared / "mine").write_bytes(b"x" * 2 * MB)
    assert guard.read(100.0).values["scratch_bytes"] == pytest.approx(5 * MB, rel=0.05)


def test_folders_are_not_walked_at_every_reading(tmp_path):
    guard = AttemptUsage(tmp_path)
    before = guard.read(0.0).values["scratch_bytes"]
    (tmp_path / "new").write_bytes(b"x" * MB)
    assert guard.read(1.0).values["scratch_bytes"] == before
    assert guard.read(10.0).values["scratch_bytes"] > before


def test_it_never_judges(tmp_path):
    guard = AttemptUsage(tmp_path)
    reading = guard.read(0.0)
    assert (reading.warning, reading.trip, dict(guard.thresholds)) == ("", None, {})
