import json

import numpy as np
import pytest
from probeinterface import Probe, write_probeinterface
from spikeinterface.core import NumpyRecording

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.formats.probe_sidecar import find_probe_file, place_channels


def write_probe(folder, wiring):
    probe = Probe(ndim=2, si_units="um")
    n_contacts = len(wiring)
    probe.set_contacts(positions=np.stack([np.zeros(n_contacts), 20.0 * np.arange(n_contacts)], 1))
    probe.set_device_channel_indices(wiring)
    write_probeinterface(folder / "probe.json", probe)


def four_channels():
    samples = np.arange(40, dtype=np.int16).reshape(10, 4)
    return NumpyRecording([samples], 30_000.0, channel_ids=["a", "b", "c", "d"]), samples


def test_contacts_land_on_the_channels_they_are_wired_to(tmp_path):
    write_probe(tmp_path, [2, 0, 3, 1])
    recording, samples = four_channels()
    placed = place_channels(recording, tmp_path / "signal.dat")
    depths = {
        str(name): depth
        for name, depth in zip(
            placed.channel_ids, placed.get_channel_locations()[:, 1], strict=True
        )
    }
    assert depths == {"c": 0.0, "a": 20.0, "d": 40.0, "b": 60.0}
    order = list(recording.channel_ids)
    columns = [order.index(name) for name in placed.channel_ids]
    assert np.array_equal(placed.get_traces(), samples[:, columns])


def test_channels_without_a_contact_are_left_out_and_counted(tmp_path):
    write_probe(tmp_path, [2, -1, 0])
    placed = place_channels(four_channels()[0], tmp_path)
    assert sorted(str(name) for name in placed.channel_ids) == ["a", "c"]
    assert placed.get_annotation("unplaced_channels") == 2


@pytest.mark.parametrize("wiring", [[0, 1, 2, 4], [0, 0, 1, 2], [-1, -1]])
def test_a_wiring_that_does_not_fit_is_refused(tmp_path, wiring):
    write_probe(tmp_path, list(range(len(wiring))))
    content = json.loads((tmp_path / "probe.json").read_text())
    content["probes"][0]["device_channel_indices"] = wiring
    (tmp_path / "probe.json").write_text(json.dumps(content))
    with pytest.raises(InputCorruptError) as caught:
        place_channels(four_channels()[0], tmp_path)
    assert caught.value.path == str(tmp_path / "probe.json")


def test_a_recording_with_a_probe_keeps_it(tmp_path):
    write_probe(tmp_path, [0, 1, 2, 3])
    recording, _ = four_channels()
    placed = place_channels(recording, tmp_path)
    write_probe(tmp_path, [3, 2, 1, 0])
    assert place_channels(placed, tmp_path) is placed


def test_an_unreadable_sidecar_is_named(tmp_path):
    (tmp_path / "probe.json").write_text("{not json")
    with pytest.raises(InputCorruptError) as caught:
        place_channels(four_channels()[0], tmp_path)
    assert caught.value.path.endswith("probe.json")


def test_without_a_sidecar_nothing_is_placed(tmp_path):
    recording, _ = four_channels()
    assert find_probe_file(tmp_path / "x.rhd") is None
    assert place_channels(recording, tmp_path) is recording
