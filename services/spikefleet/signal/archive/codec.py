"""Which codec a signal is archived with: tried on a second of the signal itself.

The candidates come from a measured table (docs/performance.md): pcodec takes neural signals
furthest and decodes fast; Blosc-zstd with bit shuffling is ten times cheaper where it does as well
(constant and digital channels) and knows the types pcodec does not. Never lossy.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numcodecs
import numpy as np
from numcodecs import Blosc
from numcodecs.abc import Codec
from numcodecs.pcodec import PCodec
from numpy.typing import NDArray

LEVEL = 8
# A cheaper codec is taken when it costs no more than this much space: in parts of the smallest
# candidate, and of the raw samples (a constant is small in any codec).
TOLERATED_GROWTH = 0.01
TOLERATED_OF_RAW = 0.005
_PCODEC_TYPES = frozenset({"u2", "u4", "u8", "i2", "i4", "i8", "f4", "f8"})


def candidate_codecs(dtype: np.dtype[Any]) -> tuple[Codec, ...]:
    """Return the codecs to try on samples of ``dtype``, the cheapest to run first.

    pcodec is offered plain (a first difference, the right model for amplifier noise) and with its
    own search, which finds floats that are scaled integers, and smoother signals.
    """
    blosc = Blosc(cname="zstd", clevel=5, shuffle=Blosc.BITSHUFFLE)
    if dtype.str[1:] not in _PCODEC_TYPES:
        return (blosc,)
    plain = PCodec(LEVEL, mode_spec="classic", delta_spec="try_consecutive", delta_encoding_order=1)
    return (blosc, plain, PCodec(LEVEL))


def choose_codec(sample: NDArray[Any]) -> Codec:
    """Return the codec for a signal, tried on ``sample``: channels x samples, C order."""
    codecs = candidate_codecs(sample.dtype)
    if len(codecs) == 1 or sample.size == 0:
        return codecs[0]
    sizes_bytes = [len(codec.encode(sample)) for codec in codecs]
    tolerated_bytes = max(min(sizes_bytes) * TOLERATED_GROWTH, sample.nbytes * TOLERATED_OF_RAW)
    limit_bytes = min(sizes_bytes) + tolerated_bytes
    return next(
        codec
        for codec, size_bytes in zip(codecs, sizes_bytes, strict=True)
        if size_bytes <= limit_bytes
    )


def codec_from_config(config: dict[str, Any]) -> Codec:
    """Return the codec an archive names. Raises ValueError when this installation lacks it."""
    return numcodecs.get_codec(dict(config))


def library_versions() -> dict[str, str]:
    """Return what wrote an archive: an old decoder can be installed again from this."""
    return {name: version(name) for name in ("spikefleet", "numcodecs", "pcodec", "zarr")}
