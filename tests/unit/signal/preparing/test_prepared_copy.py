import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from spikeinterface.core import NumpyRecording

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.signal.preparing.prepare import PrepareOptions, prepare_recording


def test_several_workers_write_the_same_copy(tmp_path):
    rng = np.random.default_rng(0)
    source = NumpyRecording([rng.integers(-300, 300, (300_000, 32), dtype="int16")], 30000.0)
    source.set_channel_gains(1.0)
    source.set_channel_offsets(0.0)
    one, four = (
        prepare_recording(
            source,
            RecordingConfig(),
            tmp_path / str(n_jobs),
            PrepareOptions(n_jobs=n_jobs, implementation="compiled"),
        ).recording.get_traces()
        for n_jobs in (1, 4)
    )
    assert np.array_equal(one, four)


MEASURE = """
import sys
from pathlib import Path
import numpy as np
from spikeinterface.core import BaseRecording, BaseRecordingSegment
from spikefleet.core.config.recording import RecordingConfig
from spikefleet.signal.preparing.prepare import PrepareOptions, prepare_recording

class Segment(BaseRecordingSegment):
    def __init__(self, n_samples):
        super().__init__(sampling_frequency=30000.0)
        self.n_samples = n_samples
    def get_num_samples(self):
        return self.n_samples
    def get_traces(self, start_frame, end_frame, channel_indices):
        shape = (end_frame - start_frame, 384)
        return np.random.default_rng(start_frame).integers(-90, 90, shape, dtype="int16")

class Lazy(BaseRecording):
    def __init__(self, n_samples):
        super().__init__(30000.0, np.arange(384), "int16")
        self.add_recording_segment(Segment(n_samples))
        self.set_channel_gains(1.0)
        self.set_channel_offsets(0.0)

def megabytes(field):
    status = Path("/proc/self/status").read_text()
    return int(status.split(field + ":")[1].split()[0]) / 1024

start = megabytes("VmRSS")
options = PrepareOptions(implementation=sys.argv[3])
prepare_recording(Lazy(int(sys.argv[1])), RecordingConfig(), Path(sys.argv[2]), options)
print(megabytes("VmHWM") - start)
"""


def peak_mb(folder, n_samples, implementation):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MEASURE, str(n_samples), str(folder), implementation]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(folder)
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_recording(tmp_path):
    once = peak_mb(tmp_path / "1x", 25_000, "compiled")
    eightfold = peak_mb(tmp_path / "8x", 200_000, "compiled")
    assert eightfold <= 500
    assert eightfold - once <= 40


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_scipy_stays_within_the_same_memory(tmp_path):
    assert peak_mb(tmp_path / "1x", 25_000, "scipy") <= 500
