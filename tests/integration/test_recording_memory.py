"""Opening, inspecting and preparing hold as much of a long recording as of a short one.

Archiving has its own test, beside its unit tests. Measured in processes of their own, above what a
started one holds.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.support.archives import neural_like, save_folder

ROOT = Path(__file__).parents[2]
# The short one fills three blocks of preparation: a first, a middle one with both margins, a last.
SHORT_S, LONG_S, RATE_HZ, N_CHANNELS = 14, 28, 5_000.0, 384
_SCRIPT = """
import sys
from pathlib import Path
from spikefleet.core.config.recording import RecordingConfig
from spikefleet.signal.measuring.summary import InspectOptions, inspect_recording
from spikefleet.signal.open import open_recording
from spikefleet.signal.preparing.prepare import PrepareOptions, prepare_recording
def peak_mb():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
step, source, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
before = peak_mb()
recording = open_recording(source)
if step == "open":
    recording.get_traces(start_frame=recording.get_num_samples() - 500)
elif step == "inspect":
    inspect_recording(source, InspectOptions(every_sample=True))
else:
    prepare_recording(recording, RecordingConfig(), out, PrepareOptions())
print(peak_mb() - before)
"""


def _peak_mb(step: str, source: Path, out: Path) -> int:
    command = [sys.executable, "-W", "ignore", "-c", _SCRIPT, step, str(source), str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A second of 384 channels is 3.8 MB."""
    folder = tmp_path_factory.mktemp("memory")
    second = neural_like(int(RATE_HZ), N_CHANNELS)
    return {
        seconds: save_folder(np.tile(second, (seconds, 1)), folder / str(seconds), RATE_HZ)
        for seconds in (SHORT_S, LONG_S)
    }


@pytest.mark.parametrize("step", ["open", "inspect", "prepare"])
def test_memory_does_not_grow_with_the_recording(
    tmp_path: Path, recordings: dict[int, Path], step: str
) -> None:
    peaks = {s: _peak_mb(step, path, tmp_path / str(s)) for s, path in recordings.items()}
    assert peaks[LONG_S] <= 500
    assert peaks[LONG_S] <= peaks[SHORT_S] + 25  # the samples alone grow by 54 MB
