import numpy as np
import pytest
from probeinterface import ProbeGroup, generate_tetrode
from spikeinterface.core import NumpyRecording

from spikefleet.signal.formats.probe_layout import BETWEEN_PROBES_UM, lay_probes_apart
from spikefleet.signal.measuring.geometry import describe_geometry


def tetrodes(pitch_um: float):
    recording = NumpyRecording([np.zeros((100, 16), dtype="int16")], 30_000.0)
    probes = ProbeGroup()
    for index in range(4):
        probe = generate_tetrode()
        probe.move([300.0 * index, 0])
        probe.set_device_channel_indices(np.arange(4) + 4 * index)
        probes.add_probe(probe)
    if not pitch_um:
        # As files bring them: each at its own origin, which probeinterface itself would refuse.
        for index, probe in enumerate(probes.probes):
            probe.move([-300.0 * index, 0])
    recording.set_probegroup(probes, check_overlap=False)
    return recording


def test_probes_on_the_same_ground_become_one_with_none_near_another():
    recording = tetrodes(0.0)
    before = recording.get_channel_groups().tolist()
    assert lay_probes_apart(recording)
    assert len(recording.get_probegroup().probes) == 1
    places = recording.get_channel_locations()
    assert recording.get_channel_groups().tolist() == before
    for index in range(3):
        left, right = places[4 * index : 4 * index + 4], places[4 * index + 4 : 4 * index + 8]
        assert right[:, 0].min() - left[:, 0].max() == pytest.approx(BETWEEN_PROBES_UM)
    assert recording.get_annotation("probes_laid_apart") == 4
    assert describe_geometry(recording).most_in_group == 4


def test_probes_that_lie_apart_stay_and_are_one_probe_to_the_sorter():
    recording = tetrodes(300.0)
    before = recording.get_channel_locations()
    assert not lay_probes_apart(recording)
    assert recording.get_probe().get_contact_count() == 16
    assert np.array_equal(recording.get_channel_locations(), before)
    assert recording.get_annotation("probes_laid_apart") is None


def test_a_single_probe_is_left_as_it_is():
    recording = NumpyRecording([np.zeros((100, 4), dtype="int16")], 30_000.0)
    probe = generate_tetrode()
    probe.set_device_channel_indices(np.arange(4))
    recording.set_probe(probe)
    assert not lay_probes_apart(recording)
    assert recording.get_probe().annotations == probe.annotations
