"""Small simulated recordings for tests: written once per test session, copied for each test."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from spikefleet.signal.simulation import (
    Condition,
    SimulatedRecording,
    SimulationRequest,
    simulate,
)


@cache
def _session_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="spikefleet-recordings-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _written(
    format: str,
    seconds: float,
    channels: int,
    units: int,
    seed: int,
    condition: str,
    wells: int,
    silent_wells: tuple[int, ...],
    name: str,
) -> SimulatedRecording:
    wanted = (format, seconds, channels, units, seed, condition, wells, silent_wells)
    folder = _session_folder() / "-".join(str(part) for part in wanted).replace(" ", "")
    return simulate(
        SimulationRequest(
            format=format,
            path=folder / name,
            n_channels=channels,
            duration_s=seconds,
            n_units=units,
            seed=seed,
            n_wells=wells,
            silent_wells=silent_wells,
            condition=Condition(condition),
        )
    )


def make_recording(
    tmp_path: Path,
    format: str = "binary",
    seconds: float = 4.0,
    channels: int = 8,
    units: int = 3,
    seed: int = 0,
    condition: str = "healthy",
    wells: int = 1,
    silent_wells: tuple[int, ...] = (),
    name: str = "recording",
) -> SimulatedRecording:
    """Return a recording of its own for this test, under ``tmp_path``."""
    source = _written(
        format, seconds, channels, units, seed, str(condition), wells, silent_wells, name
    )
    tmp_path.mkdir(parents=True, exist_ok=True)
    path = tmp_path / source.path.name
    if source.path.is_dir():
        shutil.copytree(source.path, path)
    else:
        shutil.copyfile(source.path, path)
    truth_path = tmp_path / source.truth_path.name
    shutil.copyfile(source.truth_path, truth_path)
    return SimulatedRecording((path,), truth_path)
