"""Four tetrodes on the same ground, and the fewest channels each sorter takes: all of them sort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import probeinterface
import pytest
from spikeinterface.core import BaseRecording, NumpyRecording, generate_ground_truth_recording
from tests.contracts.sorter_backend import trains_of

from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.signal.formats.probe_layout import lay_probes_apart
from spikefleet.signal.sorters.base import SortRequest, load_backend
from spikefleet.signal.units.accuracy import compare_to_truth

RATE_HZ = 30_000.0
GAIN_UV = 0.195
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def tetrode(first_channel: int, n_contacts: int = 4) -> probeinterface.Probe:
    probe = probeinterface.generate_tetrode()
    if n_contacts < 4:
        probe = probe.get_slice(np.arange(n_contacts))
    probe.set_device_channel_indices(np.arange(n_contacts) + first_channel)
    return probe


def sampled(codes: np.ndarray, probes: list[probeinterface.Probe]) -> BaseRecording:
    recording = NumpyRecording([codes], RATE_HZ)
    group = probeinterface.ProbeGroup()
    for probe in probes:
        group.add_probe(probe)
    recording.set_probegroup(group, check_overlap=False)
    recording.set_channel_gains(GAIN_UV)
    recording.set_channel_offsets(0.0)
    lay_probes_apart(recording)
    return recording


def known(seed: int, n_contacts: int = 4) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the samples of one tetrode (or fewer contacts) and the spikes of its two neurons."""
    near_um = {"margin_um": 5.0, "minimum_z": 5.0, "maximum_z": 15.0}
    made, sorting = generate_ground_truth_recording(
        durations=[30.0],
        sampling_frequency=RATE_HZ,
        num_units=2,
        probe=tetrode(0, n_contacts),
        seed=seed,
        generate_unit_locations_kwargs=near_um,
    )
    codes = np.clip(np.rint(made.get_traces() / GAIN_UV), -32_000, 32_000).astype(np.int16)
    return codes, {f"{seed}-{unit}": train for unit, train in trains_of(sorting).items()}


@pytest.mark.parametrize(
    ("name", "bar"),
    [
        ("lupin", 0.9),
        ("spykingcircus2", 0.9),
        ("tridesclous2", 0.9),
        ("mountainsort5", 0.9),
        ("kilosort4", 0.0),  # merges the neurons of a tetrode: it starts, and preflight warns
    ],
)
def test_the_neurons_of_four_tetrodes_on_one_ground_are_found(
    name: str, bar: float, tmp_path: Path
) -> None:
    parts = [known(seed) for seed in range(10, 14)]
    truth = {unit: train for _, trains in parts for unit, train in trains.items()}
    codes = np.hstack([codes for codes, _ in parts])
    recording = sampled(codes, [tetrode(4 * index) for index in range(4)])
    on_disk = recording.save(folder=tmp_path / "recording")
    found = load_backend(name).sort(SortRequest(on_disk, tmp_path / "sorter", n_jobs=2))
    report = compare_to_truth(trains_of(found), truth, RATE_HZ)
    assert found.get_num_units() > 0
    assert report.mean_accuracy >= bar, report


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_the_fewest_channels_a_sorter_takes_give_units(name: str, tmp_path: Path) -> None:
    n_channels = BACKENDS[name].min_channels
    codes, _ = known(12, n_channels)
    on_disk = sampled(codes, [tetrode(0, n_channels)]).save(folder=tmp_path / "recording")
    found = load_backend(name).sort(SortRequest(on_disk, tmp_path / "sorter", n_jobs=2))
    assert found.get_num_units() > 0
