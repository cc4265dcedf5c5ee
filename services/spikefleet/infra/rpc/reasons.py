"""The table of reasons: stable name, gRPC code and next step.

A reason is part of the API: never renamed. Our exceptions name their reason themselves
(``refusal``, a key of this table); those of other libraries are named here by their path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import grpc

Code = grpc.StatusCode


@dataclass(frozen=True)
class Reason:
    """One line of the table. ``exceptions`` are paths of other libraries' classes that mean it.

    ``retry_after_s`` is sent as RetryInfo; ``resource`` names the kind of thing not found.
    """

    code: grpc.StatusCode
    next_step: str
    exceptions: tuple[str, ...] = ()
    retry_after_s: float | None = None
    resource: str = ""


REASONS: Mapping[str, Reason] = MappingProxyType(
    {
        "INVALID_ARGUMENT": Reason(
            Code.INVALID_ARGUMENT,
            "Correct the named field and call again.",
            ("pydantic_core._pydantic_core.ValidationError",),
        ),
        "TOO_LARGE": Reason(Code.INVALID_ARGUMENT, "Say less in the named field and call again."),
        "INVALID_PAGE_TOKEN": Reason(
            Code.INVALID_ARGUMENT,
            "Use the token of the previous page as it came, or none.",
        ),
        "INVALID_CONFIGURATION": Reason(
            Code.INVALID_ARGUMENT,
            "Correct the named parameter and submit again.",
        ),
        "UNKNOWN_STREAM": Reason(
            Code.INVALID_ARGUMENT, "Choose one of the streams the message lists."
        ),
        "RECORDINGS_DIFFER": Reason(
            Code.INVALID_ARGUMENT, "Sort them apart, or submit only files that belong together."
        ),
        "ROOMS_ONLY": Reason(
            Code.PERMISSION_DENIED,
            "Use the command line or SortingClient; they make the calls that are for people.",
        ),
        "OPERATORS_ONLY": Reason(
            Code.PERMISSION_DENIED,
            "Ask the user who runs the service, or call as that user on its machine.",
        ),
        "NOT_YOURS": Reason(
            Code.PERMISSION_DENIED,
            "Ask the one who submitted it, or the user who runs the service.",
        ),
        "NOT_THE_ATTEMPT": Reason(
            Code.PERMISSION_DENIED,
            "Nothing to do: only the process that the service started for it may say this.",
        ),
        "RUN_NOT_FOUND": Reason(
            Code.NOT_FOUND,
            "List the runs to see their ids.",
            resource="run",
        ),
        "BATCH_NOT_FOUND": Reason(
            Code.NOT_FOUND,
            "`spikefleet status RUN` shows the batch of a run.",
            resource="batch",
        ),
        "RECORDING_NOT_FOUND": Reason(
            Code.NOT_FOUND,
            "Upload or register the recording first.",
            resource="recording",
        ),
        "UPLOAD_NOT_FOUND": Reason(
            Code.NOT_FOUND,
            "Open a new upload and send the files again.",
            resource="upload",
        ),
        "REPORT_NOT_FOUND": Reason(
            Code.NOT_FOUND,
            "Wait until the run has ended; its report is made then.",
            resource="report",
        ),
        "ARTIFACT_NOT_FOUND": Reason(
            Code.NOT_FOUND,
            "List the run's artifacts to see which exist.",
            resource="artifact",
        ),
        "ANOTHER_ROOM": Reason(
            Code.UNIMPLEMENTED,
            "Call that room's address, or the entrance of the service, behind which every room "
            "answers (--address).",
        ),
        "LOG_NOT_FOUND": Reason(
            Code.NOT_FOUND,
            "Look at the run's attempts: spikefleet status RUN.",
            resource="log",
        ),
        "CURATION_NOT_FOUND": Reason(
            Code.NOT_FOUND,
            "List the run's curations: spikefleet curations RUN.",
            resource="curation",
        ),
        "CURATION_NAME_TAKEN": Reason(
            Code.ALREADY_EXISTS, "Name it otherwise (--name), or leave the name out."
        ),
        "CURATION_OUTDATED": Reason(
            Code.FAILED_PRECONDITION, "Curate the run again with the same settings."
        ),
        "SOURCE_CHANGED": Reason(
            Code.FAILED_PRECONDITION, "Wait until the recording is complete, then submit it again."
        ),
        "PATH_NOT_VISIBLE": Reason(
            Code.FAILED_PRECONDITION, "Upload the recording instead of registering it in place."
        ),
        "PATH_NOT_ALLOWED": Reason(
            Code.PERMISSION_DENIED,
            "Upload the recording (submit --upload), or ask the operator to declare its folder "
            "(serve --recording-root).",
        ),
        "PATH_REFUSED": Reason(
            Code.FAILED_PRECONDITION,
            "Name the folder or file in which the recording's own bytes are, or upload it.",
        ),
        "ILLEGAL_MOVE": Reason(
            Code.FAILED_PRECONDITION,
            "Look at the run's state; it allows other moves.",
        ),
        "RUN_NOT_ENDED": Reason(
            Code.FAILED_PRECONDITION,
            "Wait until it has ended, or cancel it.",
        ),
        "RUN_HAS_RESULT": Reason(
            Code.FAILED_PRECONDITION,
            "Say --force to sort it again; the result stays until a new one is complete. With "
            "other parameters (--set) it becomes another run.",
        ),
        "STAGE_NOT_REACHED": Reason(
            Code.FAILED_PRECONDITION,
            "Retry it from an earlier stage.",
        ),
        "ATTEMPT_NOT_FOUND": Reason(
            Code.NOT_FOUND,
            "Get the run to see its attempts.",
            resource="attempt",
        ),
        "UPLOAD_CLOSED": Reason(
            Code.FAILED_PRECONDITION,
            "Open a new upload.",
        ),
        "DISK_FULL": Reason(
            Code.RESOURCE_EXHAUSTED,
            "Make room on the service's disk, then submit again; what has arrived is kept.",
        ),
        "UPLOAD_CONFLICT": Reason(
            Code.ALREADY_EXISTS,
            "Use a new idempotency key for other files.",
        ),
        "UPLOAD_INCOMPLETE": Reason(
            Code.FAILED_PRECONDITION, "Ask for the upload's parts and send those that are missing."
        ),
        "PART_DAMAGED": Reason(Code.ABORTED, "Send the part again."),
        "FILE_DAMAGED": Reason(Code.DATA_LOSS, "Keep the source and upload the file again."),
        "ARTIFACT_DAMAGED": Reason(
            Code.DATA_LOSS,
            "Check the artifact store's disk; the run can be sorted again.",
        ),
        "ARTIFACT_EXISTS": Reason(
            Code.ALREADY_EXISTS,
            "Ask for a new run; results are written once.",
        ),
        "CONFLICT": Reason(
            Code.ABORTED,
            "Call again: somebody else changed the run at the same time.",
            retry_after_s=0.2,
        ),
        "SORT_FAILURE": Reason(
            Code.FAILED_PRECONDITION,
            "Read the failure's next step.",
        ),
        "STORAGE_UNAVAILABLE": Reason(
            Code.UNAVAILABLE,
            "Call again in a moment; if it stays away, tell who runs the service.",
            retry_after_s=5.0,
        ),
        "SERVICE_BUSY": Reason(
            Code.RESOURCE_EXHAUSTED,
            "Call again in a moment, with fewer calls at once.",
            retry_after_s=2.0,
        ),
        "TOO_MANY_UPLOADS": Reason(
            Code.RESOURCE_EXHAUSTED,
            "Finish the open ones by sending their recordings again; those left alone end by "
            "themselves.",
        ),
        "UPLOAD_STALLED": Reason(
            Code.DEADLINE_EXCEEDED,
            "Send the part again; what was acknowledged is kept.",
        ),
        "SERVICE_DRAINING": Reason(
            Code.UNAVAILABLE,
            "Call again in a moment; the service is restarting.",
            retry_after_s=1.0,
        ),
        "CONTROLLER_REPLACED": Reason(
            Code.UNAVAILABLE,
            "Call again in a moment; another controller has taken over and this one is ending.",
            retry_after_s=2.0,
        ),
        "LAUNCHER_UNREACHABLE": Reason(
            Code.UNAVAILABLE,
            "Call again in a moment; running sorts continue.",
            retry_after_s=5.0,
        ),
        "ROOM_SECRET_DIFFERS": Reason(
            Code.FAILED_PRECONDITION,
            "Ask who runs the service: all its rooms must be given the same room_secret_file.",
        ),
        "ROOM_UNREACHABLE": Reason(
            Code.UNAVAILABLE,
            "Call again in a moment; if it stays away, tell who runs the service.",
            retry_after_s=1.0,
        ),
        "DEADLINE_EXCEEDED": Reason(
            Code.DEADLINE_EXCEEDED, "Call again with a longer deadline.", ("builtins.TimeoutError",)
        ),
        "WORKER_DIED": Reason(
            Code.INTERNAL,
            "Look for an out-of-memory kill in the system's log, then call again.",
        ),
        "INTERNAL": Reason(
            Code.INTERNAL, "Report the id; the service's log holds the details under it."
        ),
    }
)
