"""Curations of a run beside its own: the stored sort curated again, in seconds, and kept.

What it is made from decides its id and its place: the same settings on the same sort are the same
curation, whoever asks and however often. Nothing is written down before its files are complete, and
nothing takes the place of another. Waits for the rooms; sorts nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from spikefleet.client.rooms import CurationRoom, ReporterRoom
from spikefleet.controller.record import run_record
from spikefleet.controller.wishes import UnreachedStageError
from spikefleet.core.attempts import Stage
from spikefleet.core.config.effects import CURATION_FIELDS, EXPORT_FIELDS
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.files import digest_document
from spikefleet.core.ids import RunId
from spikefleet.core.rooms.curation import CurationAnswer, CurationTask, CurationWish, RunCuration
from spikefleet.core.rooms.reporting import ReportTask
from spikefleet.core.runs import AttemptPlace, Run
from spikefleet.infra.rpc.errors import RpcProblem, ServiceError
from spikefleet.infra.stores.sql.curations import CurationStore
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.runs import RunStore

FIRST = "first"  # the run's own curation
# Raised when the same settings give another result than before.
_RECIPE = 1
_MOST_NAME = 64
_OF_AN_ID = re.compile(r"cur-[0-9a-f]{16}")


class CurationNotFoundError(KeyError):
    """The run has no curation of this name."""

    refusal: ClassVar[str] = "CURATION_NOT_FOUND"

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Curations:
    """Makes, lists and chooses curations. Safe from several threads: rooms and stores are."""

    runs: RunStore
    kept: CurationStore
    recordings: RecordingStore
    room: CurationRoom
    reporter: ReporterRoom

    def curate(self, wish: CurationWish) -> tuple[RunCuration, bool]:
        """Return the run's curation with these settings, and whether it was there before.

        By the thresholds, or as a person decided (``wish.by_hand``). Raises
        InvalidConfigurationError for a name or value that is none, or that another sort
        would be needed for; UnreachedStageError where the run has no sort; RpcProblem with the
        failure's own words where its sort cannot be curated; CurationNameTakenError, ServiceError.
        """
        run = self.runs.get_run(wish.run_id)
        sort = _sort_of(run)
        _require_name(wish.name)
        config = _changed(SortingConfig.from_document(run.config), wish.overrides)
        settings = _differing(run.config, config)
        if not (settings or wish.by_hand):
            return self.listed(run.run_id)[0], True
        curation_id = _id_of(run, sort, config, wish.by_hand)
        for known in self.listed(run.run_id):
            if known.curation_id == curation_id:
                return self._reported(run, config, known), True
            if wish.name and known.name == wish.name:
                raise RpcProblem(
                    "CURATION_NAME_TAKEN",
                    f"Run {run.run_id} has another curation called {wish.name!r}.",
                    field="name",
                )
        place = AttemptPlace(run.run_id, Stage.CURATE, curation=curation_id)
        task = CurationTask(sort, place, config.curation, config.waveform, wish.by_hand)
        answer = self.room.curate(task)
        _require_made(answer)
        made = RunCuration(
            run_id=run.run_id,
            curation_id=curation_id,
            name=wish.name or curation_id,
            kind=_kind_of(wish),
            settings=settings,
            curator=wish.curator[:_MOST_NAME],
            owner=wish.owner,
            created_at=datetime.now(UTC),
            sort_prefix=sort.prefix,
            n_sorted=answer.unit_count_sorted,
            n_curated=answer.unit_count_curated,
            prefix=place.prefix,
        )
        return self._reported(run, config, self.kept.add(made)), False

    def report_missing(self) -> int:
        """Have the pages made that a service which ended in between left out; return how many.

        One that could not be made is an event of its run, and waits for a person who asks again.
        """
        made = 0
        for left in self.kept.left_without_report():
            run = self.runs.get_run(left.run_id)
            changed = {name.partition(".")[2]: value for name, value in left.settings.items()}
            config = SortingConfig.from_document(run.config).override(**changed)
            is_outdated = left.sort_prefix != str(run.result.get("sort_prefix", ""))
            told = self._reported(run, config, replace(left, is_outdated=is_outdated))
            made += bool(told.report_html)
        return made

    def listed(self, run_id: RunId) -> list[RunCuration]:
        """Return the run's curations, its own first; exactly one is chosen, where there is one.

        One of a sort that was made again is outdated, and chosen no longer. Raises
        RunNotFoundError.
        """
        run = self.runs.get_run(run_id)
        sort_prefix = str(run.result.get("sort_prefix", ""))
        others = [
            replace(one, is_outdated=True, is_chosen=False)
            if one.sort_prefix != sort_prefix
            else one
            for one in self.kept.of_run(run_id)
        ]
        if not run.result.get("curation_prefix"):
            return others
        is_chosen = not any(one.is_chosen for one in others)
        return [self._first(run, is_chosen=is_chosen), *others]

    def choose(self, run_id: RunId, name: str, curator: str) -> RunCuration:
        """Give out this curation of the run when none is named.

        Raises CurationNotFoundError, RpcProblem CURATION_OUTDATED.
        """
        found = self.found(run_id, name)
        self.kept.choose(run_id, found.curation_id, found.name, curator[:_MOST_NAME])
        return replace(found, is_chosen=True)

    def found(self, run_id: RunId, name: str) -> RunCuration:
        """Return the curation of this name or id.

        Raises CurationNotFoundError, RpcProblem CURATION_OUTDATED.
        """
        listed = self.listed(run_id)
        found = next((one for one in listed if name in (one.name, one.curation_id or FIRST)), None)
        if found is None:
            names = ", ".join(one.name for one in listed[:20]) or "none"
            raise CurationNotFoundError(
                f"Run {run_id} has no curation called {name[:_MOST_NAME]!r}; it has: {names}."
            )
        if found.is_outdated:
            raise RpcProblem(
                "CURATION_OUTDATED",
                f"The curation {found.name} is of an earlier sort of run {run_id}.",
            )
        return found

    def _first(self, run: Run, *, is_chosen: bool) -> RunCuration:
        prefix = str(run.result.get("curation_prefix", ""))
        attempts = self.runs.attempts_of(run.run_id)
        ended = [a.ended_at for a in attempts if a.place.prefix == prefix and a.ended_at]
        return RunCuration(
            run_id=run.run_id,
            curation_id="",
            name=FIRST,
            kind="settings",
            settings={},
            curator=run.submitter,
            owner="",
            created_at=ended[0] if ended else run.updated_at,
            sort_prefix=str(run.result.get("sort_prefix", "")),
            n_sorted=run.result.get("n_units_sorted") or 0,
            n_curated=run.result.get("n_units_curated") or 0,
            prefix=prefix,
            report_html=str(run.result.get("report_html", "")),
            is_chosen=is_chosen,
        )

    def _reported(self, run: Run, config: SortingConfig, made: RunCuration) -> RunCuration:
        """Have its page made, where it has none. A page that cannot be made fails nothing.

        It tells of the run as of its last event, whose number is in its place: what one that was
        interrupted left there has equal bytes, or is passed by. Why there is none is an event, too.
        """
        if made.report_html or not made.curation_id or made.is_outdated:
            return made
        result = {**run.result, "n_units_curated": made.n_curated, "curation_prefix": made.prefix}
        shown = replace(run, config=config.to_document(), result=result)  # type: ignore[arg-type]
        events = self.runs.events(run.run_id, 0)
        recording = self.recordings.get(run.recording_id)
        record = run_record(shown, self.runs.attempts_of(run.run_id), events, recording)
        record["curation_name"] = made.name
        sort = AttemptPlace.read(made.sort_prefix)
        last = events[-1].seq if events else 1
        place = AttemptPlace(run.run_id, Stage.REPORT, last, made.curation_id)
        curation = AttemptPlace(run.run_id, Stage.CURATE, curation=made.curation_id)
        task = ReportTask(record, place, sort, curation)
        try:
            answer = self.reporter.render(task)
        except ServiceError as error:
            self.kept.tell_unreported(made, error.reason)
            return made
        if answer.failure is not None:
            self.kept.tell_unreported(made, str(answer.failure.code))
            return made
        self.kept.set_report(made.curation_id, answer.html_key)
        return replace(made, report_html=answer.html_key)


def _sort_of(run: Run) -> AttemptPlace:
    """The finished sort of a run. Raises UnreachedStageError."""
    sort = AttemptPlace.read(str(run.result.get("sort_prefix", "")))
    if sort is None:
        raise UnreachedStageError(f"Run {run.run_id} has no finished sort to curate.")
    return sort


def _changed(was: SortingConfig, overrides: Mapping[str, Any]) -> SortingConfig:
    """The run's configuration with what curation reads changed, and nothing else.

    Raises InvalidConfigurationError.
    """
    config = was.override(**overrides)
    for name in _differing(was.to_document(), config):
        known = name in CURATION_FIELDS or name in EXPORT_FIELDS
        if not (known or name.startswith("curation.")):
            raise InvalidConfigurationError(
                f"{name} is not a setting of curation, which works on the stored sort. For a run "
                f"with it: spikefleet retry RUN --set {name}=VALUE",
                field=name,
                value="",
            )
    return config


def _differing(document: Mapping[str, Any], config: SortingConfig) -> dict[str, Any]:
    """Settings, by their dotted names, that are not as the run's document has them."""
    was, now = SortingConfig.from_document(document).to_document(), config.to_document()
    return {
        f"{group}.{field}": value
        for group, fields in now.items()
        for field, value in fields.items()
        if value != was[group].get(field)
    }


def _kind_of(wish: CurationWish) -> str:
    """What a curation was made from; the room has found the document to be one."""
    return str(wish.by_hand.get("tool") or "")[:_MOST_NAME] if wish.by_hand else "settings"


def _id_of(run: Run, sort: AttemptPlace, config: SortingConfig, by_hand: Mapping[str, Any]) -> str:
    """What decides a curation: its run's sort, its settings, what was decided by hand."""
    settings = {
        "curation": config.curation.model_dump(mode="json"),
        "waveform": config.waveform.model_dump(mode="json"),
    }
    was = SortingConfig.from_document(run.config).compilation
    if config.compilation != was:  # left out where it is the run's: ids stay what they were
        settings["compilation"] = config.compilation.model_dump(mode="json")
    decided = [by_hand] if by_hand else []
    made_of = [_RECIPE, run.run_id, sort.prefix, settings, *decided]
    return f"cur-{digest_document(made_of)[:16]}"


def _require_name(name: str) -> None:
    """Refuse a name that could be mistaken or not be printed. Raises RpcProblem."""
    printable = all(unicodedata.category(each)[0] not in "CZ" for each in name)
    if len(name) > _MOST_NAME or not printable or name in (FIRST, "none") or name.startswith("-"):
        raise RpcProblem(
            "INVALID_ARGUMENT",
            f"A curation's name has at most {_MOST_NAME} printable characters without spaces and "
            f"is not {FIRST!r}.",
            field="name",
        )
    if _OF_AN_ID.fullmatch(name):
        raise RpcProblem("INVALID_ARGUMENT", f"{name} is an id, not a name.", field="name")


def _require_made(answer: CurationAnswer) -> None:
    """Raise RpcProblem in the failure's own words where nothing was curated."""
    failure = answer.failure
    if failure is not None:
        told = {"failure_code": str(failure.code), "next_step": failure.next_step}
        raise RpcProblem("SORT_FAILURE", failure.message, metadata=told)
