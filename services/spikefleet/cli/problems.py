"""What each kind of error means to a shell: one sentence, a next step, an exit code.

With ``--output json`` an error is a document on stdout instead. Loaded only when a command runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from spikefleet.cli.options import ExitCode
from spikefleet.cli.printing import click_line, console, with_next_step
from spikefleet.client.downloads import DamagedCopyError
from spikefleet.client.fetched_folder import FolderTakenError
from spikefleet.client.parcels import SourceChangedError
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure, SpikeSortingClassifiedError
from spikefleet.infra.rpc.errors import ServiceError, ServiceUnreachable

# The service's own trouble; every other refusal is about what was asked for.
_NOT_THE_CALLER = frozenset(
    {
        "INTERNAL",
        "WORKER_DIED",
        "STORAGE_UNAVAILABLE",
        "ARTIFACT_DAMAGED",
        "FILE_DAMAGED",
        "CONFLICT",
        "DEADLINE_EXCEEDED",
        "DISK_FULL",
    }
)
# No more is known of the service than of one that does not answer.
NOT_REACHED = frozenset(
    {
        "ANOTHER_ROOM",
        "CERTIFICATE_NOT_TRUSTED",
        "CERTIFICATE_OF_ANOTHER_HOST",
        "NO_TLS_THERE",
        "NOT_SPIKEFLEET",
        "ROOM_UNREACHABLE",
    }
)


@contextmanager
def explained(ctx: click.Context, *, as_json: bool) -> Iterator[None]:
    """Around a command: turn what it raises into a sentence, a next step and an exit code."""
    say = _Saying(ctx, as_json)
    try:
        yield
    except ServiceError as error:
        say.explain(_of_service(error), _code_of(error))
    except SpikeSortingClassifiedError as error:
        is_submit = ctx.invoked_subcommand == "submit"
        usage = error.code is FailureCode.INVALID_CONFIGURATION
        usage |= is_submit and error.code is FailureCode.INPUT_MISSING
        failure = Failure.from_error(error).to_json()
        if not is_submit:
            again = str(failure["next_step"]).replace("submit again", "run the command again")
            failure = {**failure, "next_step": again}
        say.explain(failure, ExitCode.USAGE if usage else ExitCode.RUN_FAILED)
    except click.UsageError as error:
        if not as_json:
            raise
        say.explain(_error("usage", error.format_message(), _help(error)), ExitCode.USAGE)
    except BrokenPipeError:
        raise  # the reader has left (`| head`); click knows what to do
    except (SourceChangedError, DamagedCopyError, FolderTakenError) as error:
        say.explain(*_of_files(error))
    except (UnicodeEncodeError, OSError) as error:
        say.explain(*_of_system(error))


def _error(code: str, message: str, next_step: str = "") -> dict[str, Any]:
    return {"code": code, "message": message, "next_step": next_step}


def _code_of(error: ServiceError) -> ExitCode:
    if isinstance(error, ServiceUnreachable) or error.reason in NOT_REACHED:
        return ExitCode.UNREACHABLE
    return ExitCode.RUN_FAILED if error.reason in _NOT_THE_CALLER else ExitCode.USAGE


def _of_service(error: ServiceError) -> dict[str, Any]:
    # What follows in brackets is the network stack's own account, of no use at a rig.
    plain = error.reason == "UNREACHABLE" and " (" in error.message
    message = f"{error.message.partition(' (')[0]}." if plain else error.message
    return {
        **_error(error.reason, message, error.next_step),
        "field": error.field,
        "request_id": error.request_id,
    }


def _of_files(error: Exception) -> tuple[dict[str, Any], ExitCode]:
    """A transfer that was refused: for what is at its place, or for what changed on the way."""
    told = _error(type(error).__name__, str(error))
    if isinstance(error, FolderTakenError):
        return {**told, "next_step": error.next_step}, ExitCode.USAGE
    return told, ExitCode.RUN_FAILED


def _of_system(error: OSError | UnicodeEncodeError) -> tuple[dict[str, Any], ExitCode]:
    """The machine's refusal in words; its own sentences (a port that is taken) pass as they are."""
    if isinstance(error, UnicodeEncodeError):
        return _of_no_text(error), ExitCode.USAGE
    if error.strerror is None or error.filename is None:
        return _error(type(error).__name__, str(error)), ExitCode.RUN_FAILED
    return _error(
        type(error).__name__,
        f"{error.filename}: {error.strerror}.",
        "Check the path, its permissions and the room on the disk, then run the command again.",
    ), ExitCode.RUN_FAILED


def _of_no_text(error: UnicodeEncodeError) -> dict[str, Any]:
    """A name of a file or an argument that holds bytes of another encoding."""
    return _error(
        "usage",
        f"{error.object[:200]!r} is not text in UTF-8, and nothing can be called so.",
        "Rename the file, or write the argument in UTF-8, then run the command again.",
    )


def _help(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "spikefleet"
    return f"See `{path} --help`."


class _Saying:
    """Tells an error to a person or a program, and leaves."""

    def __init__(self, ctx: click.Context, as_json: bool) -> None:
        self._ctx, self._as_json = ctx, as_json

    def explain(self, error: dict[str, Any], code: ExitCode) -> None:
        """Tell the error and leave. ``error`` has at least code, message and next_step."""
        if self._as_json:
            click_line(json.dumps({"error": {**error, "exit_code": int(code)}}, default=str))
        else:
            text = with_next_step(str(error["message"]), str(error["next_step"]), "bold red")
            console(stderr=True).print(text, soft_wrap=True)
        self._ctx.exit(int(code))
