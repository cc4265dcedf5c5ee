"""How large an attempt is: memory, scratch and GPU class, from the projection and the retries.

A facility says for every sorter from what to what; the projection of the recording decides the
first size, and what earlier attempts ran out of decides the next. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SizeRange:
    """Sizes of a sorter's attempts in bytes. 0 is not known, and then nothing is asked for.

    ``gpu_classes`` go from the smallest to the largest; a first attempt gets the smallest.
    ``is_gpu_shared``: other pods use the same GPU without walls between them.
    """

    memory_bytes: int = 0
    most_memory_bytes: int = 0
    scratch_bytes: int = 0
    most_scratch_bytes: int = 0
    gpu_classes: tuple[str, ...] = ()
    is_gpu_shared: bool = False


@dataclass(frozen=True)
class SorterMachine:
    """Where a cluster runs a sorter: its sizes, whether it has a GPU, and its cores."""

    sizes: SizeRange
    has_gpu: bool = False
    cpus: int = 1


@dataclass(frozen=True)
class AttemptSize:
    """What one attempt gets, in bytes; 0 is what its machine has. ``gpu_class`` "" is any."""

    memory_bytes: int = 0
    scratch_bytes: int = 0
    gpu_class: str = ""


def attempt_size(
    allowed: SizeRange, estimate: Mapping[str, Any], params: Mapping[str, Any]
) -> AttemptSize:
    """Return what an attempt gets.

    ``estimate`` is preflight's (``memory_bytes``, ``scratch_bytes``), ``params`` the changes that
    retries made. Nothing passes the largest size that is allowed.
    """
    memory = _raised(
        params.get("memory_limit_bytes"), allowed.memory_bytes, estimate.get("memory_bytes")
    )
    scratch = _raised(
        params.get("scratch_bytes"), allowed.scratch_bytes, estimate.get("scratch_bytes")
    )
    return AttemptSize(
        memory_bytes=_capped(memory, allowed.most_memory_bytes),
        scratch_bytes=_capped(scratch, allowed.most_scratch_bytes),
        gpu_class=_gpu_class(allowed, str(params.get("gpu_class") or "")),
    )


def larger_gpu_class(allowed: SizeRange, current: str) -> str:
    """Return the class above ``current`` ("" is the smallest); "" when there is none.

    Above one that the facility no longer names is the smallest of those that it names now.
    """
    names = allowed.gpu_classes
    if current and current not in names:
        return names[0] if names else ""
    here = names.index(current) if current else 0
    return names[here + 1] if here + 1 < len(names) else ""


def _raised(changed: object, least: int, projected: object) -> int:
    """A retry's wish, else the larger of the sorter's size and the projection."""
    if isinstance(changed, int) and changed > 0:
        return changed
    if not least:
        return 0
    return max(least, int(projected) if isinstance(projected, int | float) else 0)


def _capped(n_bytes: int, most: int) -> int:
    return min(n_bytes, most) if most else n_bytes


def _gpu_class(allowed: SizeRange, wanted: str) -> str:
    if wanted in allowed.gpu_classes:
        return wanted
    return allowed.gpu_classes[0] if allowed.gpu_classes else ""
