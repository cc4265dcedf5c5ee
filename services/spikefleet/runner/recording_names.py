"""A recording's own names in what a sorter said: they prove nothing of the machine.

Whoever submits a recording chooses what its files, folders and streams are called, and a log or an
exception repeats it. A verdict that would hold others up must stand without those words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from spikefleet.core.attempts import AttemptSpec
from spikefleet.core.failures.classify import Evidence

_SHORTEST = 6  # a shorter name holds no words that a rule looks for


def without_names(evidence: Evidence, spec: AttemptSpec) -> Evidence:
    """Return the evidence with every name of the recording taken out of its texts."""
    names = recording_names(spec)
    return replace(
        evidence,
        child_failure=_document_without(evidence.child_failure, names),
        log_tail=_text_without(evidence.log_tail, names),
        log_head=_text_without(evidence.log_head, names),
        log_scan=_text_without(evidence.log_scan, names),
    )


def recording_names(spec: AttemptSpec) -> tuple[str, ...]:
    """Return the names that a submitter chose, whole paths and their parts, the longest first."""
    places = [spec.recording, spec.stream, *(part.path for part in spec.parts)]
    for file in spec.inputs:
        places += [file.path, file.source]
    found = {part for place in places for part in (place, *PurePath(place).parts)}
    return tuple(sorted((name for name in found if len(name) >= _SHORTEST), key=len, reverse=True))


def _text_without(text: str, names: Iterable[str]) -> str:
    for name in names:
        text = text.replace(name, "")
    return text


def _document_without(document: Any, names: tuple[str, ...]) -> Any:
    """The document with the names gone from every text, as JSON writes them."""
    if document is None:
        return None
    written = [json.dumps(name, ensure_ascii=False)[1:-1] for name in names]
    return json.loads(_text_without(json.dumps(document, ensure_ascii=False), written))
