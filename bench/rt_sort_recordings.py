"""The recordings that RT-Sort is measured on, with the spikes they hold.

A to D have the arrays, lengths, units, rates, noise and peaks of the recordings on which the
reference was measured (its seeds are not known, so not its very samples); B8 is eight times as long
as B, and W has as many electrodes as a MaxWell array routes at once. Their templates and noise are
SpikeInterface's. E is our own simulation of action potentials that travel along axons, over a dense
array. The band-pass is 300 to 6000 Hz, samples are int16. ``python -m bench.rt_sort_recordings
[NAME ...]`` makes them, once, and tells what they are; they stay in ``bench/results/rt_sort/NAME``:

- ``source``: as a rig would have recorded it, and ``filtered``: after the band-pass; folders of
  SpikeInterface, both;
- ``truth.npz``: ``samples`` and ``units`` of every spike, ``locations_um``, and ``templates_uv``,
  units x samples x channels after the band-pass.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import probeinterface
import spikeinterface.core as si
import spikeinterface.generation as generation
import spikeinterface.preprocessing as preprocessing
from scipy.signal import butter, sosfiltfilt

from spikefleet.signal.simulation import SimulationRequest, binary, load_truth, simulate
from spikefleet.signal.simulation.axons import make_axonal_units
from spikefleet.signal.simulation.request import Condition
from spikefleet.signal.simulation.signal import CodedRecording
from spikefleet.signal.simulation.writing import make_probe

PLACE = Path(__file__).parent / "results" / "rt_sort"
BAND_HZ = (300.0, 6000.0)
MS_BEFORE, MS_AFTER = 1.0, 3.0
RATE_OF_UNITS_HZ = 5.0


@dataclass(frozen=True)
class Kind:
    """One recording; ``noise_uv`` is white and before the band-pass, ``peaks_uv`` are after it."""

    columns: int
    rows: int
    pitch_um: tuple[float, float]
    rate_hz: float
    seconds: float
    n_units: int
    apart_um: float
    noise_uv: float
    peaks_uv: tuple[float, float]
    seed: int
    inside_um: float = 20.0  # units lie so far inside the array: all are seen by several electrodes
    left_out: int = 0  # of the last electrodes


KINDS = {
    "A": Kind(8, 8, (17.5, 17.5), 20_000, 60, 20, 20, 10, (34, 207), 1, 5.0),
    "B": Kind(8, 8, (35, 35), 20_000, 60, 20, 45, 10, (41, 229), 2),
    "C": Kind(8, 8, (35, 35), 20_000, 60, 20, 45, 16, (56, 166), 3),
    "D": Kind(2, 32, (32, 20), 30_000, 30, 15, 25, 12, (36, 242), 4, 10.0),
    "B8": Kind(8, 8, (35, 35), 20_000, 480, 20, 45, 10, (41, 229), 2),
    "W": Kind(32, 32, (17.5, 17.5), 20_000, 60, 318, 20, 10, (34, 207), 15, 5.0, 6),
}
# The first seconds of another one.
FIRST_S = {"A15": ("A", 15.0)}
# Axons over 12 x 12 electrodes, 17.5 µm apart.
SIMULATED = {
    "E": {
        "n_channels": 144,
        "n_units": 16,
        "duration_s": 60.0,
        "seed": 16,
        "sampling_rate_hz": 20_000.0,
    }
}
NAMES = (*KINDS, *FIRST_S, *SIMULATED)


@dataclass(frozen=True)
class Known:
    """A recording, its band-passed form, and the spikes in it; both are int16 with a gain."""

    name: str
    source: si.BaseRecording
    filtered: si.BaseRecording
    truth: si.BaseSorting
    folder: Path


def load(name: str) -> Known:
    """Return one recording, made now where it is not kept yet."""
    whole, seconds = FIRST_S.get(name, (name, None))
    folder = _kept(whole)
    source, filtered = (si.load(folder / which) for which in ("source", "filtered"))
    rate_hz = source.sampling_frequency
    with np.load(folder / "truth.npz") as kept:
        samples, units = kept["samples"], kept["units"]
        n_units = len(kept["locations_um"])
    end = source.get_num_samples() if seconds is None else round(seconds * rate_hz)
    here = samples < end
    truth = si.NumpySorting.from_samples_and_labels(
        [samples[here]], [units[here]], rate_hz, unit_ids=np.arange(n_units)
    )
    if seconds is not None:
        source, filtered = (each.frame_slice(0, end) for each in (source, filtered))
    return Known(name, source, filtered, truth, folder)


def _kept(name: str) -> Path:
    kind, folder = KINDS.get(name), PLACE / name
    words = json.dumps(SIMULATED[name] if kind is None else asdict(kind))
    made = folder / "kind.json"
    if made.is_file() and made.read_text() == words:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"making recording {name}", file=sys.stderr)
    if kind is None:
        _simulate(name, folder)
    else:
        _make(kind, folder)
    made.write_text(words)
    return folder


def _simulate(name: str, folder: Path) -> None:
    request = SimulationRequest("binary", folder / "source", propagation=True, **SIMULATED[name])
    truth = load_truth(simulate(request).truth_path)
    _write_filtered(si.load(folder / "source"), folder)
    units = make_axonal_units(
        make_probe(request).contact_positions,
        truth.locations_um,
        truth.peak_amplitudes_uv,
        request.rate_hz,
        request.seed,
    )
    trains = [truth.spike_samples[unit] for unit in truth.unit_ids]
    samples = np.concatenate(trains)
    numbers = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
    order = np.argsort(samples, kind="stable")
    np.savez_compressed(
        folder / "truth.npz",
        samples=samples[order],
        units=numbers[order],
        locations_um=truth.locations_um,
        templates_uv=_band_passed(units.templates_uv, request.rate_hz).astype(np.float32),
    )


def _write_filtered(recording: si.BaseRecording, folder: Path) -> None:
    microvolts = preprocessing.scale_to_uV(recording)
    band_passed = preprocessing.bandpass_filter(microvolts, *BAND_HZ, dtype="float32")
    coded = CodedRecording(band_passed, binary.CODING, Condition.HEALTHY)
    binary.write(coded, folder / "filtered")


def _make(kind: Kind, folder: Path) -> None:
    probe = _probe(kind)
    templates, locations_um = _templates(kind, probe)
    sorting = generation.generate_sorting(
        num_units=kind.n_units,
        sampling_frequency=kind.rate_hz,
        durations=[kind.seconds],
        firing_rates=RATE_OF_UNITS_HZ,
        refractory_period_ms=4.0,
        seed=kind.seed,
    )
    recording, _ = generation.generate_ground_truth_recording(
        durations=[kind.seconds],
        sampling_frequency=kind.rate_hz,
        sorting=sorting,
        probe=probe,
        templates=templates.astype(np.float32),
        ms_before=MS_BEFORE,
        ms_after=MS_AFTER,
        noise_kwargs={"noise_levels": kind.noise_uv, "strategy": "on_the_fly"},
        seed=kind.seed,
    )
    coded = CodedRecording(recording, binary.CODING, Condition.HEALTHY)
    binary.write(coded, folder / "source")
    _write_filtered(si.load(folder / "source"), folder)
    spikes = sorting.to_spike_vector()
    np.savez_compressed(
        folder / "truth.npz",
        samples=spikes["sample_index"],
        units=spikes["unit_index"],
        locations_um=locations_um,
        templates_uv=_band_passed(templates, kind.rate_hz).astype(np.float32),
    )


def _probe(kind: Kind) -> probeinterface.Probe:
    probe = probeinterface.generate_multi_columns_probe(
        num_columns=kind.columns,
        num_contact_per_column=kind.rows,
        xpitch=kind.pitch_um[0],
        ypitch=kind.pitch_um[1],
    )
    kept = np.arange(kind.columns * kind.rows - kind.left_out)
    probe = probe.get_slice(kept)
    probe.set_device_channel_indices(kept)
    return probe


def _templates(kind: Kind, probe: probeinterface.Probe) -> tuple[np.ndarray, np.ndarray]:
    """Units x samples x channels in µV, and where the units are.

    The generator's peaks are stretched, in their order, over the peaks that are asked for.
    """
    contacts_um = probe.contact_positions
    locations_um = si.generate.generate_unit_locations(
        kind.n_units,
        contacts_um,
        margin_um=-kind.inside_um,
        minimum_z=8.0,
        maximum_z=25.0,
        minimum_distance=kind.apart_um,
        max_iteration=10_000,
        distance_strict=True,
        seed=kind.seed,
    )
    templates = generation.generate_templates(
        contacts_um, locations_um, kind.rate_hz, MS_BEFORE, MS_AFTER, seed=kind.seed
    )
    peaks = np.log(-_band_passed(templates, kind.rate_hz).min(axis=(1, 2)))
    low, high = np.log(kind.peaks_uv)
    wanted = low + (high - low) * (peaks - peaks.min()) / np.ptp(peaks)
    return templates * np.exp(wanted - peaks)[:, np.newaxis, np.newaxis], locations_um


def _band_passed(templates: np.ndarray, rate_hz: float) -> np.ndarray:
    """The templates as the band-pass leaves them in a recording."""
    sos = butter(5, BAND_HZ, "bandpass", fs=rate_hz, output="sos")
    around = round(0.02 * rate_hz)
    padded = np.pad(templates, ((0, 0), (around, around), (0, 0)))
    return sosfiltfilt(sos, padded, axis=1)[:, around:-around]


def facts(name: str) -> dict[str, object]:
    """What a reader compares with the reference's table."""
    known = load(name)
    start = known.filtered.get_num_samples() // 3
    traces = known.filtered.get_traces(
        start_frame=start, end_frame=start + 100_000, return_in_uV=True
    )
    with np.load(known.folder / "truth.npz") as kept:
        peaks_uv = -kept["templates_uv"].min(axis=(1, 2))
    return {
        "channels": known.source.get_num_channels(),
        "rate_hz": known.source.sampling_frequency,
        "seconds": known.source.get_total_duration(),
        "units": len(known.truth.unit_ids),
        "spikes": len(known.truth.to_spike_vector()),
        "noise_uv": round(float(np.median(np.abs(traces)) / 0.6745), 2),
        "peaks_uv": [round(float(peaks_uv.min())), round(float(peaks_uv.max()))],
        "folder": str(known.folder),
    }


if __name__ == "__main__":
    for asked in sys.argv[1:] or NAMES:
        print(asked, json.dumps(facts(asked)))
