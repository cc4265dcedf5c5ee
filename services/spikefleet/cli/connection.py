"""One command's connection to the service, and what its transfers look like."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    Task,
    TextColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from spikefleet.cli.options import ExitCode, given_ca_file, settings_from
from spikefleet.cli.printing import Output, console
from spikefleet.client.retry_waits import DEFAULT_PATIENCE_S
from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import OnTransfer, Transfer
from spikefleet.deploy.settings import Settings


@contextmanager
def connected(address: str | None) -> Iterator[SortingClient]:
    """A client for one command."""
    settings = settings_from(address=address, ca_file=given_ca_file())
    with client_of(settings) as client:
        yield client


def client_of(settings: Settings, *, patience_s: float = DEFAULT_PATIENCE_S) -> SortingClient:
    """A client of the service that the settings name; an unreadable file is wrong usage."""
    try:
        return SortingClient(settings.address, patience_s=patience_s, ca_file=settings.ca_file)
    except ValueError as error:
        raise click.UsageError(f"ca_file: {error}") from error


class _Speed(TransferSpeedColumn):
    """Says nothing where there is nothing to say: of bytes that never moved."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.finished_speed or task.speed else Text()


def _doing(transfer: Transfer) -> str:
    if transfer.is_known:
        return "the service has it already"
    return transfer.waiting or f"{transfer.doing} {transfer.path}"


@contextmanager
def transfers(output: Output) -> Iterator[OnTransfer]:
    """A bar per file on stderr while bytes move; nothing where a program reads."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        _Speed(),
    )
    progress = Progress(*columns, console=console(stderr=True), disable=output.is_json)
    task = progress.add_task("", total=None)

    def show(transfer: Transfer) -> None:
        progress.start()  # only now: a command that moves nothing shows nothing
        progress.update(
            task,
            description=_doing(transfer),
            total=transfer.total_bytes,
            completed=transfer.done_bytes,
        )

    try:
        yield show
    except KeyboardInterrupt:
        kept = progress.live.is_started
        progress.stop()
        said = "Stopped. Run the same command again to resume." if kept else "Stopped."
        console(stderr=True).print(said, soft_wrap=True)
        raise click.exceptions.Exit(ExitCode.LEFT) from None
    finally:
        if progress.live.is_started:  # stopping a bar that never started leaves an empty line
            progress.stop()
