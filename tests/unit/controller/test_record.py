"""What a run's record says of its recording."""

import pytest

from spikefleet.controller.record import opened_path
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName

NIGHT = ManifestFile("night.raw.h5", 7, "0" * 64)
HEADER = ManifestFile("night.json", 7, "0" * 64)


@pytest.mark.parametrize(
    ("files", "entry", "in_place", "path"),
    [
        ((NIGHT,), "night.raw.h5", True, "/data/night.raw.h5"),
        ((NIGHT,), "", True, "/data/night.raw.h5"),
        ((NIGHT, HEADER), "", True, "/data"),
        ((NIGHT, HEADER), "night.raw.h5", True, "/data/night.raw.h5"),
        ((NIGHT,), "", False, "/data/files/night.raw.h5"),
        ((), "", True, "/data"),
    ],
)
def test_a_recording_lies_where_a_reader_opens_it(
    files: tuple[ManifestFile, ...], entry: str, in_place: bool, path: str
) -> None:
    name = RecordingName("lab", "day", "night")
    recording = Recording("rec-1", name, files, "d", "/data", in_place=in_place, entry=entry)
    assert opened_path(recording) == path
