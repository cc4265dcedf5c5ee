from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import InputCorruptError, InvalidConfigurationError
from spikefleet.signal.formats.maxwell_events import list_events

REAL_PLATE = Path("../shared/data/recordings/maxwell/maxtwo_6wells.raw.h5")
EVENT = np.dtype(
    [("frameno", "<i8"), ("eventtype", "<i4"), ("eventid", "<i4"), ("eventmessage", "S32")]
)


def with_events(tmp_path, offsets, wells=1, gap=0):
    path = make_recording(tmp_path, "maxwell", seconds=0.5, channels=4, units=2, wells=wells).path
    with h5py.File(path, "r+") as file:
        store = file[f"data_store/data{wells - 1:04d}"]
        numbers = store["groups/routed/frame_nos"]
        if gap:
            numbers[400:] = numbers[400:] + gap
        store["events"] = np.array(
            [(int(numbers[0]) + offset, 1, 7, b"pulse") for offset in offsets], dtype=EVENT
        )
    return path


def test_events_lie_on_the_recordings_samples(tmp_path):
    first, second = list_events(with_events(tmp_path, (300, 20)))
    assert (first.frame, second.frame) == (20, 300)
    assert second.time_s == pytest.approx(300 / 10000, rel=1)
    assert first.table == "events"
    assert dict(first.values) == {"eventtype": 1, "eventid": 7, "eventmessage": "pulse"}


def test_events_after_a_gap_move_with_the_stored_samples(tmp_path):
    path = with_events(tmp_path, (-5, 399, 400, 436, 437, 500), gap=37)
    assert [event.frame for event in list_events(path)] == [-5, 399, 400, 400, 400, 463]


def test_each_well_has_its_own_events(tmp_path):
    path = with_events(tmp_path, (10,), wells=2)
    assert list_events(path, "well000") == ()
    assert [event.frame for event in list_events(path, "well001")] == [10]
    with pytest.raises(InvalidConfigurationError):
        list_events(path, "well009")


def test_input_bits_of_the_layout_of_2016_are_events(tmp_path):
    path = tmp_path / "old.raw.h5"
    samples = np.zeros((1028, 50), dtype="<u2")
    samples[-2:, 0] = 5, 2  # frame number 2 * 65536 + 5
    mapping = np.dtype([("channel", "<i4"), ("electrode", "<i4"), ("x", "<f8"), ("y", "<f8")])
    with h5py.File(path, "w") as file:
        file["version"] = np.array([b"20160704"])
        file["mapping"] = np.array([(3, 100, 17.5, 35.0)], dtype=mapping)
        file["settings/gain"] = np.array([512.0])
        file["sig"] = samples
        file["bits"] = np.array([(2 * 65536 + 25, 4)], dtype=[("frameno", "<i8"), ("bits", "<u4")])
    (event,) = list_events(path)
    assert (event.table, event.frame, event.time_s) == ("bits", 20, 0.001)
    assert dict(event.values) == {"bits": 4}


def test_a_table_without_frame_numbers_is_refused(tmp_path):
    path = with_events(tmp_path, (1,))
    with h5py.File(path, "r+") as file:
        del file["data_store/data0000/events"]
        file["data_store/data0000/events"] = np.zeros(2, dtype=[("time", "<f8")])
    with pytest.raises(InputCorruptError):
        list_events(path)


@pytest.mark.skipif(not REAL_PLATE.exists(), reason=f"{REAL_PLATE} is not here")
def test_a_real_plate_without_events_has_none():
    assert list_events(REAL_PLATE, "well003") == ()
