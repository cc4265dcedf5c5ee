"""Files that only the system made, in every layout: read as without them, and never sent along."""

import numpy as np
import pytest
from tests.support.hostile.genuine import GENUINE

from spikefleet.core.recording.file_sets import recording_files
from spikefleet.signal.open import list_streams, open_recording

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(4072)


def litter(folder):
    """Put what macOS and git leave behind into a folder and all below it."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for inside in folders:
        for path in list(inside.iterdir()):
            (inside / f"._{path.name}").write_bytes(APPLE_DOUBLE)
        (inside / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1" + bytes(6140))
    kept = folder / ".git/annex"
    kept.mkdir(parents=True)
    for path in list(folder.rglob("*")):
        if path.is_file() and ".git" not in path.parts and path.suffix in (".meta", ".oebin"):
            (kept / path.name).write_bytes(path.read_bytes())


@pytest.mark.parametrize("layout", sorted(GENUINE))
def test_a_recording_is_read_as_without_the_files_of_the_system(tmp_path, layout):
    path = GENUINE[layout](tmp_path)
    before = list_streams(path)
    stream = before.streams[0].stream
    samples = open_recording(path, stream).get_traces()
    files = recording_files(path)
    folder = path if path.is_dir() else path.parent
    litter(folder)
    assert list_streams(path) == before
    assert recording_files(path) == files
    assert np.array_equal(open_recording(path, stream).get_traces(), samples)
    if path.parent == tmp_path and path.is_file():
        assert list_streams(tmp_path) == before
