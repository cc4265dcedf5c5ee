"""Places in a round at which the controller may die, by name.

Between two of them the outside world does not change twice. A simulation ends the controller at
each of them, or lets another controller act there, and sees whether anything is lost. In service
nobody listens: a place is passed by a call of a function that does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class FailPoint(StrEnum):
    """A place, named after what has just been done."""

    ATTEMPT_INTENDED = "attempt.intended"  # written down, nothing started
    SECRET_KEPT = "attempt.secret_kept"  # its secret is known, nothing started
    ATTEMPT_STARTED = "attempt.started"  # the launcher has it, the records do not say so
    ATTEMPT_JUDGED = "attempt.judged"  # its end is understood, not decided
    DECISION_TAKEN = "decision.taken"  # what follows is decided, not written
    POINTER_SWAPPED = "pointer.swapped"  # the pointer names the result, the records do not
    END_COMMITTED = "end.committed"  # the end and what follows are written
    STAGE_ANSWERED = "stage.answered"  # a room has answered, nothing is written
    STOP_ASKED = "stop.asked"  # a cancelled attempt was told to end
    LEFTOVERS_DROPPED = "leftovers.dropped"  # the launcher has forgotten an ended attempt
    PROBE_BEGUN = "probe.begun"  # a held lane is tried
    LANE_RELEASED = "lane.released"  # a probe has opened a lane


AtPoint = Callable[[FailPoint], None]


def nobody_listens(_point: FailPoint) -> None:
    """Do nothing."""
