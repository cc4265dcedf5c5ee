"""Files sent again: what the store lost or never got whole comes with them, the rest is there."""

import pytest
from tests.support.facility import PART_BYTES
from tests.support.intake import NAME, client, digest_of, facility, server, source
from tests.support.serving import write_bytes_file

from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import Transfer
from spikefleet.infra.stores.bytes.artifacts import verify_prefix

__all__ = ["client", "facility", "server", "source"]  # fixtures


def test_a_recording_that_is_there_already_is_told_as_there_with_all_its_bytes(client, source):
    first = client.add_recording(source, name=NAME, in_place=False)
    seen: list[Transfer] = []
    assert client.add_recording(source, name=NAME, in_place=False, progress=seen.append) == first
    assert [(t.done_bytes, t.is_known) for t in seen] == [(t.total_bytes, True) for t in seen]
    assert [t.total_bytes for t in seen] == [3 * PART_BYTES + 13345]


def test_the_good_files_sent_again_mend_a_stored_recording_that_was_damaged(
    facility, client, source
) -> None:
    recording = client.add_recording(source, in_place=False)
    key = f"{recording.location}/files/traces.bin"
    stored = facility.artifacts.local_path(key)
    good = stored.read_bytes()
    stored.write_bytes(good[:100] + b"\x00\x01" + good[102:])
    assert stored.read_bytes() != good
    assert client.add_recording(source, in_place=False) == recording
    assert stored.read_bytes() == good
    stored.unlink()
    assert client.add_recording(source, in_place=False) == recording
    assert stored.read_bytes() == good


def test_other_bytes_of_a_name_whose_upload_was_cut_are_another_recording(
    facility, server, tmp_path
) -> None:
    path = write_bytes_file(tmp_path / "take.bin", 4 * PART_BYTES)
    first = path.read_bytes()

    def cut(progress) -> None:
        if progress.done_bytes >= 2 * PART_BYTES:
            raise InterruptedError

    with SortingClient(server.address) as client:
        with pytest.raises(InterruptedError):
            client.add_recording(path, name=NAME, in_place=False, progress=cut)
        path.write_bytes(first[::-1][: 3 * PART_BYTES])
        other = client.add_recording(path, name=NAME, in_place=False)
        assert other.files[0].sha256 == digest_of(path)
        path.write_bytes(first)
        again = client.add_recording(path, name=NAME, in_place=False)
    assert again.files[0].sha256 == digest_of(path)
    assert again.recording_id != other.recording_id
    (stored,) = verify_prefix(facility.artifacts, other.location)
    assert stored.sha256 == other.files[0].sha256
