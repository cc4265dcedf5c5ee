import numpy as np
import pytest
from spikeinterface.core import NumpyRecording

from spikefleet.core.failures.errors import InvalidConfigurationError, NoGoodChannelsError
from spikefleet.signal.measuring.bad_channels import (
    LEFT_OUT,
    choose_left_out,
    detect_bad_channels,
    leave_out,
)
from spikefleet.signal.measuring.truth_told import what_readers_told


@pytest.fixture
def recording():
    samples = np.random.default_rng(3).normal(0, 30, (3000, 6)).astype("float32")
    samples[:, 1] = 7.0
    samples[5, 4] = np.nan
    ids = [f"CH{index + 1}" for index in range(6)]
    made = NumpyRecording([samples], 30_000.0, channel_ids=ids)
    made.set_dummy_probe_from_locations(np.stack([np.zeros(6), 25.0 * np.arange(6)], axis=1))
    return made


def test_flat_channels_and_those_without_numbers_are_detected(recording):
    assert detect_bad_channels(recording) == {"CH2": "never changes", "CH5": "not a number"}


def test_named_and_detected_channels_are_left_out_in_the_order_of_the_recording(recording):
    chosen = choose_left_out(recording, ("detected", "CH5", "CH1"))
    assert chosen == {"CH1": "named", "CH2": "never changes", "CH5": "not a number"}
    left = leave_out(recording, chosen)
    assert [str(channel) for channel in left.channel_ids] == ["CH3", "CH4", "CH6"]
    assert left.get_channel_locations()[:, 1].tolist() == [50.0, 75.0, 125.0]
    assert np.array_equal(left.get_traces(), recording.get_traces()[:, [2, 3, 5]])
    assert left.get_annotation(LEFT_OUT) == chosen
    assert recording.get_num_channels() == 6
    (told,) = [doubt for doubt in what_readers_told(left) if doubt.code == "channels_left_out"]
    assert told.message.startswith("3 of 6 channels are left out: CH1 (named), CH2 (never")


def test_nothing_is_left_out_unasked(recording):
    assert choose_left_out(recording, ()) == {}
    assert leave_out(recording, {}) is recording


def test_a_name_of_no_channel_is_refused_with_the_nearest(recording):
    with pytest.raises(InvalidConfigurationError, match=r"'CH7'.*near it are CH\d") as caught:
        choose_left_out(recording, ("CH7",))
    assert caught.value.field == "recording.bad_channels"


def test_leaving_out_every_channel_is_refused(recording):
    with pytest.raises(NoGoodChannelsError) as caught:
        choose_left_out(recording, tuple(f"CH{index + 1}" for index in range(6)))
    assert (caught.value.total_channels, caught.value.bad_channels) == (6, 6)
