"""The table of who may call what covers every call there is, and nothing else."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import spikefleet.api.v1 as api
from spikefleet.infra.rpc.access import CALLS, Access, Caller, require_own
from spikefleet.infra.rpc.errors import RpcProblem


def _calls() -> set[str]:
    found = set()
    for module in pkgutil.iter_modules(api.__path__):
        if module.name.endswith("_pb2"):
            descriptor = importlib.import_module(f"{api.__name__}.{module.name}").DESCRIPTOR
            for service in descriptor.services_by_name.values():
                found |= {f"{service.name}/{method.name}" for method in service.methods}
    return found


def test_the_table_has_every_call_of_the_protos_and_no_other() -> None:
    assert set(CALLS) == _calls()
    assert len(CALLS) > 20


def test_what_only_rooms_do_is_not_for_people() -> None:
    inner = {name for name, access in CALLS.items() if access is Access.ROOM}
    assert {"ControllerService/CreateBatch", "CurationService/Curate"} <= inner
    assert CALLS["ControllerService/ReleaseHold"] is Access.OPERATOR


def test_a_caller_whom_the_kernel_does_not_know_owns_what_nobody_in_particular_owns() -> None:
    assert Caller().owner == "anyone"
    assert Caller(uid=0).owner == "uid:0"
    require_own(Caller(), "anyone", "Run r")
    require_own(Caller(uid=5, is_operator=True), "uid:6", "Run r")
    for stranger in (Caller(), Caller(uid=5)):
        with pytest.raises(RpcProblem, match="Run r belongs to another user"):
            require_own(stranger, "uid:6", "Run r")


def test_secrets_are_not_shown_with_the_values_that_carry_them() -> None:
    assert "hidden" not in repr(Caller(attempt_secret="hidden"))
