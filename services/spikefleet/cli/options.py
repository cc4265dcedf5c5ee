"""Options every command shares, and the exit codes they all keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from spikefleet.core.config.compat import told
from spikefleet.core.visible_text import without_secrets
from spikefleet.deploy.settings import Settings, file_of, load_settings

_CA_FILE = "spikefleet.ca_file"
_Command = TypeVar("_Command", bound=Callable[..., Any])


class ExitCode(IntEnum):
    """What a script may rely on."""

    DONE = 0
    RUN_FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    LEFT = 130  # a person left with Ctrl-C, the shell's own number for it


def output_option(command: _Command) -> _Command:
    """Add ``--output``: tables for people, one JSON document per command for programs."""
    return click.option(
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Text for people, or one JSON document (watch: one per line).",
    )(command)


def address_option(command: _Command) -> _Command:
    """Add ``--address`` and ``--ca-file``; without them the settings decide."""
    ca_file = click.option(
        "--ca-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        expose_value=False,
        callback=_keep_ca_file,
        help="Certificates (PEM) to trust at an https:// address, in place of the public ones.  "
        "[default: SPIKEFLEET_CA_FILE or the configuration file's ca_file]",
    )
    address = click.option(
        "--address",
        metavar="ADDRESS",
        help="Where the service answers: HOST:PORT, or https://HOST behind TLS.  [default: "
        "SPIKEFLEET_ADDRESS, the configuration file's address, or 127.0.0.1:7311]",
    )
    return address(ca_file(command))


def _keep_ca_file(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    ctx.meta[_CA_FILE] = value


def given_ca_file() -> Path | None:
    """What ``--ca-file`` of the running command says; None where it was not given."""
    found: Path | None = click.get_current_context().meta.get(_CA_FILE)
    return found


def completing(
    names: Callable[[], Iterable[str]],
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """What ``shell_complete`` of an option or argument wants: the names that begin as typed."""
    return lambda _context, _parameter, typed: [n for n in names() if n.startswith(typed)]


def settings_from(**arguments: Any) -> Settings:
    """Build the settings; a bad value is the caller's mistake and is told as one."""
    try:
        return load_settings(**arguments)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        # A database's URL may hold a password, and this may end in a log.
        got = "" if name == "database_url" else f" (got {_shown(first['input'])})"
        said = first["msg"].removeprefix("Value error, ")  # our own sentence needs no announcing
        said = said.partition(", unable to")[0].replace("Input should be", "must be")
        place = file_of(name, **arguments)
        raise click.UsageError(f"{place + ': ' if place else ''}{name}: {said}{got}") from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _shown(given: object) -> str:
    """A bad value as it was written."""
    told = ":".join(map(str, given)) if isinstance(given, tuple | list) else repr(given)
    return without_secrets(told)


set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change one parameter, for example --set snr_min=6; may be repeated.",
)


def parse_overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``name=value``; a value that is JSON (a number, true, null) is taken as such.

    Says on stderr which of the names do nothing here.
    """
    overrides: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"--set {pair!r} is not of the form name=value")
        try:
            overrides[name.strip()] = json.loads(text)
        except ValueError:
            overrides[name.strip()] = text
        except RecursionError as error:
            raise click.UsageError(
                f"--set {name.strip()}: too many brackets in brackets"
            ) from error
    for sentence in told(overrides):
        click.echo(f"Note: {sentence}", err=True)
    return overrides


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Around a late import: a rig that lacks the extra is told how to get it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("spikefleet"):
            raise
        raise click.UsageError(
            f"this command needs more than a rig's installation ({error.name} is missing); "
            f"get it with: pip install 'spikefleet[{extra}]'"
        ) from error
