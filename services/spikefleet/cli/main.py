"""The command table. A command's module is imported when it is asked for, not before.

Exit codes: 0 done, 1 a run failed, 2 wrong usage, 3 service unreachable; what leads to which stands
in ``problems``. ``--help`` and ``--version`` load nothing but this table.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import version
from typing import Any

import click

_JSON = "spikefleet.output_is_json"
_OWN_PROCESS = "spikefleet.own_process"
_PROBLEMS = "spikefleet.cli.problems"
_CONFINED = "spikefleet.cli.confined"
_SETTINGS = "spikefleet.deploy.settings"

# Verb: module and name of its command, its whole first sentence. In the order a person meets them.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "serve": (
        "spikefleet.cli.serve:serve",
        "Run the service on this machine.",
    ),
    "submit": (
        "spikefleet.cli.submit:submit",
        "Have the recordings at PATHS sorted, one run per stream.",
    ),
    "list": (
        "spikefleet.cli.runs:list_runs",
        "List runs, newest first.",
    ),
    "status": (
        "spikefleet.cli.runs:status",
        "Tell where runs stand; of one run also what was tried, what was decided and why.",
    ),
    "watch": (
        "spikefleet.cli.runs:watch",
        "Follow runs until they end.",
    ),
    "logs": (
        "spikefleet.cli.logs:logs",
        "Print what the sorter of a run has written; of your own runs only.",
    ),
    "cancel": (
        "spikefleet.cli.runs:cancel",
        "Stop runs.",
    ),
    "retry": (
        "spikefleet.cli.runs:retry",
        "Start ended runs again; with --set they become new runs with those parameters.",
    ),
    "curate": (
        "spikefleet.cli.curations:curate",
        "Curate a run's stored sort again with other settings, beside its own curation.",
    ),
    "curations": (
        "spikefleet.cli.curations:curations",
        "List the curations of a run; with --choose NAME have that one given out.",
    ),
    "holds": (
        "spikefleet.cli.holds:holds",
        "List lanes on hold: what waits for an operator, and why.",
    ),
    "release": (
        "spikefleet.cli.holds:release",
        "Open a lane again after its environment was repaired; its runs continue.",
    ),
    "fetch": (
        "spikefleet.cli.results:fetch",
        "Copy runs' files to a folder, each verified; of several runs to a folder for each in it.",
    ),
    "report": (
        "spikefleet.cli.results:report",
        "Copy runs' reports to a folder, as fetch does, and say where the pages are.",
    ),
    "overview": (
        "spikefleet.cli.overview:overview",
        "Show several runs (a plate, a session, a night) on one page, what failed first.",
    ),
    "compare": (
        "spikefleet.cli.compare:compare",
        "Say how far two sortings of one recording agree, unit by unit.",
    ),
    "consensus": (
        "spikefleet.cli.consensus:consensus",
        "Join sorts of one recording into the units they agree on, as a curation of the first run.",
    ),
    "sorters": (
        "spikefleet.cli.catalogues:sorters",
        "List the sorters and whether the service offers them; with a NAME its own parameters.",
    ),
    "presets": (
        "spikefleet.cli.catalogues:presets",
        "List the presets; with a NAME list the settings it begins with.",
    ),
    "settings": (
        "spikefleet.cli.catalogues:settings",
        "List the settings of a sort whose name or meaning holds NAME; without one, all.",
    ),
    "inspect": (
        "spikefleet.cli.inspect:inspect",
        "Say what the recording at PATH holds and what is doubtful about it.",
    ),
    "simulate": (
        "spikefleet.cli.inspect:simulate",
        "Write a recording with known spikes to PATH, in a real file format.",
    ),
    "doctor": (
        "spikefleet.cli.doctor:doctor",
        "Look at this machine: Python, sorters, GPU, memory, disk.",
    ),
    "demo": (
        "spikefleet.cli.demo:demo",
        "Simulate a recording, sort it, and compare with the known spikes.",
    ),
    "archive": (
        "spikefleet.cli.archive:archive",
        "Write a lossless archive of the recording at PATH to the new folder OUT.",
    ),
    "verify": (
        "spikefleet.cli.archive:verify",
        "Read all of ARCHIVE back and name everything that is not as it was archived.",
    ),
    "restore": (
        "spikefleet.cli.archive:restore",
        "Write the files ARCHIVE was made of to the new folder OUT, byte for byte.",
    ),
    "completion": (
        "spikefleet.cli.completion:completion",
        "Print the script that completes commands and options in SHELL.",
    ),
}
_FIRST = """Three commands to begin with:

  spikefleet serve                    start the service on this machine
  spikefleet submit RECORDING --watch hand in a recording and follow it
  spikefleet list                     what there is, and where it stands
"""


class CommandTable(click.Group):
    """Commands whose errors end in the four exit codes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Remember early whether a program is reading: a usage error comes before any option."""
        args = _behind_the_command(args)
        ctx.meta[_JSON] = _asks_for_json(args)
        ctx.meta[_OWN_PROCESS] = bool(ctx.obj)
        if not args and not ctx.resilient_parsing:
            click.echo(f"{ctx.get_help()}\n\n{_FIRST}", nl=False)
            ctx.exit()
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order a person meets them, not in the alphabet's."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a verb and return its command."""
        if cmd_name not in COMMANDS:
            near = get_close_matches(cmd_name, COMMANDS, n=1)
            if near and not ctx.resilient_parsing:
                ctx.fail(f"there is no command {cmd_name!r}; did you mean {near[0]!r}?")
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say of each verb its whole first sentence; a sentence that breaks off says nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn what it raises into a sentence, a next step and a code."""
        if ctx.meta.get(_OWN_PROCESS):
            importlib.import_module(_SETTINGS).quiet_grpc()
            importlib.import_module(_CONFINED).own_process()
        problems = importlib.import_module(_PROBLEMS)
        try:
            with problems.explained(ctx, as_json=ctx.meta[_JSON]):
                return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(int(problems.ExitCode.LEFT))


def _behind_the_command(args: list[str]) -> list[str]:
    """Put an ``--output`` that stands before the command behind it, where it belongs."""
    length = (
        2 if args[:1] == ["--output"] else 1 if args[:1] and args[0].startswith("--output=") else 0
    )
    given, (command, *rest) = args[:length], args[length:] or ("",)
    return [command, *given, *rest] if given and command else args


def _asks_for_json(args: Sequence[str]) -> bool:
    pairs = zip(args, [*args[1:], ""], strict=False)
    return "--output=json" in args or ("--output", "json") in pairs


@click.group(cls=CommandTable, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("spikefleet"), prog_name="spikefleet")
def cli() -> None:
    """Sort recordings, unattended, and always say why.

    Exit codes: 0 done, 1 a run failed, 2 wrong usage, 3 service unreachable.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the ``spikefleet`` command."""
    given = None if arguments is None else list(arguments)
    # A program that calls us is not ours to confine.
    cli(args=given, prog_name="spikefleet", obj=arguments is None)


if __name__ == "__main__":
    main()
