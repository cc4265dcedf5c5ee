"""A Job of an attempt's name: its own, a spent one that makes room, or a stranger's."""

from typing import Any

import pytest
from tests.support.runner_profiles import attempt, live, order

from spikefleet.infra.launchers.base import NameConflictError
from spikefleet.infra.launchers.kubernetes.manifests import (
    ATTEMPT_ID,
    INSTANCE,
    RECORDED,
    RUN_ID,
    job_manifest,
)
from spikefleet.infra.launchers.kubernetes.namesakes import is_made_by_this, is_of

ENDED = {"conditions": [{"type": "Complete", "status": "True", "reason": "x"}]}
LOST = {ATTEMPT_ID: "of lost records"}


def job(**changes: Any) -> dict[str, Any]:
    return live(job_manifest(order()), **changes)


def test_a_job_is_known_by_the_attempt_and_not_by_its_name() -> None:
    assert is_of(job(), attempt())
    assert not is_of(job(annotations=LOST), attempt())


def test_what_an_earlier_start_of_the_attempt_has_made_stays() -> None:
    assert is_made_by_this(job(), order())


def test_a_job_whose_outcome_is_on_record_is_spent() -> None:
    assert not is_made_by_this(job(metadata={"labels": {RECORDED: "true"}}), order())


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
def test_an_ended_job_of_the_same_run_is_spent(kind: str) -> None:
    status = {"conditions": [{"type": kind, "status": "True", "reason": "x"}]}
    assert not is_made_by_this(job(annotations=LOST, status=status), order())


@pytest.mark.parametrize(
    "changes",
    [
        {"annotations": LOST},
        {"annotations": {**LOST, RUN_ID: "run-another"}, "status": ENDED},
        {"annotations": LOST, "status": ENDED, "metadata": {"labels": {INSTANCE: "other"}}},
    ],
    ids=["still running", "of another run", "of another installation"],
)
def test_any_other_job_of_that_name_is_a_strangers(changes: dict[str, Any]) -> None:
    with pytest.raises(NameConflictError, match="is not this attempt's"):
        is_made_by_this(job(**changes), order())
