"""Identities, each of its own type: a run's id is not an attempt's, though both are text.

A word from outside becomes one where it comes in: in ``infra/rpc/convert``, at a door, from a row.
"""

from __future__ import annotations

from typing import NewType

RecordingId = NewType("RecordingId", str)
BatchId = NewType("BatchId", str)
RunId = NewType("RunId", str)
AttemptId = NewType("AttemptId", str)
