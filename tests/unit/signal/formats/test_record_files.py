import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.formats.record_files import (
    RecordFilesRecording,
    RecordLayout,
    count_records,
)

FRAMES, CHANNELS, HEADER_BYTES = 8, 3, 5


def write_records(path, valid):
    """Write records of a stamp (3 bytes) and channels x frames; returns the valid samples."""
    rng = np.random.default_rng(len(valid))
    blocks = rng.integers(-32768, 32768, (len(valid), CHANNELS, FRAMES), dtype="i2")
    blocks = blocks.astype(">i2")
    with path.open("wb") as file:
        file.write(bytes(HEADER_BYTES))
        for block in blocks:
            file.write(b"abc" + block.tobytes())
    kept = [block[:, :n].T for block, n in zip(blocks, valid, strict=True)]
    return np.concatenate(kept).astype("int16")


def layout_of(valid, **changed):
    short = tuple((at, n) for at, n in enumerate(valid) if n < FRAMES)
    size = 3 + 2 * CHANNELS * FRAMES
    fields = {"inverted": False, **changed}
    return RecordLayout(HEADER_BYTES, size, 3, len(valid), FRAMES, CHANNELS, ">i2", short, **fields)


def open_records(path, valid, **changed):
    return RecordFilesRecording([str(path)], layout_of(valid, **changed), 1000.0, ["a", "b", "c"])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), valid=st.lists(st.sampled_from([8, 8, 8, 0, 3]), min_size=1, max_size=12))
def test_any_stretch_of_any_channels_is_what_was_written(tmp_path, data, valid):
    path = tmp_path / "signal"
    samples = write_records(path, valid)
    recording = open_records(path, valid)
    assert recording.get_num_samples() == len(samples)
    start = data.draw(st.integers(0, len(samples)))
    end = data.draw(st.integers(start, len(samples)))
    columns = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True))
    names = [["a", "b", "c"][column] for column in columns]
    read = recording.get_traces(start_frame=start, end_frame=end, channel_ids=names)
    assert read.dtype == np.dtype("int16")
    assert np.array_equal(read, samples[start:end][:, columns])


def test_a_recording_survives_the_way_into_another_process(tmp_path):
    valid = [8, 3, 8]
    samples = write_records(tmp_path / "signal", valid)
    recording = open_records(tmp_path / "signal", valid)
    assert np.array_equal(pickle.loads(pickle.dumps(recording)).get_traces(), samples)


def test_inverted_samples_are_turned_back_and_rails_stay_rails(tmp_path):
    samples = write_records(tmp_path / "signal", [8, 8])
    read = open_records(tmp_path / "signal", [8, 8], inverted=True).get_traces()
    assert np.array_equal(read, -np.maximum(samples, -32767))


def test_files_that_end_early_are_told_from_those_that_hold_nothing(tmp_path):
    whole, cut, bare = (tmp_path / name for name in ("whole", "cut", "bare"))
    write_records(whole, [8, 8])
    cut.write_bytes(whole.read_bytes()[:-1])
    bare.write_bytes(bytes(HEADER_BYTES))
    size = layout_of([8]).record_bytes
    assert count_records([whole, whole], HEADER_BYTES, size) == 2
    for paths, reason in (([whole, cut], "truncated"), ([whole, bare], "truncated")):
        with pytest.raises(InputCorruptError) as caught:
            count_records(paths, HEADER_BYTES, size)
        assert caught.value.reason == reason
    with pytest.raises(InputCorruptError) as caught:
        count_records([bare], HEADER_BYTES, size)
    assert caught.value.reason == "empty"
