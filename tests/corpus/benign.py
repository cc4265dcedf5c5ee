"""Logs of sorts in which nothing is wrong with the machine, the image or the limits.

They hold what real logs hold: progress bars, resource tables, warnings about memory, CUDA, filters,
directories and time, and errors that somebody caught, logged and got over.
"""

from __future__ import annotations

import random

_PLAIN = (
    "kilosort.run_kilosort: Mem used:      {n}.{n} %     |       0.96 GB",
    "kilosort.run_kilosort: GPU memory:   {n}.25 %     |   {n}.75   /   79.15 GB",
    "kilosort.run_kilosort: {n}{n} spikes extracted in {n}.07s; total {n}.21s",
    "kilosort.run_kilosort: {n} clusters found, in {n}.38s",
    "kilosort.spikedetect: Re-computing universal templates from data.",
    "Preprocessing filters computed in 0.{n}s",
    "bandpass filter 300-6000 Hz, margin 5 ms",
    "opened directory /scratch/run/input, {n} files",
    "timeout for workers is 600 s",
    "clear_cache is off; CUDA cache holds {n} MiB",
    "out of {n}00 templates {n} were merged",
    "memory limit 64 GiB, {n} GiB in use, no swap",
    "License: GPL-3.0",
    "detect_peaks using locally_exclusive with n_jobs = 1",
    "wrote /scratch/run/sorter/spike_times.npy ({n} kB), disk has {n}0 GB left on device",
    "120 sequences remain",
    "loading state_dict.pt and init_dict.json",
    "docker: not used",
    "Time {n}s. Loading raw data and applying filters...",
    "{n} units rejected: signal-to-noise below 5",
)
_WARNED = (
    "UserWarning: CUDA is not available, using the CPU instead",
    "WARNING: memory is at {n}0 %, Unable to allocate may follow with larger chunks",
    "/venv/lib/python3.11/site-packages/x.py:{n}: RuntimeWarning: invalid value encountered",
    "WARNING torch: CUDA out of memory is likely with batch_size above {n}0000",
    "WARNING h5py: can't open directory of the plugin cache, falling back to the default",
    "WARNING: HDF5_PLUGIN_PATH is not set; files without the vendor's filter are fine",
    "INFO retry {n} of 5 after: dial tcp: lookup s3.example.org: no such host",
    "WARNING: License checkout failed, retrying in {n} s",
    "INFO skipping the drift plot: [Errno 28] No space left on device",
    "DEBUG if you see 'CUDA error: an illegal memory access', lower the batch size",
    "INFO a run with more channels would end in java.lang.OutOfMemoryError",
    "WARNING could not load libcuda.so.1: cannot open shared object file, ignored",
    "ConvergenceWarning: Number of distinct clusters ({n}) found smaller than n_clusters",
    "FutureWarning: read timeout will be 30 s",
)
_HANDLED = (
    ("MemoryError: Unable to allocate 3.20 GiB for an array", "used a memory map, continuing"),
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "retrying on CPU"),
    ("OSError: [Errno 28] No space left on device: '/scratch/plot.png'", "plots are off"),
    ("ModuleNotFoundError: No module named 'cupy'", "numpy is used instead"),
    ("FileNotFoundError: [Errno 2] No such file or directory: '/cache/wTEMP.npz'", "rebuilt"),
    ("OSError: Can't synchronously read data (can't find plugin. Check HDF5_PLUGIN_PATH)", "raw"),
    ("TimeoutError: timed out", "asked again, continuing"),
)


def benign_log(seed: int) -> str:
    """Return one log; the same seed gives the same log."""
    rng = random.Random(seed)
    lines = ["[spikefleet] step=load", *_ordinary(rng, 3), "[spikefleet] step=sort"]
    for _ in range(rng.randint(1, 6)):
        choice = rng.random()
        if choice < 0.35:
            lines += [_fill(rng, rng.choice(_WARNED)) for _ in range(rng.randint(1, 3))]
        elif choice < 0.6:
            lines += _handled(rng)
        elif choice < 0.8:
            lines += _bar(rng)
        lines += _ordinary(rng, rng.randint(1, 12))
    lines += _bar(rng) if rng.random() < 0.5 else _ordinary(rng, 9)
    if rng.random() < 0.5:
        lines.append(_fill(rng, rng.choice(_WARNED)))
    return "\n".join(lines) + "\n"


def _ordinary(rng: random.Random, count: int) -> list[str]:
    return [_fill(rng, rng.choice(_PLAIN)) for _ in range(count)]


def _fill(rng: random.Random, line: str) -> str:
    return line.replace("{n}", str(rng.randint(1, 9)))


def _bar(rng: random.Random) -> list[str]:
    total = rng.randint(4, 12)
    return [
        f"{100 * done // total:3d}%|{'#' * done:<{total}}| {done}/{total} [00:0{done % 10}<00:01, "
        f" {rng.random() * 9:.2f}it/s]"
        for done in range(total + 1)
    ]


def _handled(rng: random.Random) -> list[str]:
    error, after = rng.choice(_HANDLED)
    return [
        f"WARNING step {rng.randint(1, 9)} was caught:",
        "Traceback (most recent call last):",
        f'  File "/venv/lib/python3.11/site-packages/part.py", line {rng.randint(9, 99)}, in run',
        "    value = attempt()",
        error,
        after,
        *_bar(rng),
    ]
