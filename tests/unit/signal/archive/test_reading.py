"""An archive is a recording: any part of it reads as from the source, and damage is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.archives import archive_folder, neural_like, save_folder

from spikefleet.core.failures.errors import InputCorruptError, InvalidConfigurationError
from spikefleet.signal.archive import chunks
from spikefleet.signal.archive.reading import ArchivedRecording
from spikefleet.signal.open import list_streams, open_recording

TRACES = neural_like(3_210, 7)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    with pytest.MonkeyPatch.context() as patch:
        # Three groups of channels, the last one padded.
        patch.setattr(chunks, "CHUNK_BYTES", 3 * 1_000 * 2)
        archive_folder(save_folder(TRACES, folder / "rec"), folder / "out")
    return folder / "out"


@pytest.fixture
def damaged(tmp_path):
    archive_folder(save_folder(TRACES, tmp_path / "rec"), tmp_path / "out")
    return tmp_path / "out"


def test_its_streams_are_listed_from_the_manifest(archive):
    found = list_streams(archive)
    (stream,) = found.streams
    assert (found.format, stream.stream, stream.n_channels) == ("archive", "traces", 7)
    assert stream.duration_s == pytest.approx(3.21)
    with pytest.raises(InvalidConfigurationError):
        open_recording(archive, "well009")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_window_of_any_channels_reads_as_from_the_source(archive, data):
    start = data.draw(st.integers(0, 3_210))
    stop = data.draw(st.integers(start, 3_210))
    channels = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=7, unique=True))
    segment = open_recording(archive).segments[0]
    assert np.array_equal(
        segment.get_traces(start, stop, channels), TRACES[start:stop][:, channels]
    )
    assert np.array_equal(segment.get_traces(start, stop, slice(1, 5)), TRACES[start:stop, 1:5])
    assert np.array_equal(segment.get_traces(start, stop, None), TRACES[start:stop])


def test_writing_into_what_was_read_changes_nothing(archive):
    recording = open_recording(archive)
    recording.get_traces(start_frame=0, end_frame=1000)[:] = 0
    assert np.array_equal(recording.get_traces(), TRACES)


def test_it_can_be_sent_to_another_process(archive):
    again = pickle.loads(pickle.dumps(open_recording(archive)))
    assert isinstance(again, ArchivedRecording)
    assert np.array_equal(again.get_traces(end_frame=50), TRACES[:50])


def test_a_flipped_bit_is_refused_where_it_is_read(damaged):
    chunk = damaged / "streams/0/traces_seg0/2.0"
    payload = bytearray(chunk.read_bytes())
    payload[len(payload) // 2] ^= 1
    chunk.write_bytes(payload)
    recording = open_recording(damaged)
    assert np.array_equal(recording.get_traces(end_frame=1_999), TRACES[:1_999])
    with pytest.raises(InputCorruptError) as caught:
        recording.get_traces(start_frame=1_990, end_frame=2_001)
    assert caught.value.evidence["reason"] == "digest_mismatch"


def test_a_missing_chunk_is_refused_at_once(damaged):
    (damaged / "streams/0/traces_seg0/1.0").unlink()
    with pytest.raises(InputCorruptError) as caught:
        open_recording(damaged)
    assert caught.value.evidence["reason"] == "truncated"


def test_gains_that_no_longer_match_the_manifest_are_refused(damaged):
    gains = damaged / "streams/0/properties/gain_to_uV/0"
    gains.write_bytes((np.frombuffer(gains.read_bytes()) * 2).tobytes())
    with pytest.raises(InputCorruptError, match="gains"):
        open_recording(damaged)


def test_gains_that_are_words_are_refused_too(damaged):
    group = damaged / "streams/0/properties"
    words = group / "gain_to_uV/.zarray"
    words.write_text(words.read_text().replace("<f8", "<U2"))
    with pytest.raises(InputCorruptError, match="gains"):
        open_recording(damaged)
