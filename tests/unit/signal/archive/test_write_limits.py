"""What archiving may cost and what a crash may leave: measured in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from tests.support.archives import archive_folder, neural_like, save_folder

ROOT = Path(__file__).parents[4]
_SCRIPT = """
import sys
from pathlib import Path
from tests.support.archives import archive_folder
from spikefleet.signal.archive.verify import verify_archive
def peak_kb():
    # Not ru_maxrss: that begins with what the parent held before exec, and hides growth below it.
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak_kb()
archive_folder(Path(sys.argv[1]), Path(sys.argv[2]))
assert verify_archive(Path(sys.argv[2])).whole
print((peak_kb() - before) // 1024)
"""


def _start(path: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", "-c", _SCRIPT, str(path), str(out)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _wide(folder: Path, seconds: int) -> Path:
    """384 channels at 5 kHz: a second is 3.8 MB."""
    return save_folder(np.tile(neural_like(5_000, 384), (seconds, 1)), folder / "rec", 5_000.0)


def test_memory_does_not_grow_with_the_recording(tmp_path):
    grown_mb = {}
    for seconds in (2, 16):
        folder = tmp_path / str(seconds)
        started = _start(_wide(folder, seconds), folder / "out")
        said, _ = started.communicate(timeout=120)
        assert started.returncode == 0
        grown_mb[seconds] = int(said.split()[-1])
    assert grown_mb[16] <= grown_mb[2] + 25  # the samples alone grow by 54 MB
    assert grown_mb[16] <= 500


def test_a_killed_archiver_leaves_no_archive_and_does_not_stand_in_the_way(tmp_path):
    path, out = _wide(tmp_path, 16), tmp_path / "out"
    started = _start(path, out)
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s and not list(tmp_path.glob(".out.*/streams/0/*/0.0")):
        time.sleep(0.01)
    started.send_signal(signal.SIGKILL)
    started.communicate(timeout=30)
    assert not out.exists()
    archive_folder(path, out)
    assert out.is_dir()
