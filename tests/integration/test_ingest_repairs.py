"""What the store has lost of a recording comes back with the files that are sent again."""

from tests.support.intake import client, facility, server, source

__all__ = ["client", "facility", "server", "source"]  # fixtures


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
