"""What a classification rule is. Rules are data; how they are tried is decided in ``classify``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.failures.evidence import JsonValue

# The verdict on a mistake of our own code, which no measurement of the recording changes.
OUR_MISTAKE = "ours.mistake"


class Source(IntEnum):
    """What a rule looks at, in the order the rules are tried."""

    TYPE = 1  # the exception's type (and errno)
    FRAME = 2  # the innermost frame inside the sorter
    MESSAGE = 3  # the text of the exception
    LOG = 4  # the end of the log


@dataclass(frozen=True)
class Evidence:
    """Everything known of an attempt's end.

    ``log_tail`` and ``log_head`` are the ends of the child's log, already cut to a bounded size;
    ``log_scan`` holds the telling lines between them and ``log_unread_bytes`` says how much of the
    log nobody looked at. ``child_failure`` is the child's own document; ``oom_kill_delta`` counts
    kernel kills for memory during the attempt, None where the kernel does not tell; ``trip`` is the
    guard that stopped it; ``interrupted`` means that it was told to stop. ``preflight`` holds
    measurements of the recording and may be empty; the names understood are those of
    ``rules.measured``.
    """

    backend: str  #: the sorter's name
    step: str = ""  #: load, sort or analyze
    exit_code: int | None = None  #: of the child
    signal: int | None = None  #: that ended it
    child_failure: Mapping[str, Any] | None = None
    log_tail: str = ""
    log_head: str = ""
    log_scan: str = ""
    log_unread_bytes: int = 0
    oom_kill_delta: int | None = None
    trip: Failure | None = None
    interrupted: bool = False
    preflight: Mapping[str, Any] = field(default_factory=dict)
    wall_s: float = 0.0  #: how long it ran


@dataclass(frozen=True)
class Rule:
    """One known failure.

    All conditions given must hold: ``sorter`` (names, empty = every sorter), ``exception`` (regex
    on ``module.Type``), ``errno``, ``frame`` (regex on ``package/file.py:function``), ``pattern``
    (regex on the text; for LOG rules on single lines), ``step``; and ``unless`` must not match.
    Named groups of ``pattern`` become evidence, as numbers where they are numbers; a group ending
    in ``_size`` ("2.00 GiB") becomes ``_bytes``. Lower ``priority`` is tried first. ``example`` is
    a real text the rule must match; a test holds every rule to it.

    ``only_at_the_end``: a common exception that programs often get over, so it explains an end only
    where nothing in the same chain says more.

    LOG rules only: ``marks`` are literal texts, one of which a line must hold to be looked at (that
    is what makes a long log cheap); ``last_lines`` bounds how far from the end the line may be, as
    long as anything else explains the end; ``beside_exception`` lets it speak although an exception
    is known, as the sorters do that report in their log and only then fail.
    """

    rule_id: str  #: stable name, written into every decision
    source: Source  #: what it looks at
    code: FailureCode  #: the row it leads to
    message: str  #: what a person is told
    example: str
    sorter: tuple[str, ...] = ()
    exception: str = ""
    errno: tuple[int, ...] = ()
    frame: str = ""
    pattern: str = ""
    unless: str = ""
    step: str = ""
    priority: int = 50
    #: what is known besides, whatever the text says
    evidence: Mapping[str, JsonValue] = field(default_factory=dict)
    example_type: str = ""  #: the example's exception
    example_frame: str = ""  #: and its frame
    marks: tuple[str, ...] = ()
    last_lines: int = 0
    beside_exception: bool = False
    only_at_the_end: bool = False


_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_SIZE = re.compile(r"(?P<number>[\d.]+)\s*(?P<unit>[kmgt]?)i?(?:b|bytes)?", re.IGNORECASE)


def extract(groups: Mapping[str, str | None]) -> dict[str, JsonValue]:
    """Turn a match's named groups into evidence: numbers as numbers, sizes as bytes."""
    found: dict[str, JsonValue] = {}
    for name, text in groups.items():
        if text is None:
            continue
        size = _SIZE.fullmatch(text.strip()) if name.endswith("_size") else None
        if size:
            amount = float(size["number"]) * _UNITS[size["unit"].lower()]
            found[f"{name.removesuffix('_size')}_bytes"] = int(amount)
        elif re.fullmatch(r"-?\d+", text):
            found[name] = int(text)
        elif re.fullmatch(r"-?\d+\.\d+", text):
            found[name] = float(text)
        else:
            found[name] = text[:200]
    return found
