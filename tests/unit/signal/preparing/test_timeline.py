import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.recording.windows import keep_frames
from spikefleet.signal.preparing.timeline import FileSpan, Timeline

RATE_HZ = 1000.0


@st.composite
def timelines(draw):
    """Any files (some empty), any windows apart or touching."""
    lengths = draw(st.lists(st.integers(0, 500), min_size=1, max_size=5).filter(any))
    total = sum(lengths)
    edges = draw(st.lists(st.integers(0, total), min_size=2, max_size=8, unique=True).map(sorted))
    edges = edges[: len(edges) // 2 * 2]
    kept = tuple(zip(edges[::2], edges[1::2], strict=True))
    files = tuple(FileSpan(f"file {index}", length) for index, length in enumerate(lengths))
    return Timeline(RATE_HZ, files, kept)


@given(timelines())
def test_a_spike_placed_at_an_original_time_comes_back_at_that_time(timeline):
    frames = np.arange(timeline.n_original)
    samples = timeline.to_sorted(frames)
    was_kept = np.zeros(timeline.n_original, dtype=bool)
    for start, end in timeline.kept:
        was_kept[start:end] = True
    assert np.array_equal(samples >= 0, was_kept)
    assert np.array_equal(samples[was_kept], np.arange(timeline.n_samples))
    assert np.array_equal(timeline.to_original(samples[was_kept]), frames[was_kept])
    assert np.array_equal(timeline.to_original_s(samples[was_kept]), frames[was_kept] / RATE_HZ)


@given(timelines())
def test_the_sorted_signal_is_the_original_at_the_mapped_frames(timeline):
    signal = np.random.default_rng(0).normal(size=timeline.n_original)
    joined = np.concatenate([signal[start:end] for start, end in timeline.kept])
    assert np.array_equal(signal[timeline.to_original(np.arange(timeline.n_samples))], joined)
    pieces = [signal[start:end] for _, (start, end) in timeline.pieces()]
    assert np.array_equal(np.concatenate(pieces), joined)


@given(timelines())
def test_a_sample_lies_in_its_file_where_the_file_says(timeline):
    index, frames = timeline.locate(np.arange(timeline.n_samples))
    lengths = np.array([file.n_samples for file in timeline.files])
    assert np.all((frames >= 0) & (frames < lengths[index]))
    starts = np.array([start for start, _ in timeline.file_bounds])
    assert np.array_equal(
        starts[index] + frames, timeline.to_original(np.arange(timeline.n_samples))
    )


@given(timelines())
def test_seams_are_where_time_jumps_or_the_file_changes(timeline):
    samples = np.arange(timeline.n_samples)
    jumps = np.diff(timeline.to_original(samples)) != 1
    changes = np.diff(timeline.locate(samples)[0]) != 0
    assert timeline.seams == tuple(np.flatnonzero(jumps | changes) + 1)


@given(timelines())
def test_the_map_survives_being_written(timeline):
    assert Timeline.from_json(json.loads(json.dumps(timeline.to_json()))) == timeline


@given(
    chunks_s=st.lists(st.integers(0, 400), min_size=2, max_size=8, unique=True).map(
        lambda edges: tuple(
            (start / 4, end / 4)
            for start, end in zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False)
        )
    ),
    rate_hz=st.sampled_from([1000.0, 20000.0, 30000.05]),
)
def test_windows_in_seconds_keep_the_original_time_of_every_edge(chunks_s, rate_hz):
    n_samples = round(120 * rate_hz)
    kept = keep_frames(RecordingConfig(rec_chunks_s=chunks_s), n_samples, rate_hz)
    timeline = Timeline(rate_hz, (FileSpan("", n_samples),), kept)
    firsts = timeline.to_sorted([start for start, _ in kept])
    assert timeline.to_original_s(firsts) == pytest.approx(
        [start_s for start_s, _ in chunks_s], abs=0.5 / rate_hz
    )


def test_a_whole_recording_is_its_own_map():
    timeline = Timeline.whole(100, RATE_HZ)
    assert timeline.is_identity
    assert timeline.seams == ()
    assert np.array_equal(timeline.to_original([0, 99]), [0, 99])


def test_a_sample_that_was_not_sorted_has_no_original_time():
    timeline = Timeline(RATE_HZ, (FileSpan("", 100),), ((10, 20), (50, 60)))
    for samples in ([20], [-1]):
        with pytest.raises(ValueError, match="outside"):
            timeline.to_original(samples)
    assert list(timeline.to_sorted([9, 10, 19, 20, 50, 60, -5, 1000])) == [
        -1, 0, 9, -1, 10, -1, -1, -1,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "kept", [(), ((0, 0),), ((5, 10), (8, 12)), ((50, 60), (10, 20)), ((90, 101),), ((-1, 5),)]
)
def test_windows_that_no_signal_can_have_are_refused(kept):
    with pytest.raises(ValueError, match="windows"):
        Timeline(RATE_HZ, (FileSpan("", 100),), kept)


def test_another_version_of_the_file_is_refused():
    with pytest.raises(ValueError, match="version"):
        Timeline.from_json({"version": 2})


@pytest.mark.parametrize(
    "change",
    [
        {"sampling_rate_hz": "x"},
        {"sampling_rate_hz": float("inf")},
        {"sampling_rate_hz": None},
        {"files": None},
        {"files": [{"name": "a"}]},
        {"files": [{"name": "a", "n_samples": float("inf")}]},
        {"files": [{"name": "a", "n_samples": -1}, {"name": "b", "n_samples": 101}]},
        {"files": [{"name": "a", "n_samples": 10**30}]},
        {"files": "x"},
        {"kept": [1]},
        {"kept": [[0, 1, 2]]},
        {"kept": [[0, float("inf")]]},
        {"kept": {"a": None}},
    ],
    ids=str,
)
def test_a_document_of_another_shape_is_a_value_error(change):
    document = Timeline(RATE_HZ, (FileSpan("a", 100),), ((0, 100),)).to_json()
    with pytest.raises(ValueError, match=r"shape|recording|unpack|convert|invalid|windows"):
        Timeline.from_json(document | change)
