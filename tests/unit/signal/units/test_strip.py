"""A short stretch of a recording, raw and prepared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from spikeinterface.core import BaseRecording, NumpyRecording, NumpySorting

from spikefleet.signal.preparing.timeline import FileSpan, Timeline
from spikefleet.signal.units.strip import Strip, cut_strip

RATE_HZ = 10_000.0


def make_recording(
    n_samples: int, n_channels: int = 20, gain_uv: float = 6.3, seed: int = 0
) -> BaseRecording:
    """Noise codes with a gain, channels in a column 20 µm apart, the highest first."""
    codes = np.random.default_rng(seed).integers(-20, 20, (n_samples, n_channels)).astype(np.int16)
    names = [f"c{i}" for i in range(n_channels)]
    recording = NumpyRecording([codes], RATE_HZ, channel_ids=names)
    recording.set_dummy_probe_from_locations(
        np.array([[0.0, 20.0 * (n_channels - i)] for i in range(n_channels)])
    )
    recording.set_channel_gains(gain_uv)
    recording.set_channel_offsets(0.0)
    return recording


def sorting_at(*samples: int) -> NumpySorting:
    return NumpySorting.from_samples_and_labels(
        [np.array(samples)], [np.zeros(len(samples), int)], RATE_HZ
    )


def test_the_stretch_with_most_spikes_is_shown_at_its_original_place_in_microvolts() -> None:
    raw = make_recording(40_000)
    timeline = Timeline(RATE_HZ, (FileSpan("a", 40_000),), ((10_000, 20_000), (25_000, 35_000)))
    kept = np.concatenate([raw.get_traces()[10_000:20_000], raw.get_traces()[25_000:35_000]])
    prepared = NumpyRecording([kept], RATE_HZ, channel_ids=raw.channel_ids)
    raw.copy_metadata(prepared)
    strip = cut_strip(raw, prepared, timeline, sorting_at(300, 12_100, 12_200, 12_900))
    assert (strip.start_sample, strip.start_s) == (12_000, 2.7)
    assert strip.raw_uv.shape == strip.prepared_uv.shape == (1000, 16)
    column = list(raw.channel_ids).index(strip.channel_ids[0])
    codes = raw.get_traces()[27_000:28_000, column].astype(float) * 6.3
    assert np.allclose(strip.raw_uv[:, 0], codes - np.median(codes))
    assert np.allclose(strip.raw_uv, strip.prepared_uv)
    places = raw.get_channel_locations(channel_ids=list(strip.channel_ids))
    heights = places[:, 1].tolist()
    assert heights == sorted(heights)


def test_a_stretch_never_spans_a_seam_and_a_short_recording_is_shown_whole() -> None:
    raw = make_recording(1_500, n_channels=2)
    files = (FileSpan("a", 700), FileSpan("b", 800))
    joined = Timeline(RATE_HZ, files, ((0, 1_500),))
    with pytest.raises(ValueError, match="long enough"):
        cut_strip(raw, raw, joined, sorting_at(690, 710))
    short = make_recording(300, n_channels=2)
    strip = cut_strip(short, short, Timeline.whole(300, RATE_HZ), sorting_at())
    assert strip.raw_uv.shape == (300, 2)
    assert strip.start_sample == 0


def test_what_was_kept_is_read_back_to_a_tenth_of_a_microvolt() -> None:
    values = np.array([[1.04, -2.0], [np.nan, 1e30]])
    strip = Strip(5, 0.5, RATE_HZ, ("a", "b"), values, values)
    again = Strip.from_json(strip.to_json())
    assert again.raw_uv.tolist() == [[1.0, -2.0], [0.0, 1e8]]
    assert (again.start_sample, again.channel_ids) == (5, ("a", "b"))


@pytest.mark.parametrize(
    "changes",
    [
        {"raw": "none"},
        {"raw": []},
        {"raw": [[1], [2]]},
        {"raw": [[1.5]]},
        {"raw": [[True]]},
        {"raw": [[10**400]]},
        {"raw": [[1, 2]]},
        {"raw": [[]], "prepared": [[]]},
        {"raw": [[1] * 30_000], "prepared": [[1] * 30_000]},
        {"channel_ids": ["a", "b"]},
        {"channel_ids": None},
        {"sampling_rate_hz": 0},
        {"sampling_rate_hz": float("nan")},
        {"start_s": "soon"},
        {"start_sample": -1},
    ],
)
def test_a_document_that_is_no_strip_is_refused(changes: dict[str, Any]) -> None:
    good = Strip(0, 0.0, RATE_HZ, ("a",), np.ones((1, 1)), np.ones((1, 1))).to_json()
    with pytest.raises(ValueError):  # noqa: PT011 - each says it in its own words
        Strip.from_json(good | changes)
