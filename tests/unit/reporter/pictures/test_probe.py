"""The picture of where channels lie: what is drawn, checked on its pixels and its texts."""

from pathlib import Path

import numpy as np
import probeinterface
import pytest
from matplotlib import image
from spikeinterface.core import NumpyRecording

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.reporter.pictures.paper import MARKS
from spikefleet.reporter.pictures.probe import draw_probe_picture


def _recording(places: np.ndarray) -> NumpyRecording:
    recording = NumpyRecording([np.zeros((10, len(places)), dtype="int16")], 20000.0)
    probe = probeinterface.Probe(ndim=2, si_units="um")
    probe.set_contacts(places, shapes="circle", shape_params={"radius": 5})
    probe.set_device_channel_indices(np.arange(len(places)))
    recording.set_probe(probe)
    return recording


def _has_colour(picture: np.ndarray, colour: str) -> bool:
    wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return bool((np.abs(picture[..., :3] - wanted).max(axis=-1) < 0.01).any())


@pytest.mark.parametrize("n_rows", [4, 200])
def test_bad_channels_are_marked_in_their_colour_and_only_they(tmp_path: Path, n_rows: int) -> None:
    places = np.array([[20.0 * (row % 2), 20.0 * row] for row in range(n_rows)])
    out = tmp_path / "new" / "probe.png"
    draw_probe_picture(_recording(places), "a title", {"1": "at a rail"}, out)
    picture = image.imread(out)
    assert _has_colour(picture, MARKS["at a rail"])
    assert not _has_colour(picture, MARKS["not a number"])
    assert picture.shape[0] < 2200
    assert picture.shape[1] < 2200


def test_a_dense_array_still_fits_a_page(tmp_path: Path) -> None:
    places = np.array([[17.5 * x, 17.5 * y] for y in range(64) for x in range(64)])
    draw_probe_picture(_recording(places), "dense", {"7": "never changes"}, tmp_path / "p.png")
    picture = image.imread(tmp_path / "p.png")
    assert max(picture.shape) < 2200
    assert _has_colour(picture, MARKS["never changes"])


def test_without_positions_nothing_is_drawn(tmp_path: Path) -> None:
    plain = NumpyRecording([np.zeros((10, 2), dtype="int16")], 20000.0)
    with pytest.raises(InputCorruptError, match=r"probe\.json"):
        draw_probe_picture(plain, "plain", {}, tmp_path / "p.png")
    assert list(tmp_path.iterdir()) == []
