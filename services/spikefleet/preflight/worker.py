"""Where a worker process enters preflight.

The service hands these functions to its pool; readers and the science stack are imported in the
worker only, so that the service itself starts at once and a crash in a reader ends no service.
"""

from __future__ import annotations

from spikefleet.core.submissions import Recording
from spikefleet.preflight.task import Description, Examination, ExamineTask, PreflightPlaces


def run_description(
    places: PreflightPlaces, recording: Recording, list_members: bool = False
) -> Description:
    """List streams; see ``preflight.describe``."""
    from spikefleet.preflight.describe import (  # noqa: PLC0415 - imported in the worker
        describe_recording,
    )

    return describe_recording(places, recording, list_members=list_members)


def run_examination(places: PreflightPlaces, task: ExamineTask) -> Examination:
    """Examine one stream; see ``preflight.examine``."""
    from spikefleet.preflight.examine import (  # noqa: PLC0415 - imported in the worker
        examine_stream,
    )

    return examine_stream(places, task)
