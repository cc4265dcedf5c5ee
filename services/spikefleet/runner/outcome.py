"""Writes how an attempt ended: ``outcome.json`` and the termination message, whatever happened.

The message is what a container runtime shows of a dead pod, so it stays under 3.5 KiB: evidence is
trimmed, the class and the code never are.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from spikefleet.core.attempts import AttemptOutcome, RunFolder
from spikefleet.core.failures.codes import BY_CODE, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.files import write_json
from spikefleet.core.ids import AttemptId

_log = logging.getLogger(__name__)

MESSAGE_BYTES = 3584
_TEXT_LIMIT = 400
_ROOM_FOR_EVIDENCE = 1024
_FREE_TEXTS = ("message", "attempt_id", "stage")


def exit_code_of(failure: Failure | None) -> int:
    """The runner's exit code for a failure; a cause only outsiders can name ends as unclassified.

    None is success, 0.
    """
    if failure is None:
        return 0
    code = failure.row.exit_code or BY_CODE[FailureCode.UNCLASSIFIED].exit_code
    if code is None:
        raise RuntimeError("the failure table gives unclassified failures no exit code")
    return code


def make_termination_message(outcome: AttemptOutcome) -> bytes:
    """Return the short form of an outcome: JSON of at most ``MESSAGE_BYTES`` bytes."""
    failure = outcome.failure
    document: dict[str, Any] = {
        "v": 1,
        "attempt_id": outcome.attempt_id,
        "class": failure.row.class_name if failure else "",
        "code": outcome.exit_code,
        "category": str(failure.category) if failure else "",
        "stage": failure.stage if failure else "",
        "message": _shorten(failure.message) if failure else "",
        "evidence": {},
        "peaks": {},
    }
    while len(json.dumps(document).encode()) > MESSAGE_BYTES - _ROOM_FOR_EVIDENCE:
        longest = max(_FREE_TEXTS, key=lambda name: len(json.dumps(document[name])))
        document[longest] = document[longest][: len(document[longest]) // 2]
    if failure:
        _add_while_it_fits(document, "evidence", failure.evidence)
    _add_while_it_fits(document, "peaks", outcome.peaks)
    return json.dumps(document, default=str).encode()


def write_outcome(folder: RunFolder, outcome: AttemptOutcome) -> None:
    """Leave both files. A disk that takes neither is logged, since the exit code still speaks."""
    try:
        folder.termination_message.write_bytes(make_termination_message(outcome))
    except OSError as error:
        _log.error("termination_message.not_written", extra={"error": str(error)})
    try:
        write_json(folder.outcome, outcome.to_json())
    except OSError as error:
        _log.error("outcome.not_written", extra={"error": str(error)})


def write_unreadable_spec(folder: RunFolder, error: Exception) -> int:
    """Write the outcome of an attempt whose order cannot be read; return its exit code."""
    failure = Failure(
        FailureCode.UNCLASSIFIED,
        f"The attempt's spec or its artifact store cannot be read: {error}",
        stage="start",
        rule_id="parent_error",
        evidence={"exception_type": type(error).__name__, "path": str(folder.spec)},
    )
    return write_early_end(folder, failure)


def write_early_end(folder: RunFolder, failure: Failure) -> int:
    """Write the outcome of an attempt that never had its order; return its exit code."""
    outcome = AttemptOutcome(AttemptId(folder.root.name), exit_code_of(failure), failure)
    write_outcome(folder, outcome)
    return outcome.exit_code


def _add_while_it_fits(document: dict[str, Any], name: str, values: Mapping[str, Any]) -> None:
    """Add values, smallest first, until the message is full; text is shortened before."""
    kept: dict[str, Any] = document[name]
    for key, value in sorted(values.items(), key=lambda item: len(str(item[1]))):
        kept[key] = _shorten(value) if isinstance(value, str) else value
        if len(json.dumps(document, default=str).encode()) > MESSAGE_BYTES:
            del kept[key]
            return


def _shorten(text: str) -> str:
    return text if len(text) <= _TEXT_LIMIT else text[: _TEXT_LIMIT - 1] + "…"
