"""The strip of raw traces: a picture is written, of any kind of recording, or refused."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from spikeinterface.core import NumpyRecording

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.reporter.pictures.trace import TraceWindow, draw_trace_picture


def _recording(samples: np.ndarray) -> NumpyRecording:
    return NumpyRecording([samples], 20000.0)


@pytest.mark.parametrize("kind", ["noise", "constant", "nan", "one channel", "short", "unscaled"])
def test_any_recording_can_be_shown(tmp_path: Path, kind: str) -> None:
    samples = np.random.default_rng(0).normal(0, 20, (8000, 6)).astype("float32")
    if kind == "constant":
        samples[:] = 5
    if kind == "nan":
        samples[4000:4100, 2] = np.nan
        samples[:, 3] = np.nan
    if kind == "one channel":
        samples = samples[:, :1]
    if kind == "short":
        samples = samples[:3]
    recording = _recording(samples)
    if kind != "unscaled":
        recording.set_channel_gains(1.0)
        recording.set_channel_offsets(0.0)
    draw_trace_picture(recording, kind, {"2": "not a number"}, tmp_path / "t.png")
    assert image.imread(tmp_path / "t.png").std() > 0.01


def test_many_channels_are_thinned_to_a_readable_number(tmp_path: Path) -> None:
    wide = _recording(np.random.default_rng(0).integers(-50, 50, (4000, 900), dtype="int16"))
    wide.set_channel_gains(1.0)
    wide.set_channel_offsets(0.0)
    draw_trace_picture(wide, "wide", {}, tmp_path / "t.png")
    assert image.imread(tmp_path / "t.png").shape[0] < 2200


def test_a_start_past_the_end_is_refused_by_name(tmp_path: Path) -> None:
    recording = _recording(np.zeros((100, 1), dtype="int16"))
    with pytest.raises(InvalidConfigurationError) as caught:
        draw_trace_picture(recording, "x", {}, tmp_path / "t.png", TraceWindow(start_s=1.0))
    assert caught.value.field == "trace_start"
    assert not (tmp_path / "t.png").exists()
