"""Each proof that there is more than noise, alone; and that none comes of noise."""

from dataclasses import replace

import numpy as np
import pytest

from spikefleet.signal.measuring.activity import (
    CrossingCounter,
    gaussian_rate_hz,
    largest_count_of_noise,
    tally,
)
from spikefleet.signal.measuring.spikes_in_noise import Crossings, count_crossings

RATE_HZ = 20_000.0
N = 64


def stretch(seconds=300.0, **changes):
    none = np.zeros(N, dtype=np.int64)
    empty = Crossings(
        noise_uv=np.full(N, 5.0),
        negative=none,
        positive=none,
        moments=none,
        large=none,
        low=np.zeros((2, N), dtype=np.int64),
        n_moments=0,
        n_low=(0, 0),
        moving=np.ones(N, dtype=np.bool_),
        seconds=seconds,
        artifact_s=0.0,
    )
    return replace(empty, **changes)


def on_one(value, shape=N):
    counts = np.zeros(shape, dtype=np.int64)
    counts[..., 7] = value
    return counts


def test_what_noise_gives_proves_nothing():
    assert tally([stretch()], RATE_HZ).noise_explains_it
    due = round(2 * gaussian_rate_hz(RATE_HZ) * N * 300)
    assert tally([stretch(n_moments=due)], RATE_HZ).noise_explains_it


def test_crossings_altogether_prove_a_busy_recording():
    found = tally([stretch(n_moments=200)], RATE_HZ)
    assert (found.proof, found.proof_channel) == ("crossings", None)


@pytest.mark.parametrize(("count", "proof"), [(2, ""), (8, "channel")])
def test_a_few_crossings_on_one_channel_prove_a_sparse_recording(count, proof):
    found = tally([stretch(moments=on_one(count), n_moments=count)], RATE_HZ)
    assert found.proof == proof
    assert found.proof_channel == (7 if proof else None)


def test_three_very_large_ones_are_enough():
    found = tally([stretch(moments=on_one(3), large=on_one(3), n_moments=3)], RATE_HZ)
    assert (found.proof, found.proof_channel) == ("channel", 7)


@pytest.mark.parametrize(
    ("down", "up", "proof"),
    [(60, 55, ""), (30, 4, ""), (120, 30, "skewed_channel"), (30, 120, "skewed_channel")],
)
def test_many_more_of_one_sign_prove_small_spikes(down, up, proof):
    low = np.stack([on_one(down), on_one(up)])
    assert tally([stretch(low=low)], RATE_HZ).proof == proof


def test_small_spikes_spread_over_channels_are_found_together():
    assert tally([stretch(n_low=(900, 600))], RATE_HZ).proof == "skewed"
    assert tally([stretch(n_low=(660, 600))], RATE_HZ).proof == ""


def test_channels_left_out_prove_nothing():
    counter = CrossingCounter(N, RATE_HZ)
    counter.add(stretch(moments=on_one(500), n_moments=500))
    left_out = np.zeros(N, dtype=np.bool_)
    left_out[7] = True
    assert counter.tally(left_out).noise_explains_it
    assert not counter.tally().noise_explains_it
    assert counter.tally(np.ones(N, dtype=np.bool_)).noise_explains_it


def test_stretches_add_up():
    found = tally([stretch(100.0), stretch(50.0, artifact_s=0.5)], RATE_HZ)
    assert found.channel_seconds == 150.0 * N
    assert found.artifact_s == 0.5


def test_noise_crosses_less_often_than_the_theory_allows():
    rng = np.random.default_rng(3)
    samples = rng.standard_normal((400_000, 16), dtype=np.float32)
    found = count_crossings(samples, RATE_HZ, np.zeros(16))
    expected = gaussian_rate_hz(RATE_HZ, 4.5) * found.channel_seconds
    # Samples miss the tops of peaks, and the filter's band has soft edges.
    assert 0.2 * expected < found.low[0].sum() < expected
    assert 0.2 * expected < found.low[1].sum() < expected


def test_the_most_that_noise_may_show_grows_with_what_is_due():
    assert largest_count_of_noise(0.0) == 0
    assert 30 < largest_count_of_noise(10.0) < 60
