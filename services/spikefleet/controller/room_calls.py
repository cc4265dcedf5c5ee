"""How each stage that is not the sort is asked of its room, and what its answer means for the run.

A room that does not answer is infrastructure, a room that breaks is ours to fix: both come back as
failures, never as exceptions, so that the policy decides about them like about any other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from spikefleet.client.rooms import CurationRoom, PreflightRoom, ReporterRoom
from spikefleet.controller.record import run_record
from spikefleet.controller.sort_spec import input_files
from spikefleet.controller.stage_threads import StageResult
from spikefleet.core.attempts import Stage
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure, InvalidConfigurationError
from spikefleet.core.findings.next_step import BROKEN_ROOM
from spikefleet.core.rooms.curation import CurationTask
from spikefleet.core.rooms.preflight import ExamineTask
from spikefleet.core.rooms.reporting import ReportTask
from spikefleet.core.run_result import PreflightRecord, RunResult
from spikefleet.core.runs import Attempt, AttemptPlace, Run
from spikefleet.infra.rpc.errors import ServiceError, ServiceUnreachable
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.runs import RunStore


@dataclass(frozen=True)
class RoomCalls:
    """Calls the rooms. Safe from several threads: channels and stores are."""

    runs: RunStore
    recordings: RecordingStore
    preflight: PreflightRoom
    curation: CurationRoom
    reporter: ReporterRoom

    def call(self, run: Run, attempt: Attempt) -> StageResult:
        """Carry out one attempt of a stage and return what it produced."""
        stages = {
            Stage.PREFLIGHT: self._check,
            Stage.CURATE: self._curate,
            Stage.REPORT: self._report,
        }
        try:
            return stages[attempt.stage](run, attempt)
        except InvalidConfigurationError as error:
            rule_id = "room.stored_configuration"
            return StageResult(
                failure=Failure.from_error(error, stage=str(attempt.stage), rule_id=rule_id)
            )
        except ServiceUnreachable as error:
            return StageResult(
                failure=_failure(FailureCode.LOST, attempt, "room.unreachable", str(error))
            )
        except ServiceError as error:
            failure = _failure(FailureCode.UNCLASSIFIED, attempt, BROKEN_ROOM, error.message)
            told = {"reason": error.reason, "error_id": str(error.details.get("error_id", ""))}
            return StageResult(failure=replace(failure, evidence=told))

    def _check(self, run: Run, attempt: Attempt) -> StageResult:
        recording = self.recordings.get(run.recording_id)
        config = SortingConfig.from_document(run.config)
        answer = self.preflight.examine(ExamineTask(recording, run.stream, config))
        told = answer.to_json()
        preflight = PreflightRecord(  # the failure is the attempt's own
            findings=told["findings"],
            stream=told["stream"],
            estimate=told["estimate"],
            measurements=told["measurements"],
            input_bytes=sum(file.size_bytes for file in input_files(recording)),
        )
        return StageResult({"preflight": preflight}, failure=answer.failure)

    def _curate(self, run: Run, attempt: Attempt) -> StageResult:
        sort = AttemptPlace.read(str(run.result.get("sort_prefix", "")))
        if sort is None:
            text = "the run names no sort"
            return StageResult(
                failure=_failure(FailureCode.UNCLASSIFIED, attempt, BROKEN_ROOM, text)
            )
        config = SortingConfig.from_document(run.config)
        task = CurationTask(sort, attempt.place, config.curation, config.waveform)
        answer = self.curation.curate(task)
        result: RunResult = {
            "curation_prefix": answer.prefix,
            "n_units_sorted": answer.unit_count_sorted,
            "n_units_curated": answer.unit_count_curated,
        }
        if answer.failure is not None:
            return StageResult(failure=answer.failure)
        return StageResult(result, pointer=answer.prefix)

    def _report(self, run: Run, attempt: Attempt) -> StageResult:
        recording = self.recordings.get(run.recording_id)
        record = run_record(
            run,
            self.runs.attempts_of(run.run_id),
            self.runs.events(run.run_id, 0),
            recording,
        )
        task = ReportTask(
            record=record,
            attempt=attempt.place,
            sort=AttemptPlace.read(str(run.result.get("sort_prefix", ""))),
            curation=AttemptPlace.read(str(run.result.get("curation_prefix", ""))),
        )
        answer = self.reporter.render(task)
        if answer.failure is not None:
            return StageResult(failure=answer.failure)
        result: RunResult = {"report_prefix": answer.prefix, "report_html": answer.html_key}
        return StageResult(result, pointer=answer.prefix)


def _failure(code: FailureCode, attempt: Attempt, rule_id: str, message: str) -> Failure:
    return Failure(
        code,
        f"The {attempt.stage} room could not do its part: {message}",
        stage=str(attempt.stage),
        rule_id=rule_id,
    )
