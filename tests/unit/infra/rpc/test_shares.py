"""Open calls are counted by caller, and a call that ends makes room whatever ended it."""

from __future__ import annotations

import pytest

from spikefleet.infra.rpc.access import CALLS, Access, is_counted
from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.infra.rpc.shares import CallShares


def test_a_caller_has_his_calls_and_nobody_elses_are_fewer_for_it() -> None:
    shares = CallShares(2)
    with shares.one_call("a"), shares.one_call("a"):
        with pytest.raises(RpcProblem) as caught, shares.one_call("a"):
            pass
        assert caught.value.reason == "SERVICE_BUSY"
        with shares.one_call("b"):
            pass
    with shares.one_call("a"), shares.one_call("a"):
        pass


def test_a_call_that_fails_is_over() -> None:
    shares = CallShares(1)
    for _ in range(3):
        with pytest.raises(LookupError), shares.one_call("a"):
            raise LookupError


def test_what_the_service_itself_causes_is_nobodys_share() -> None:
    counted = {name for name in CALLS if is_counted(f"/spikefleet.api.v1.{name}")}
    assert counted == {
        name for name, who in CALLS.items() if who in (Access.EVERYBODY, Access.OPERATOR)
    }
    assert is_counted("/grpc.health.v1.Health/Watch")
