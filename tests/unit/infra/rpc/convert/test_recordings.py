"""Everything known of a recording survives the way to a message and back."""

from dataclasses import replace

import pytest

from spikefleet.core.submissions import ManifestFile, Recording, RecordingName
from spikefleet.infra.rpc.convert.recordings import from_recording, to_recording


@pytest.mark.parametrize("missing", [True, False])
def test_a_recording_survives(missing: bool) -> None:
    recording = Recording(
        "rec-1",
        RecordingName("p", "s", "n"),
        (ManifestFile("a/b.bin", 10, "f" * 64), ManifestFile("empty", 0, "e" * 64)),
        "d" * 64,
        "/data/rig",
        in_place=True,
        entry="a",
        missing=missing,
    )
    assert from_recording(to_recording(recording)) == recording
    parts = (recording, replace(recording, entry=""))
    joined = replace(recording, recording_id="rec-2", parts=parts)
    assert from_recording(to_recording(joined)) == joined
