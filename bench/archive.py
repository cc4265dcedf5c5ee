"""What archiving costs, next to SpikeInterface's own Zarr save of the same recording in one run.

CPU seconds, never wall time: the machine may be shared. Every writer runs in a process of its own,
once bare and once with the sorter imported, as in a sort (SpikeInterface collects garbage after
every chunk, which then walks all of torch). Sizes are compared with WavPack where its program is
installed. Least of ``REPEATS`` rounds, the writers taking turns
(with the sorter imported, one round).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from numcodecs import blosc
from probeinterface import generate_linear_probe
from scipy.signal import butter, lfilter
from spikeinterface.core import NumpyRecording, read_zarr

from spikefleet.signal.archive.codec import choose_codec
from spikefleet.signal.archive.sources import ArchiveSource
from spikefleet.signal.archive.verify import verify_archive
from spikefleet.signal.archive.write import write_archive
from spikefleet.signal.open import list_streams, open_recording

# A signal of DURATION_S, written REPETITIONS times over: a recording of 154 MB.
RATE_HZ, N_CHANNELS, DURATION_S, REPETITIONS = 30_000.0, 64, 8, 5
REPEATS = 1
# µV per bit: Intan, Neuropixels 1.0, MaxOne.
STEPS_UV = (0.195, 2.34, 6.3)
SORTERS = ("absent", "imported")
WRITERS = ("ours", "si_same_codec", "si_default")
GOALS = {
    "ratio_of_wavpack": 0.97,
    # Where a sort would do it. In a bare process the codec alone takes more than a third of what
    # SpikeInterface's default takes: docs/decisions/0007.
    "cpu_of_si_default_over_ours, sorter imported": 3.0,
    "write_mb_per_cpu_s": 100.0,
    "decode_mb_per_cpu_s": 600.0,
    "verify_mb_per_cpu_s": 600.0,
}


def signal(step_uv: float, seed: int = 0) -> np.ndarray:
    """Amplifier noise of 4 to 8 µV with a slow common wave, int16, samples x channels."""
    rng = np.random.default_rng(seed)
    shape = (N_CHANNELS, int(DURATION_S * RATE_HZ))
    noise = lfilter(
        *butter(1, [300, 6000], "band", fs=RATE_HZ), rng.standard_normal(shape, np.float32)
    )
    noise *= rng.uniform(4, 8, (N_CHANNELS, 1)) / noise.std(axis=1, keepdims=True)
    wave = lfilter([1e-3], [1, -0.999], rng.standard_normal((1, shape[1])))
    noise += 20 * wave / wave.std()
    return np.rint(noise / step_uv).astype(np.int16).T


def save(traces: np.ndarray, step_uv: float, folder: Path) -> Path:
    """Save a recording as a flat file with its probe."""
    recording = NumpyRecording([traces], RATE_HZ)
    probe = generate_linear_probe(num_elec=N_CHANNELS)
    probe.set_device_channel_indices(np.arange(N_CHANNELS))
    recording.set_probe(probe)
    recording.set_channel_gains(step_uv)
    recording.set_channel_offsets(0)
    recording.save(folder=folder, verbose=False, progress_bar=False)
    return folder


def sample(recording) -> np.ndarray:
    return np.ascontiguousarray(recording.get_traces(end_frame=int(RATE_HZ)).T)


def write_once(writer: str, source: Path, out: Path) -> float:
    """Write once; return CPU seconds."""
    blosc.use_threads = False
    recording = open_recording(source)
    archived = ArchiveSource(source, list_streams(source), partial(open_recording, source))
    same = {} if writer == "si_default" else {"compressor": choose_codec(sample(recording))}
    started_s = time.process_time()
    if writer == "ours":
        write_archive(archived, out)
    else:
        recording.save(
            folder=out, format="zarr", n_jobs=1, progress_bar=False, verbose=False, **same
        )
    return time.process_time() - started_s


def child(writer: str, source: str, out: str, sorter: str) -> None:
    """One measurement in a fresh process, told on stdout."""
    if sorter == "imported":
        # The point of the case: what SpikeInterface walks after every chunk.
        import kilosort.run_kilosort  # noqa: F401, PLC0415
        import torch  # noqa: F401, PLC0415
    print(json.dumps({"cpu_s": write_once(writer, Path(source), Path(out))}))


def _cpu_s(writer: str, source: Path, out: Path, sorter: str) -> float:
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "bench.archive", writer, str(source), str(out), sorter]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1])["cpu_s"])


def _decode(out: Path, size_mb: float) -> dict[str, float]:
    """MB per CPU second of the codec, of reading in seconds, of the whole verification."""
    recording = open_recording(out / "ours.zarr")
    block = sample(recording)
    codec = choose_codec(block)
    payload, room = codec.encode(block), np.empty_like(block)
    readers = {
        "read_ours": recording,
        "read_ours_with_si": read_zarr(out / "ours.zarr/streams/0"),
        "read_si_same_codec": read_zarr(out / "si_same_codec.zarr"),
    }
    found = {"codec": block.nbytes / 1e6 / _best(lambda: codec.decode(payload, out=room))}
    found |= {name: size_mb / _best(partial(_read, reader)) for name, reader in readers.items()}
    found["verify"] = size_mb / _best(lambda: verify_archive(out / "ours.zarr"))
    return {name: round(value) for name, value in found.items()}


def _read(recording) -> None:
    step = int(RATE_HZ)
    for start in range(0, recording.get_num_samples(), step):
        recording.get_traces(start_frame=start, end_frame=start + step)


def _best(work) -> float:
    times_s = []
    for _ in range(REPEATS):
        started_s = time.process_time()
        work()
        times_s.append(time.process_time() - started_s)
    return min(times_s)


def _size_bytes(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file())


def _wavpack_ratio(traces: np.ndarray) -> float | None:
    """Ratio of WavPack at its default level (2 of its codecs' scale) on the same samples.

    None where it is not installed.
    """
    program = shutil.which("wavpack")
    if program is None:
        print(
            "archive: NO COMPARISON WITH WAVPACK: its program is not installed (Debian: wavpack)",
            file=sys.stderr,
            flush=True,
        )
        return None
    layout = f"--raw-pcm={int(RATE_HZ)},16s,{N_CHANNELS},le"
    done = subprocess.run(
        [program, "-q", "-y", layout, "-", "-o", "-"], input=traces.tobytes(), capture_output=True
    )
    return traces.nbytes / len(done.stdout)


def _case(step_uv: float, folder: Path) -> dict:
    once = np.ascontiguousarray(signal(step_uv))
    traces = np.tile(once, (REPETITIONS, 1))
    size_mb = traces.nbytes / 1e6
    source = save(traces, step_uv, folder / "rec")
    times_s: dict[str, list[float]] = {}
    for repeat in range(REPEATS):
        for writer in WRITERS:
            for sorter in SORTERS if repeat == 0 else SORTERS[:1]:
                found = _cpu_s(writer, source, folder / f"{writer}.zarr", sorter)
                times_s.setdefault(f"{writer}, sorter {sorter}", []).append(found)
    per_gb = {name: min(found) / size_mb * 1e3 for name, found in times_s.items()}
    ratios = {writer: traces.nbytes / _size_bytes(folder / f"{writer}.zarr") for writer in WRITERS}
    block = np.ascontiguousarray(traces[: int(RATE_HZ)].T)
    codec = choose_codec(block)
    alone = _best(lambda: codec.encode(block)) / block.nbytes * 1e9
    wavpack = _wavpack_ratio(once)
    decode = _decode(folder, size_mb)
    goals = {
        "ratio_of_wavpack": ratios["ours"] / wavpack if wavpack else None,
        "cpu_of_si_default_over_ours, sorter imported": per_gb["si_default, sorter imported"]
        / per_gb["ours, sorter imported"],
        "cpu_of_si_default_over_ours": per_gb["si_default, sorter absent"]
        / per_gb["ours, sorter absent"],
        "cpu_of_si_same_codec_over_ours": per_gb["si_same_codec, sorter absent"]
        / per_gb["ours, sorter absent"],
        "cpu_of_si_same_codec_over_ours, sorter imported": per_gb["si_same_codec, sorter imported"]
        / per_gb["ours, sorter imported"],
        "write_mb_per_cpu_s": 1e3 / per_gb["ours, sorter absent"],
        "decode_mb_per_cpu_s": decode["codec"],
        "verify_mb_per_cpu_s": decode["verify"],
    }
    return {
        "codec": codec.get_config(),
        "cpu_s_per_gb": {name: round(value, 2) for name, value in per_gb.items()},
        "codec_alone_cpu_s_per_gb": round(alone, 2),
        "ratio": {name: round(value, 3) for name, value in ratios.items()},
        "ratio_wavpack": wavpack and round(wavpack, 3),
        "decode_mb_per_cpu_s": decode,
        "goals": {name: value and round(value, 2) for name, value in goals.items()},
    }


def measure() -> tuple[dict, bool]:
    """Measure all signals; True when every goal is met on every one (WavPack's where installed)."""
    cases = {}
    for step_uv in STEPS_UV:
        print(f"archive: a signal at {step_uv} µV per bit", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            cases[f"{step_uv} uV"] = _case(step_uv, Path(folder))
            print(json.dumps(cases[f"{step_uv} uV"]), file=sys.stderr, flush=True)
    held = all(
        case["goals"][name] is None or case["goals"][name] >= goal
        for case in cases.values()
        for name, goal in GOALS.items()
    )
    return {"goals": GOALS, "signals": cases}, held


if __name__ == "__main__":
    child(*sys.argv[1:])
