"""Which runs a verb is about: run ids, batch ids and selectors, the same for every verb.

Asks the service only for what was not named by its id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, TypeVar

import click

from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import RunPage, RunView
from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.runs import RunState

_Command = TypeVar("_Command", bound=Callable[..., Any])

_PAGE = 500
_STATES: Mapping[str, tuple[RunState, ...]] = {
    **{
        str(state): (state,)
        for state in RunState
        if state not in (RunState.SUCCEEDED, RunState.SKIPPED)
    },
    str(RunState.FAILED): (RunState.FAILED, RunState.SKIPPED),
    str(RunStatus.SUCCESS): (RunState.SUCCEEDED,),
    str(RunStatus.UNSORTABLE): (RunState.SKIPPED,),
    str(RunStatus.INPUT_ERROR): (RunState.SKIPPED,),
}
# What the states are called on the wire; scripts may have them.
_WIRE_WORDS: Mapping[str, tuple[str, ...]] = {
    str(RunState.SUCCEEDED): (str(RunStatus.SUCCESS),),
    str(RunState.SKIPPED): (str(RunStatus.UNSORTABLE), str(RunStatus.INPUT_ERROR)),
}


class _Outcome(click.Choice[str]):
    """The words of ``Run.outcome``; those of the wire are understood, too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word. Raises UsageError for another."""
        return value if value in _WIRE_WORDS else super().convert(value, param, ctx)


_OPTIONS = (
    click.option(
        "--state",
        "states",
        multiple=True,
        type=_Outcome(list(_STATES)),
        help="Only runs that stand so; repeatable.",
    ),
    click.option("--batch", "batch_id", default="", help="Only the runs of this batch."),
    click.option(
        "--recording",
        default="",
        metavar="PATTERN",
        help="Only recordings whose name, or its last part, matches; * is any text.",
    ),
    click.option("--sorter", default="", help="Only runs of this sorter."),
)


def select_options(command: _Command) -> _Command:
    """Add the options that choose runs."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def selecting(command: _Command) -> _Command:
    """Add RUN... and the options that choose runs; ``Selection.taken`` reads them."""
    named = click.argument("run_ids", metavar="[RUN|BATCH]...", nargs=-1)
    return named(select_options(command))


@dataclass(frozen=True)
class Selection:
    """Runs named by id or batch, or chosen by what they are. Selectors are joined by "and"."""

    run_ids: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    batch_id: str = ""
    recording: str = ""
    sorter: str = ""

    @classmethod
    def taken(cls, given: dict[str, Any]) -> Selection:
        """Take the options of ``selecting`` out of a command's. Raises UsageError for none."""
        selection = cls(**{name: given.pop(name) for name in cls.__dataclass_fields__})
        if not selection.run_ids and not selection._chooses:
            raise click.UsageError(
                "name runs or batches by their ids, or choose them with --state, --batch, "
                "--recording or --sorter"
            )
        if selection.run_ids and selection._chooses:
            raise click.UsageError("name runs by their ids or choose them by options, not both")
        return selection

    @property
    def is_one(self) -> bool:
        """True when one run was named by its id."""
        return len(self.run_ids) == 1 and not is_batch(self.run_ids[0])

    @property
    def _chooses(self) -> bool:
        return bool(self.states or self.batch_id or self.recording or self.sorter)

    def ids(self, client: SortingClient) -> list[str]:
        """Return the ids of the runs, each once. Raises ServiceError BATCH_NOT_FOUND."""
        if self.run_ids:
            found = [
                run_id
                for named in self.run_ids
                for run_id in (client.get_batch(named).run_ids if is_batch(named) else (named,))
            ]
            return list(dict.fromkeys(found))
        return [run.run_id for page in self.pages(client) for run in page.runs]

    def pages(
        self, client: SortingClient, page_size: int = _PAGE, page_token: str = ""
    ) -> Iterator[RunPage]:
        """Yield the matching runs page by page, newest first; a page may hold none."""
        wanted = {word for asked in self.states for word in _WIRE_WORDS.get(asked, (asked,))}
        while True:
            page = client.list(
                states=sorted({state for word in wanted for state in _STATES[word]}),
                batch_id=self.batch_id,
                page_size=page_size,
                page_token=page_token,
            )
            runs = tuple(run for run in page.runs if self._matches(run, wanted))
            yield RunPage(runs, page.next_page_token)
            page_token = page.next_page_token
            if not page_token:
                return

    def _matches(self, view: RunView, wanted: set[str]) -> bool:
        run = view.run
        names = (run.recording_name, run.recording_name.rpartition("/")[2])
        return (
            (not wanted or run.outcome in wanted)
            and (not self.sorter or run.backend == self.sorter)
            and (not self.recording or any(fnmatch(name, self.recording) for name in names))
        )


def is_batch(named: str) -> bool:
    """Say whether an id is that of a batch."""
    return named.startswith("batch-")


def is_run_or_batch(named: str) -> bool:
    """Say whether a word is an id, not a folder."""
    return named.startswith(("run-", "batch-")) and "/" not in named
