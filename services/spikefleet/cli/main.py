"""The command table, and what each kind of error means to a shell.

Exit codes: 0 done, 1 a run failed, 2 wrong usage, 3 service unreachable. Every error is one
sentence and a next step on stderr; with ``--output json`` it is a document on stdout instead.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import click

from spikefleet.cli.archive import archive, restore, verify
from spikefleet.cli.demo import demo
from spikefleet.cli.doctor import doctor
from spikefleet.cli.inspect import inspect, simulate
from spikefleet.cli.jobs import COMMANDS
from spikefleet.cli.options import ExitCode
from spikefleet.cli.printing import click_line, console, with_next_step
from spikefleet.cli.results import fetch, report
from spikefleet.cli.serve import serve
from spikefleet.cli.submit import submit
from spikefleet.client.downloads import DamagedCopyError
from spikefleet.client.uploads import SourceChangedError
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
_JSON = "spikefleet.output_is_json"
_WHOLE_SENTENCE = 500  # characters; no first sentence is longer


class CommandTable(click.Group):
    """Commands whose errors end in the four exit codes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Remember early whether a program is reading: a usage error comes before any option."""
        ctx.meta[_JSON] = _asks_for_json(args)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order a person meets them, not in the alphabet's."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say of each verb its whole first sentence; a sentence that breaks off says nothing."""
        rows = [
            (name, command.get_short_help_str(limit=_WHOLE_SENTENCE))
            for name, command in self.commands.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn what it raises into a sentence, a next step and a code."""
        try:
            return super().invoke(ctx)
        except ServiceUnreachable as error:
            _explain(ctx, _of_service(error), ExitCode.UNREACHABLE)
        except ServiceError as error:
            ours = error.reason in _NOT_THE_CALLER
            _explain(ctx, _of_service(error), ExitCode.RUN_FAILED if ours else ExitCode.USAGE)
        except SpikeSortingClassifiedError as error:
            usage = error.code is FailureCode.INVALID_CONFIGURATION
            failure = Failure.from_error(error).to_json()
            if ctx.invoked_subcommand != "submit":
                again = str(failure["next_step"]).replace("submit again", "run the command again")
                failure = {**failure, "next_step": again}
            _explain(ctx, failure, ExitCode.USAGE if usage else ExitCode.RUN_FAILED)
        except click.UsageError as error:
            if not ctx.meta[_JSON]:
                raise
            _explain(ctx, _error("usage", error.format_message(), _help(error)), ExitCode.USAGE)
        except BrokenPipeError:
            raise  # the reader has left (`| head`); click knows what to do
        except (SourceChangedError, DamagedCopyError) as error:
            _explain(ctx, _error(type(error).__name__, str(error)), ExitCode.RUN_FAILED)
        except OSError as error:
            _explain(ctx, _of_system(error), ExitCode.RUN_FAILED)


def _asks_for_json(args: Sequence[str]) -> bool:
    pairs = zip(args, [*args[1:], ""], strict=True)
    return "--output=json" in args or ("--output", "json") in pairs


def _error(code: str, message: str, next_step: str = "") -> dict[str, Any]:
    return {"code": code, "message": message, "next_step": next_step}


def _of_service(error: ServiceError) -> dict[str, Any]:
    # What follows in brackets is the network stack's own account, of no use at a rig.
    plain = error.reason == "UNREACHABLE" and " (" in error.message
    message = f"{error.message.partition(' (')[0]}." if plain else error.message
    return {
        **_error(error.reason, message, error.next_step),
        "field": error.field,
        "request_id": error.request_id,
    }


def _of_system(error: OSError) -> dict[str, Any]:
    """The machine's refusal in words; its own sentences (a port that is taken) pass as they are."""
    if error.strerror is None or error.filename is None:
        return _error(type(error).__name__, str(error))
    return _error(
        type(error).__name__,
        f"{error.filename}: {error.strerror}.",
        "Check the path, its permissions and the room on the disk, then run the command again.",
    )


def _help(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "spikefleet"
    return f"See `{path} --help`."


def _explain(ctx: click.Context, error: dict[str, Any], code: ExitCode) -> None:
    """Tell the error and leave. ``error`` has at least code, message and next_step."""
    if ctx.meta[_JSON]:
        click_line(json.dumps({"error": {**error, "exit_code": int(code)}}, default=str))
    else:
        text = with_next_step(str(error["message"]), str(error["next_step"]), "bold red")
        console(stderr=True).print(text, soft_wrap=True)
    ctx.exit(int(code))


@click.group(cls=CommandTable, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("spikefleet"), prog_name="spikefleet")
def cli() -> None:
    """Sort recordings, unattended, and always say why.

    Exit codes: 0 done, 1 a run failed, 2 wrong usage, 3 service unreachable.
    """


for _command in (
    serve,
    submit,
    *COMMANDS,
    fetch,
    report,
    inspect,
    simulate,
    doctor,
    demo,
    archive,
    verify,
    restore,
):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the ``spikefleet`` command."""
    cli(args=None if arguments is None else list(arguments), prog_name="spikefleet")


if __name__ == "__main__":
    main()
