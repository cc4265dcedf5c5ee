"""Writing a simulated recording: signal, format, condition, truth. The simulator's one entry."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from probeinterface import Probe

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.signal.simulation import binary, maxwell, nwb, spikeglx
from spikefleet.signal.simulation.request import (
    Condition,
    SimulatedRecording,
    SimulationRequest,
)
from spikefleet.signal.simulation.signal import (
    CodedRecording,
    Progress,
    StoredCoding,
    make_signal,
    square_probe,
    two_column_probe,
)
from spikefleet.signal.simulation.truth import Truth, save_truth, sizes_of, truth_is_of

_SUFFIXES = {"maxwell": ".raw.h5", "nwb": ".nwb"}
_WELL_SEED_STEP = 1000


def simulate(request: SimulationRequest, progress: Progress | None = None) -> SimulatedRecording:
    """Write the recording asked for, and its truth beside it.

    The same request writes the same samples. Memory stays at one block of the signal. An earlier
    simulation at the path is replaced. ``progress`` gets the fraction done.

    Raises:
        InvalidConfigurationError: something else is at the path; it is left alone.
    """
    path = _target(request)
    truth_path = path.with_name(f"{_stem(path)}.truth.npz")
    _require_replaceable(path, truth_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if request.format == "maxwell":
        truths = _simulate_wells(request, path, progress)
    else:
        coding, write = {
            "spikeglx": (spikeglx.CODING, spikeglx.write),
            "nwb": (nwb.CODING, nwb.write),
            "binary": (binary.CODING, binary.write),
        }[request.format]
        recording, truth = _coded(request, make_probe(request), coding, 0, progress)
        write(recording, path)
        truths = {"recording": truth}
    damaged = _signal_files(path)
    if request.condition in (Condition.TRUNCATED, Condition.EMPTY):
        for file in damaged:
            _damage(file, request.condition)
    save_truth(truth_path, truths, path)
    return SimulatedRecording((path,), truth_path)


def make_probe(request: SimulationRequest) -> Probe:
    """Return the electrodes of a recording that is asked for."""
    if request.format == "maxwell":
        return maxwell.make_probe(request.n_channels)
    if request.format == "spikeglx":
        return spikeglx.make_probe(request.n_channels)
    if request.array_pitch_um is not None:
        return square_probe(request.n_channels, request.array_pitch_um)
    return two_column_probe(request.n_channels)


def _coded(
    request: SimulationRequest,
    probe: Probe,
    coding: StoredCoding,
    well: int,
    progress: Progress | None,
) -> tuple[CodedRecording, Truth]:
    condition = Condition.SILENT if well in request.silent_wells else request.condition
    seed = request.seed + well * _WELL_SEED_STEP
    signal_uv, truth = make_signal(request, probe, seed, condition)
    return CodedRecording(signal_uv, coding, condition, progress), truth


def _simulate_wells(
    request: SimulationRequest, path: Path, progress: Progress | None
) -> dict[str, Truth]:
    truths: dict[str, Truth] = {}
    with maxwell.PlateFile(path) as plate:
        for well in range(request.n_wells):
            probe = make_probe(request)
            share = _share(progress, well, request.n_wells)
            recording, truth = _coded(request, probe, maxwell.CODING, well, share)
            truths[plate.add_well(well, recording)] = truth
    return truths


def _share(progress: Progress | None, index: int, total: int) -> Progress | None:
    if progress is None:
        return None
    report: Callable[[float], None] = progress
    return lambda fraction: report((index + fraction) / total)


def _require_replaceable(path: Path, truth_path: Path) -> None:
    """Refuse to replace what the truth beside it does not name as its own, file by file.

    A recording without a truth is somebody's measurement, and so is a folder with one file more; a
    truth is needed as long as the recording it names is there.
    """
    named = truth_is_of(truth_path) if truth_path.is_file() else {}
    if path.exists() and named != {path.name: sizes_of(path)}:
        raise InvalidConfigurationError(
            f"There is something at {path} that was not simulated, or was changed since; it stays. "
            "Choose another path.",
            field="path",
        )
    others = [name for name in named if name != path.name and path.with_name(name).exists()]
    if others or (truth_path.is_file() and not named):
        owner = others[0] if others else "another recording"
        raise InvalidConfigurationError(
            f"{truth_path.name} holds the known spikes of {owner}; it stays. Choose another name.",
            field="path",
        )


def _target(request: SimulationRequest) -> Path:
    path = request.path.expanduser().absolute()
    suffix = _SUFFIXES.get(request.format, "")
    return path if path.name.endswith(suffix) else path.with_name(path.name + suffix)


def _stem(path: Path) -> str:
    for suffix in _SUFFIXES.values():
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    return path.name


def _signal_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted([*path.glob("*.bin"), *path.glob("*.raw")])


def _damage(file: Path, condition: Condition) -> None:
    size_bytes = file.stat().st_size
    kept_bytes = 0 if condition is Condition.EMPTY else size_bytes * 3 // 5 // 2 * 2 + 1
    with file.open("r+b") as handle:
        handle.truncate(kept_bytes)
