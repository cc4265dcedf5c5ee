import json
from pathlib import Path

import numpy as np
import probeinterface
import pytest
from probeinterface.neuropixels_tools import build_neuropixels_probe
from tests.support.formats.openephys import write_neuropixels
from tests.support.formats.probes import write_probe

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.measuring.truth_checks import check_truth
from spikefleet.signal.open import open_recording

PLACES_UM = build_neuropixels_probe("NP1000").contact_positions
N_CHANNELS = 384


def places_of(node):
    return open_recording(node).get_channel_locations()


def refusal(node):
    with pytest.raises(InputCorruptError) as caught:
        open_recording(node)
    return caught.value


@pytest.mark.parametrize("node_id", [101, 103])
def test_each_record_node_has_the_places_of_the_electrodes_it_saved(tmp_path, node_id):
    saved = range(192) if node_id == 101 else range(192, 384)
    node = write_neuropixels(tmp_path, saved, node_id=node_id, more_nodes=(101, 103))
    assert np.array_equal(places_of(node), PLACES_UM[list(saved)])


@pytest.mark.parametrize("reordered", [False, True])
def test_a_channel_map_somewhere_in_the_settings_moves_no_channel(tmp_path, reordered):
    saved = range(N_CHANNELS)[:: -1 if reordered else 1]
    node = write_neuropixels(tmp_path, saved, channel_map=True, more_nodes=(101, 103))
    assert np.array_equal(places_of(node), PLACES_UM[list(saved)])


def test_some_channels_are_placed_although_the_settings_say_nothing_of_a_selection(tmp_path):
    node = write_neuropixels(tmp_path, range(100, 200))
    assert np.array_equal(places_of(node), PLACES_UM[100:200])


def test_settings_of_another_recording_are_refused_and_the_sidecar_decides(tmp_path):
    node = write_neuropixels(tmp_path, range(8), selected=lambda channel: channel + 384)
    error = refusal(node)
    assert error.reason == "geometry"
    assert "settings.xml" in error.message
    assert "probe.json beside it" in error.message
    positions = write_probe(node, 8)
    recording = open_recording(node)
    assert np.array_equal(recording.get_channel_locations(), positions)
    assert "sidecar_decided" in [finding.code for finding in check_truth(recording)]


def test_electrodes_without_settings_have_no_places_and_it_says_what_is_missing(tmp_path):
    node = write_neuropixels(tmp_path, range(8))
    (node / "settings.xml").unlink()
    error = refusal(node)
    assert error.reason == "no_geometry"
    assert "Copy the settings.xml" in error.message


def test_channels_that_name_no_electrode_take_settings_that_leave_no_choice(tmp_path):
    node = write_neuropixels(tmp_path, range(N_CHANNELS), named_electrodes=False)
    assert np.array_equal(places_of(node), PLACES_UM[:N_CHANNELS])


@pytest.mark.parametrize(
    ("saved", "options"),
    [
        (range(100, 200), {}),
        (range(N_CHANNELS), {"channel_map": True}),
        (range(192), {"more_nodes": (101, 103)}),
    ],
)
def test_channels_that_name_no_electrode_are_not_placed_by_a_guess(tmp_path, saved, options):
    node = write_neuropixels(tmp_path, saved, named_electrodes=False, **options)
    error = refusal(node)
    assert error.reason == "no_geometry"
    assert error.message.count("probe.json") == 1


def test_places_that_match_no_catalogue_are_taken_as_the_settings_give_them(tmp_path):
    def own_place(channel):
        return (40.0, 705.0) if channel == 143 else (258 + 32 * (channel % 2), 15 * (channel // 2))

    node = write_neuropixels(
        tmp_path,
        range(N_CHANNELS),
        named_electrodes=False,
        part_number="NP2013",
        places=own_place,
        shank=lambda channel: int(channel != 143),
    )
    places_um = places_of(node)
    assert places_um[143].tolist() == [40.0, 705.0]
    assert places_um[0].tolist() == [258.0, 0.0]


def test_a_plugin_that_gives_no_places_is_told_and_the_sidecar_taken(tmp_path):
    node = write_neuropixels(
        tmp_path, range(N_CHANNELS), named_electrodes=False, library_version="0.2.0"
    )
    assert refusal(node).reason == "no_geometry"
    positions = write_probe(node, N_CHANNELS)
    assert np.array_equal(places_of(node), positions)


def test_an_electrode_no_such_probe_has_is_refused(tmp_path):
    node = write_neuropixels(tmp_path, range(8))
    structure = node / "experiment1/recording1/structure.oebin"
    document = json.loads(structure.read_text())
    document["continuous"][0]["channels"][3]["channel_metadata"][0]["value"] = [60000]
    structure.write_text(json.dumps(document))
    assert refusal(node).reason == "geometry"


REAL = Path("../shared/data/recordings/openephys/NP1/Record_Node_101")


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is not here")
def test_real_settings_and_real_electrodes_agree():
    structure = json.loads((REAL / "experiment1/recording1/structure.oebin").read_text())
    channels = structure["continuous"][0]["channels"]
    electrodes = [channel["channel_metadata"][0]["value"][0] for channel in channels]
    theirs = probeinterface.read_openephys_neuropixels(
        REAL / "settings.xml", stream_name="Neuropix-PXI-100.ProbeA"
    )
    ours = build_neuropixels_probe("NP2014").contact_positions[electrodes]
    assert np.array_equal(ours, theirs.contact_positions)
