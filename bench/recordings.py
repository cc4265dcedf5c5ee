"""What a recording costs on its way in: prepared and archived, in CPU time and in memory.

Time is measured by ``bench.prepare`` and ``bench.archive``, beside SpikeInterface doing the same in
the same run. Memory is measured here: 384 channels, a short recording and one eight times as long,
each step in a process of its own, as the most that is held above what a started process holds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from probeinterface import generate_linear_probe
from spikeinterface.core import NumpyRecording

from bench import archive, prepare
from spikefleet.core.config.recording import RecordingConfig
from spikefleet.signal.archive.sources import ArchiveSource
from spikefleet.signal.archive.verify import verify_archive
from spikefleet.signal.archive.write import write_archive
from spikefleet.signal.measuring.summary import InspectOptions, inspect_recording
from spikefleet.signal.open import list_streams, open_recording
from spikefleet.signal.preparing.prepare import PrepareOptions, prepare_recording

N_CHANNELS, RATE_HZ = 384, 30_000.0
SHORT_S, TIMES = 2, 8
MOST_MB = 500
# The longer one may hold this much more: the allocator's wobble, not samples (322 MB more of them).
MOST_GROWTH_MB = 60
STEPS = ("open", "inspect", "prepare", "archive")


def _write(folder: Path, seconds: int) -> Path:
    rng = np.random.default_rng(0)
    second = rng.normal(0, 20, (int(RATE_HZ), N_CHANNELS)).astype(np.int16)
    recording = NumpyRecording([np.tile(second, (seconds, 1))], RATE_HZ)
    probe = generate_linear_probe(num_elec=N_CHANNELS)
    probe.set_device_channel_indices(np.arange(N_CHANNELS))
    recording.set_probe(probe)
    recording.set_channel_gains(2.34)
    recording.set_channel_offsets(0)
    recording.save(folder=folder, verbose=False, progress_bar=False)
    return folder


def _step(name: str, source: Path, out: Path) -> None:
    if name == "open":
        recording = open_recording(source)
        recording.get_traces(start_frame=recording.get_num_samples() - 3000)
    elif name == "inspect":
        inspect_recording(source, InspectOptions(every_sample=True))
    elif name == "prepare":
        prepare_recording(open_recording(source), RecordingConfig(), out, PrepareOptions())
    else:
        opener = partial(open_recording, source)
        write_archive(ArchiveSource(source, list_streams(source), opener), out)
        assert verify_archive(out).whole


def _peak_mb() -> float:
    """The most this process has held; unlike ``ru_maxrss`` without its parent's before exec."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def child(name: str, source: str, out: str) -> None:
    """One step in this process, told on stdout."""
    before_mb = _peak_mb()
    _step(name, Path(source), Path(out))
    print(json.dumps({"mb": round(_peak_mb() - before_mb, 1)}))


def memory() -> tuple[dict, bool]:
    """Return the MB each step holds above a started process, at one length and at eight."""
    found: dict[str, dict[str, float]] = {step: {} for step in STEPS}
    with tempfile.TemporaryDirectory(prefix="spikefleet-bench-") as name:
        folder = Path(name)
        for seconds in (SHORT_S, SHORT_S * TIMES):
            source = _write(folder / f"rec{seconds}", seconds)
            for step in STEPS:
                out = str(folder / f"{step}{seconds}")
                command = [sys.executable, "-m", "bench.recordings", step, str(source), out]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found[step][f"{seconds} s"] = json.loads(done.stdout.splitlines()[-1])["mb"]
    held = all(
        max(peaks.values()) <= MOST_MB
        and peaks[f"{SHORT_S * TIMES} s"] - peaks[f"{SHORT_S} s"] <= MOST_GROWTH_MB
        for peaks in found.values()
    )
    return {"n_channels": N_CHANNELS, "most_mb": MOST_MB, "peak_mb_above_start": found}, held


def measure() -> tuple[dict, bool]:
    """Measure all of it; True when every bound is held."""
    peaks, memory_held = memory()
    prepared = prepare.measure()
    archived, archive_held = archive.measure()
    held = memory_held and bool(prepared["within"]) and archive_held
    return {"memory": peaks, "prepare": prepared, "archive": archived}, held


if __name__ == "__main__":
    child(*sys.argv[1:])
