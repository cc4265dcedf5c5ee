"""``spikefleet logs``: what a run's sorter writes, during the sort and after it."""

from __future__ import annotations

import time

import click

from spikefleet.cli.connection import connected
from spikefleet.cli.following import what_it_says
from spikefleet.cli.options import ExitCode, address_option, output_option
from spikefleet.cli.printing import Output, console
from spikefleet.client.sorting import SortingClient
from spikefleet.infra.rpc.errors import ServiceError, ServiceUnreachable

_TAIL_BYTES = 256 << 10
_POLL_S = 1.0


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("-f", "--follow", is_flag=True, help="Keep printing until the run ends.")
@click.option(
    "-n", "--lines", type=click.IntRange(1), default=200, show_default=True, help="Last lines."
)
@click.option("--all", "whole", is_flag=True, help="The whole log.")
@click.option("--attempt", type=click.IntRange(1), default=None, help="Sort attempt.  [last]")
@address_option
@output_option
def logs(address: str | None, output: str, run_id: str, **given: object) -> None:
    """Print what the sorter of a run has written; of your own runs only."""
    out = Output(output)
    attempt, whole = int(str(given["attempt"] or 0)), bool(given["whole"])
    with connected(address) as client:
        reading = _Reading(client, run_id, attempt, out)
        if given["follow"]:
            reading.await_sort()
        lines = reading.lines(0 if whole else -_TAIL_BYTES)
        if not whole:
            lines = lines[-int(str(given["lines"])) :]
        if out.is_json and not given["follow"]:
            document = {"run_id": run_id, "attempt": reading.attempt, "lines": lines}
            out.emit(document)
            return
        reading.tell(lines)
        reading.tell_silence()
        if given["follow"]:
            reading.follow()


class _Reading:
    """A log being read; it knows where it is."""

    def __init__(self, client: SortingClient, run_id: str, attempt: int, out: Output) -> None:
        self._client, self._run_id, self._out = client, run_id, out
        self._asked, self.attempt = attempt, attempt
        self._offset, self._rest, self._has_ended = 0, b"", False
        self._silence = ""

    def await_sort(self) -> None:
        """Wait until the run has a sort attempt. Raises ServiceError when it ends without one."""
        while True:
            try:
                self._client.log(self._run_id, attempt=self.attempt)
            except ServiceError as error:
                if error.reason != "LOG_NOT_FOUND" or self._client.get(self._run_id).is_settled:
                    raise
                self.tell_silence()
                time.sleep(_POLL_S)
            else:
                return

    def lines(self, offset: int | None = None) -> list[str]:
        """Return the whole lines there are from here on, or from ``offset``."""
        at, data = self._offset if offset is None else offset, self._rest
        while True:
            part = self._client.log(self._run_id, attempt=self.attempt, offset=at)
            self.attempt, self._has_ended = part.attempt, part.has_ended
            at, data = part.next_offset, data + part.data
            if at >= part.size_bytes or not part.data:
                break
        self._offset = at
        whole, newline, self._rest = data.rpartition(b"\n")
        if self._has_ended:
            whole, newline, self._rest = data, b"", b""
        return whole.decode("utf-8", "replace").splitlines() if whole or newline else []

    def tell(self, lines: list[str]) -> None:
        """Print lines; nothing in them steers the terminal."""
        for line in lines:
            self._out.line({"run_id": self._run_id, "attempt": self.attempt, "line": line})
            self._out.say(line)

    def tell_silence(self) -> None:
        """Say, once for each cause, why there is nothing to print; on stderr, for people only."""
        if self._out.is_json or self._offset or self._rest:
            return
        if self._has_ended:
            why = f"Sort attempt {self.attempt} has written nothing."
        else:
            why = f"Nothing is written yet: {what_it_says(self._client.get(self._run_id).run)}"
        if why != self._silence:
            self._silence = why
            console(stderr=True).print(why, style="yellow", soft_wrap=True)

    def follow(self) -> None:
        """Print what comes until the run has ended; a retry's log follows the one before."""
        try:
            while not (self._has_ended and self._is_over()):
                time.sleep(_POLL_S)
                self._step()
        except KeyboardInterrupt:
            self._out.say(
                f"Stopped reading; the run continues. Next: spikefleet logs {self._run_id} -f"
            )
            raise click.exceptions.Exit(ExitCode.LEFT) from None

    def _step(self) -> None:
        try:
            self.tell(self.lines())
            self.tell_silence()
        except ServiceUnreachable as error:
            console(stderr=True).print(f"{error.message} Retrying.", style="yellow")

    def _is_over(self) -> bool:
        """Whether nothing more will come; moves on to a later attempt where there is one."""
        if self._asked:
            return True
        run = self._client.get(self._run_id)
        try:
            last = self._client.log(self._run_id).attempt
        except ServiceError:
            return run.is_settled
        if last > self.attempt:
            self._out.say(f"--- sort attempt {last} ---")
            self.attempt, self._offset, self._rest, self._has_ended = last, 0, b"", False
            return False
        return run.is_settled
