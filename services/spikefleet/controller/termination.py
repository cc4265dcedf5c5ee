"""Reading a termination message: the short form of an outcome, which a dead pod leaves behind.

The runner writes it; whoever reads it trusts nothing: another version, another attempt or a class
that does not fit its exit code is no evidence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from spikefleet.core.failures.codes import BY_EXIT_CODE
from spikefleet.core.failures.errors import Failure
from spikefleet.core.ids import AttemptId
from spikefleet.infra.foreign_documents import bounded, bounded_table

VERSION = 1
_MAX_CHARACTERS = 16_384


def read_termination_message(text: str, attempt_id: AttemptId) -> Failure | None:
    """Return the failure the message tells of this attempt; None when it is no such message."""
    if not text or len(text) > _MAX_CHARACTERS:
        return None
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, Mapping):
        return None
    code, evidence = document.get("code"), document.get("evidence")
    if type(code) is not int or document.get("v") != VERSION:
        return None
    row = BY_EXIT_CODE.get(code)
    if row is None or document.get("class") != row.class_name:
        return None
    if document.get("attempt_id") != attempt_id:
        return None
    return Failure(
        row.code,
        str(bounded(document.get("message")) or row.meaning),
        stage=str(bounded(document.get("stage")) or "sort"),
        rule_id="outside.termination_message",
        evidence=bounded_table(evidence) or {},
    )
