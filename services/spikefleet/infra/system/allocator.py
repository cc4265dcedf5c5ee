"""What the C library does with memory that was given back: kept for the next use.

By default glibc returns freed blocks of an upload's size to the kernel at once and asks for them
again with the next message; the kernel then clears every page of them. That is a third of what
receiving a gigabyte costs, or preparing one. Elsewhere than with glibc nothing happens.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
_KEPT_BYTES = 128 << 20
_LARGEST_KEPT_BYTES = 32 << 20  # glibc takes no more


def keep_freed_memory() -> bool:
    """Keep up to 128 MiB of freed memory in this process; False where the C library cannot."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    kept = mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES) and mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    return bool(kept)
