"""Places of contacts that no array has are doubted; those of real arrays are not."""

import numpy as np
import pytest
from probeinterface import Probe
from spikeinterface.core import NumpyRecording
from tests.support.recordings import make_recording

from spikefleet.signal.measuring.geometry import describe_geometry
from spikefleet.signal.open import open_recording


def recording(positions_um):
    made = NumpyRecording([np.zeros((10, len(positions_um)), dtype="int16")], 20_000.0)
    probe = Probe(ndim=2, si_units="um")
    probe.set_contacts(np.asarray(positions_um, dtype=float), shapes="circle")
    probe.set_device_channel_indices(np.arange(len(positions_um)))
    made.set_probe(probe)
    return made


def grid(pitch_um, n=4):
    return [(pitch_um * column, pitch_um * row) for column in range(n) for row in range(n)]


@pytest.mark.parametrize("format", ["maxwell", "spikeglx", "nwb", "binary"])
def test_the_places_of_a_healthy_recording_are_not_doubted(tmp_path, format):
    geometry = describe_geometry(open_recording(make_recording(tmp_path, format).path))
    assert geometry.doubt == ""
    assert geometry.n_places == geometry.n_contacts


@pytest.mark.parametrize("pitch_um", [2.0, 17.5, 200.0, 1000.0])
def test_real_pitches_are_not_doubted(pitch_um):
    found = describe_geometry(recording(grid(pitch_um)))
    assert (found.doubt, found.pitch_um) == ("", pytest.approx(pitch_um))


@pytest.mark.parametrize("pitch_um", [0.02, 20_000.0])
def test_metres_and_nanometres_taken_for_micrometres_are_doubted(pitch_um):
    assert "apart" in describe_geometry(recording(grid(pitch_um))).doubt


def test_one_place_for_all_is_doubted_but_one_contact_is_not():
    stacked = recording([(0, 1e-6 * index) for index in range(4)])
    assert "at one place" in describe_geometry(stacked).doubt
    assert describe_geometry(recording([(0, 0)])).doubt == ""


def test_no_places_are_doubted():
    made = NumpyRecording([np.zeros((10, 2), dtype="int16")], 20_000.0)
    assert "nothing of where" in describe_geometry(made).doubt
