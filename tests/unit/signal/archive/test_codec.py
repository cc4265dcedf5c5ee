"""The codec is chosen by what the signal itself does."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.archives import neural_like

from spikefleet.signal.archive.codec import (
    candidate_codecs,
    choose_codec,
    codec_from_config,
    library_versions,
)


def _size(codec, sample):
    return len(codec.encode(sample))


def test_neural_signals_are_given_to_pcodec_and_shrink_further_than_with_blosc():
    sample = np.ascontiguousarray(neural_like(20_000, 4).T)
    codec = choose_codec(sample)
    assert codec.codec_id == "pcodec"
    assert _size(codec, sample) < 0.95 * _size(candidate_codecs(sample.dtype)[0], sample)


def test_floats_that_are_scaled_integers_are_searched_for_their_step():
    sample = np.ascontiguousarray(neural_like(20_000, 4).T) * np.float32(0.195)
    chosen = choose_codec(sample)
    plain = candidate_codecs(sample.dtype)[1]
    assert _size(chosen, sample) < 0.9 * _size(plain, sample)


def test_a_constant_signal_is_given_to_the_codec_that_costs_least_to_run():
    assert choose_codec(np.zeros((2, 30_000), dtype=np.int16)).codec_id == "blosc"


@pytest.mark.parametrize("dtype", ["u1", "?"])
def test_types_pcodec_does_not_know_are_given_to_blosc(dtype):
    assert choose_codec(np.zeros((2, 100), dtype=dtype)).codec_id == "blosc"


def test_a_codec_comes_back_from_what_an_archive_says_of_it():
    sample = np.ascontiguousarray(neural_like(500, 2).T)
    codecs = candidate_codecs(sample.dtype)
    assert codecs
    for codec in codecs:
        again = codec_from_config(codec.get_config())
        out = np.empty_like(sample)
        again.decode(codec.encode(sample), out=out)
        assert np.array_equal(out, sample)


def test_an_archive_says_which_versions_wrote_it():
    assert set(library_versions()) == {"spikefleet", "numcodecs", "pcodec", "zarr"}
