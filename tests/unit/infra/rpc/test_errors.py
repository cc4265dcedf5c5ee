"""Errors cross the wire and come back with the same reason, sentence and next step."""

import ast
import importlib
import re
from pathlib import Path

import grpc
import pytest
from google.rpc import status_pb2

import spikefleet
from spikefleet.controller.wishes import UnreachedStageError
from spikefleet.core.failures.errors import (
    InsufficientActivityError,
    InvalidConfigurationError,
    StorageUnavailableError,
)
from spikefleet.core.runs import IllegalMoveError
from spikefleet.infra.launchers.base import LauncherUnreachableError
from spikefleet.infra.rpc.errors import (
    DETAILS_KEY,
    Problem,
    RpcProblem,
    ServiceError,
    ServiceUnreachable,
    problem_of,
    service_error,
)
from spikefleet.infra.rpc.reasons import REASONS
from spikefleet.infra.stores.bytes.artifacts import (
    ArtifactDamagedError,
    ArtifactExistsError,
    ArtifactMissingError,
)
from spikefleet.infra.stores.sql.epochs import StaleControllerError
from spikefleet.infra.stores.sql.run_values import AttemptNotFoundError, StaleRunError
from spikefleet.infra.system.openings import OpeningCrashedError

SOURCE = Path(spikefleet.__file__).parent


class Received(grpc.RpcError):
    """What grpc raises in a client, holding exactly what a server sent."""

    def __init__(self, code, details, trailing=()):
        super().__init__()
        self._parts = (code, details, trailing)

    def code(self):
        return self._parts[0]

    def details(self):
        return self._parts[1]

    def trailing_metadata(self):
        return self._parts[2]


def _across(problem: Problem) -> ServiceError:
    status = problem.to_status("request-1")
    raw = status.SerializeToString()
    assert status_pb2.Status.FromString(raw).code == problem.row.code.value[0]
    sent = Received(problem.row.code, problem.message, ((DETAILS_KEY, raw),))
    return service_error(sent, "host:1")


def _class_at(path: str) -> type[BaseException]:
    module, _, name = path.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert isinstance(found, type)
    return found


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_every_reason_survives_the_wire(reason: str) -> None:
    row = REASONS[reason]
    error = _across(Problem(reason, "A sentence.", field="a.b", resource="run-1"))
    assert error.reason == reason
    assert error.message == "A sentence."
    assert error.next_step == row.next_step
    assert error.request_id == "request-1"
    assert error.retry_after_s == row.retry_after_s
    assert error.field == ("a.b" if row.code is grpc.StatusCode.INVALID_ARGUMENT else "")
    assert error.details.get("resource") == ("run-1" if row.resource else None)
    assert reason == reason.upper()
    assert row.next_step.endswith(".")


def _own_refusals() -> list[tuple[str, str]]:
    """Path of every class of this package that says which reason it means, and the reason."""
    found = []
    for file in sorted(SOURCE.rglob("*.py")):
        module = ".".join(file.relative_to(SOURCE.parent).with_suffix("").parts)
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            for line in node.body if isinstance(node, ast.ClassDef) else ():
                if (
                    not isinstance(line, ast.AnnAssign)
                    or getattr(line.target, "id", "") != "refusal"
                ):
                    continue
                if isinstance(line.value, ast.Constant) and isinstance(line.value.value, str):
                    found.append((f"{module}.{node.name}", line.value.value))
    return found


OWN = _own_refusals()
OTHERS = [(path, name) for name, row in REASONS.items() for path in row.exceptions]


def test_the_table_names_classes_of_other_libraries_only() -> None:
    assert len(OWN) > 15
    assert not [path for path, _ in OTHERS if path.startswith("spikefleet")]


@pytest.mark.parametrize(("path", "reason"), [*OWN, *OTHERS])
def test_every_exception_with_a_reason_exists_and_means_it(path: str, reason: str) -> None:
    cls = _class_at(path)
    assert issubclass(cls, Exception)
    if cls.__name__ != "ValidationError":  # pydantic makes those only by validating
        problem = problem_of(cls("something"))
        assert problem is not None
        assert problem.reason == reason


@pytest.mark.parametrize(
    ("error", "reason", "field"),
    [
        (InvalidConfigurationError("no.", field="snr_min"), "INVALID_CONFIGURATION", "snr_min"),
        (StorageUnavailableError("away."), "STORAGE_UNAVAILABLE", ""),
        (InsufficientActivityError("quiet."), "SORT_FAILURE", ""),
        (IllegalMoveError("no."), "ILLEGAL_MOVE", ""),
        (ArtifactMissingError("no key"), "ARTIFACT_NOT_FOUND", ""),
        (OpeningCrashedError("f", "died"), "WORKER_DIED", ""),
        (TimeoutError(), "DEADLINE_EXCEEDED", ""),
        (RpcProblem("UNKNOWN_STREAM", "no.", field="streams"), "UNKNOWN_STREAM", "streams"),
    ],
)
def test_domain_errors_become_their_reason(error, reason: str, field: str) -> None:
    problem = problem_of(error)
    assert problem is not None
    assert (problem.reason, problem.field) == (reason, field)
    assert _across(problem).reason == reason


def test_an_error_the_table_does_not_know_has_no_wire_form() -> None:
    assert problem_of(ValueError("a secret path")) is None
    assert problem_of(FileNotFoundError("a secret path")) is None


def test_an_unknown_reason_is_refused_where_it_is_raised() -> None:
    with pytest.raises(KeyError):
        RpcProblem("NO_SUCH_REASON", "x")


def test_silence_is_unreachable_and_a_draining_service_is_too() -> None:
    silent = service_error(Received(grpc.StatusCode.UNAVAILABLE, "refused"), "host:1")
    assert isinstance(silent, ServiceUnreachable)
    assert "host:1" in str(silent)
    assert silent.next_step
    assert isinstance(_across(Problem("SERVICE_DRAINING", "bye")), ServiceUnreachable)
    assert not isinstance(_across(Problem("STORAGE_UNAVAILABLE", "disk")), ServiceUnreachable)


def test_an_error_from_somebody_else_keeps_its_code_as_reason() -> None:
    error = service_error(Received(grpc.StatusCode.RESOURCE_EXHAUSTED, "too long"), "host:1")
    assert error.reason == "RESOURCE_EXHAUSTED"


def test_what_another_room_refused_is_passed_on_in_its_own_words() -> None:
    told = _across(Problem("UNKNOWN_STREAM", "no such stream", field="streams"))
    passed = problem_of(told)
    assert passed is not None
    assert (passed.reason, passed.field) == ("UNKNOWN_STREAM", "streams")
    raw = "No service answers at preflight:7311 (failed to connect to all addresses; errno 111)."
    away = problem_of(ServiceUnreachable("UNREACHABLE", raw))
    assert away is not None
    assert away.reason == "ROOM_UNREACHABLE"
    assert away.message == ("A part of the service is away: No service answers at preflight:7311.")


def test_a_store_that_is_away_is_told_to_a_caller_who_may_have_no_run() -> None:
    told = _across_of(StorageUnavailableError("the bucket fails", store="s", operation="o"))
    assert told.reason == "STORAGE_UNAVAILABLE"
    assert "run" not in told.next_step.split()
    assert "again in a moment" in told.next_step


def _across_of(error: Exception) -> ServiceError:
    problem = problem_of(error)
    assert problem is not None
    return _across(problem)


def test_a_web_server_in_place_of_the_service_is_told_as_one() -> None:
    raw = "Received http2 header with status: 404"
    error = service_error(Received(grpc.StatusCode.UNIMPLEMENTED, raw), "https://host")
    assert error.reason == "NOT_SPIKEFLEET"
    assert "404" not in str(error)


_ORDERS = re.compile(
    r"(?:[;.] )(?:use|open|check|call|ask|send|choose|give|retry|start|submit|wait|read|correct) ",
    re.IGNORECASE,
)


def test_a_sentence_that_has_a_next_step_gives_no_orders_of_its_own() -> None:
    """The next step is the one place for what to do; a sentence says what is the matter."""
    rooms = ("controller", "ingest", "reporter", "infra/stores")
    found = [
        f"{path.name}:{node.lineno} {text}"
        for room in rooms
        for path in sorted((SOURCE / room).glob("*.py"))
        if not path.name.startswith("artifacts_")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
        for text in [_said(node.exc)]
        if _is_for_people(node.exc) and _ORDERS.search(text)
    ]
    assert found == []


def _is_for_people(call: ast.Call) -> bool:
    """Is this an error the table of reasons knows?"""
    name = getattr(call.func, "id", "")
    known = {path.rpartition(".")[2] for path, _ in (*OWN, *OTHERS)}
    return name == "RpcProblem" or name in known | {"StorageUnavailableError"}


def _said(call: ast.Call) -> str:
    """The text of a call's arguments, in one piece; what is filled in is left out."""
    return "".join(
        str(part.value)
        for argument in call.args
        for part in ast.walk(argument)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )


@pytest.mark.parametrize(
    ("error", "reason", "code", "does"),
    [
        (
            ArtifactDamagedError("a/units.csv: other bytes"), "ARTIFACT_DAMAGED",
            grpc.StatusCode.DATA_LOSS, "can be sorted again",
        ),
        (
            ArtifactExistsError("a/units.csv"), "ARTIFACT_EXISTS",
            grpc.StatusCode.ALREADY_EXISTS, "written once",
        ),
        (
            AttemptNotFoundError("attempt-7"), "ATTEMPT_NOT_FOUND",
            grpc.StatusCode.NOT_FOUND, "Get the run",
        ),
        (StaleRunError("run-7 changed"), "CONFLICT", grpc.StatusCode.ABORTED, "Call again"),
        (
            StaleControllerError("epoch 4"), "CONTROLLER_REPLACED",
            grpc.StatusCode.UNAVAILABLE, "has taken over",
        ),
        (
            LauncherUnreachableError("no answer"), "LAUNCHER_UNREACHABLE",
            grpc.StatusCode.UNAVAILABLE, "running sorts continue",
        ),
        (
            UnreachedStageError("no sort yet"), "STAGE_NOT_REACHED",
            grpc.StatusCode.FAILED_PRECONDITION, "earlier stage",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isupper() else "",
)  # fmt: skip
def test_what_a_store_or_launcher_raises_arrives_with_its_own_step(error, reason, code, does):
    problem = problem_of(error)
    assert problem is not None
    assert problem.row.code is code
    received = _across(problem)
    assert received.reason == reason
    assert str(error) in received.message
    assert does in received.next_step
