"""What a person does next about a failure, and how it is told once and not twice.

A check knows more than the failure's row: a stream of digital zeros has an amplifier to look at, no
threshold to lower. Decides words only.
"""

from __future__ import annotations

from collections.abc import Mapping

from spikefleet.core.failures.codes import FAILURES
from spikefleet.core.failures.errors import Failure
from spikefleet.core.findings.catalogue import FINDINGS

_CHECK_RULE = "preflight."
BROKEN_ROOM = "room.error"
_BY_RULE: Mapping[str, str] = {
    BROKEN_ROOM: "Look for the id in the service's log and report it, then retry the run.",
}
_BY_FAILURE: Mapping[str, str] = {str(row.code): row.next_step for row in FAILURES}
_BY_FINDING: Mapping[str, str] = {row.code: row.remediation for row in FINDINGS}


def next_step_of(code: str, rule_id: str = "") -> str:
    """Return the remedy of the check that decided, else that of the failure; "" for neither."""
    finding = rule_id.removeprefix(_CHECK_RULE) if rule_id.startswith(_CHECK_RULE) else ""
    return _BY_RULE.get(rule_id) or _BY_FINDING.get(finding) or _BY_FAILURE.get(code, "")


def next_step_for(failure: Failure) -> str:
    """Return the refusal's own next step, else the deciding check's remedy, else the row's.

    The one who refused has seen the file; a check and a row know its kind only.
    """
    own = failure.evidence.get("next_step")
    return str(own) if own else next_step_of(str(failure.code), failure.rule_id)


def part_advice(message: str, next_step: str) -> tuple[str, str]:
    """Return the message without an ending that says the next step already, and the next step.

    A message that is nothing but advice stays, and the next step goes.
    """
    message = message.strip()
    if not next_step:
        return message, ""
    if message.endswith(next_step):
        told = message.removesuffix(next_step).rstrip()
        return (told, next_step) if told else (message, "")
    told, stop, last = message.removesuffix(".").rpartition(". ")
    if stop and len(last.split()) > 2 and next_step.startswith(last):
        return f"{told}.", next_step
    return message, next_step
