"""The two loops that preparation spends its time in, compiled. Nothing is decided here.

Five second-order sections are unrolled by hand: with the loop over channels innermost and nothing
but arithmetic inside it, the compiler works on several channels at once, which it does not for a
loop over sections. Compiling takes about two seconds, once per installation where a folder for the
compiler's cache is writable.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numba import config, njit
from numpy.typing import NDArray

N_SECTIONS = 5


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    options = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}
    try:
        compiled = njit(cache=True, **options)(function)
    except RuntimeError:  # a read-only installation with no home: compiled again in each process
        compiled = njit(**options)(function)
    return compiled  # type: ignore[no-any-return]


@_compile
def filter_sections(
    work: NDArray[np.float32], sos: NDArray[np.float64], state: NDArray[np.float64], backward: bool
) -> None:
    """Filter samples x channels in place through five sections, forward or backward in time.

    ``sos`` is 5 x 6; ``state`` is 10 x channels, two rows per section, and is used up.
    """
    n_samples, n_channels = work.shape
    b00, b01, b02, a01, a02 = sos[0, 0], sos[0, 1], sos[0, 2], sos[0, 4], sos[0, 5]
    b10, b11, b12, a11, a12 = sos[1, 0], sos[1, 1], sos[1, 2], sos[1, 4], sos[1, 5]
    b20, b21, b22, a21, a22 = sos[2, 0], sos[2, 1], sos[2, 2], sos[2, 4], sos[2, 5]
    b30, b31, b32, a31, a32 = sos[3, 0], sos[3, 1], sos[3, 2], sos[3, 4], sos[3, 5]
    b40, b41, b42, a41, a42 = sos[4, 0], sos[4, 1], sos[4, 2], sos[4, 4], sos[4, 5]
    for index in range(n_samples):
        t = n_samples - 1 - index if backward else index
        for c in range(n_channels):
            x = work[t, c]
            y = b00 * x + state[0, c]
            state[0, c] = b01 * x - a01 * y + state[1, c]
            state[1, c] = b02 * x - a02 * y
            x = y
            y = b10 * x + state[2, c]
            state[2, c] = b11 * x - a11 * y + state[3, c]
            state[3, c] = b12 * x - a12 * y
            x = y
            y = b20 * x + state[4, c]
            state[4, c] = b21 * x - a21 * y + state[5, c]
            state[5, c] = b22 * x - a22 * y
            x = y
            y = b30 * x + state[6, c]
            state[6, c] = b31 * x - a31 * y + state[7, c]
            state[7, c] = b32 * x - a32 * y
            x = y
            y = b40 * x + state[8, c]
            state[8, c] = b41 * x - a41 * y + state[9, c]
            state[9, c] = b42 * x - a42 * y
            work[t, c] = y


@_compile
def encode_int16(
    samples: NDArray[np.float32],
    factor: NDArray[np.float64],
    shift: NDArray[np.float64],
    codes: NDArray[np.int16],
) -> bool:
    """Write ``samples * factor + shift`` into ``codes``, to the nearest, clipped at the rails.

    Returns False when a sample is not a number; its code then means nothing.
    """
    n_samples, n_channels = samples.shape
    spoiled = np.int32(0)
    for t in range(n_samples):
        spoiled_row = np.int32(0)
        for c in range(n_channels):
            code = samples[t, c] * factor[c] + shift[c]
            spoiled_row |= np.int32(code - code != 0.0)  # infinities and NaN, without a branch
            code = 32767.0 if code > 32767.0 else code
            code = -32768.0 if code < -32768.0 else code
            codes[t, c] = np.int32(np.rint(code))
        spoiled |= spoiled_row
    return bool(spoiled == 0)


def keep_kernels(folder: str) -> None:
    """Look for compiled code and keep it in ``folder`` from now on, whatever was said on import.

    "" leaves it to the compiler's default.
    """
    config.CACHE_DIR = folder
    for kernel in (filter_sections, encode_int16):
        with suppress(RuntimeError):  # no writable place: compiled again in each process
            kernel.enable_caching()  # type: ignore[attr-defined]


def compile_now() -> None:
    """Compile both loops, or take them from the compiler's cache, before they are needed.

    A process that confines itself afterwards can no longer write to that cache.
    """
    work, factor = np.zeros((1, 1), np.float32), np.ones(1)
    sections = np.tile([1.0, 0.0, 0.0, 1.0, 0.0, 0.0], (N_SECTIONS, 1))
    filter_sections(work, sections, np.zeros((2 * N_SECTIONS, 1)), False)
    encode_int16(work, factor, factor, np.zeros((1, 1), np.int16))
