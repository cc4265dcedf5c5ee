"""What is known of an upload survives the way to a message and back."""

from datetime import UTC, datetime

import pytest

from spikefleet.api.v1 import ingest_pb2
from spikefleet.core.rooms.uploads import UploadedPart, UploadProgress
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName
from spikefleet.infra.rpc.convert.uploads import from_acknowledged, from_upload, to_part, to_upload

PARTS = (UploadedPart("a.bin", 0, 10, "e" * 64), UploadedPart("a.bin", 10, 5, "f" * 64, True))
FILES = (ManifestFile("a.bin", 15, "f" * 64),)
RECORDING = Recording("rec-1", RecordingName("p", "s", "n"), FILES, "d" * 64, "recordings/rec-1")


@pytest.mark.parametrize("recording", [None, RECORDING])
def test_an_upload_survives(recording):
    upload = UploadProgress("up-1", 10, PARTS, FILES, 256, recording)
    assert from_upload(to_upload(upload, datetime(2026, 11, 20, tzinfo=UTC))) == upload


def test_one_message_acknowledges_a_large_part_or_small_ones_together():
    large = ingest_pb2.UploadPartsResponse(part=to_part(PARTS[0]))
    small = ingest_pb2.UploadPartsResponse(small_parts=[to_part(part) for part in PARTS])
    assert (from_acknowledged(large), from_acknowledged(small)) == (PARTS[:1], PARTS)
