"""The table, the classes, the proto enum and the exit codes say the same thing."""

import json

import pytest

from spikefleet.api.v1 import failure_pb2
from spikefleet.core.failures import errors
from spikefleet.core.failures.codes import (
    BY_EXIT_CODE,
    FAILURES,
    FailureCategory,
    FailureCode,
    row_for_exit,
)
from spikefleet.core.failures.errors import CLASS_BY_CODE, Failure, SpikeSortingClassifiedError

CATEGORY_BASES = {
    FailureCategory.BIOLOGICAL: errors.BiologicalSortFailure,
    FailureCategory.INPUT: errors.InputSortFailure,
    FailureCategory.ENVIRONMENT: errors.EnvironmentSortFailure,
    FailureCategory.RESOURCE: errors.ResourceSortFailure,
    FailureCategory.INTERNAL: errors.InternalSortFailure,
    FailureCategory.INFRASTRUCTURE: errors.InfrastructureFailure,
}


def test_every_code_has_one_row_and_no_exit_code_has_two():
    assert {row.code for row in FAILURES} == set(FailureCode)
    assert len(FAILURES) == len(FailureCode) == len({row.number for row in FAILURES})
    assert len(BY_EXIT_CODE) == sum(1 for row in FAILURES if row.exit_code is not None)


@pytest.mark.parametrize("row", FAILURES, ids=lambda row: row.code)
def test_a_row_is_whole(row):
    """Its class, its exit code (which clashes with no shell), its sentences, and its way back."""
    cls = CLASS_BY_CODE[row.code]
    assert cls.__name__ == row.class_name
    assert issubclass(cls, CATEGORY_BASES[row.category])
    assert issubclass(cls, SpikeSortingClassifiedError)
    if row.exit_code is None:
        assert row.number >= 200
    else:
        assert row_for_exit(row.exit_code) is row
        assert 78 < row.exit_code < 126
    assert row.meaning.endswith(".")
    assert row.next_step.endswith(".")
    assert "\n" not in row.meaning + row.next_step
    failure = Failure(row.code, "It broke.", "sort", "a.rule", {"n": 1}, {"batch_size": 2})
    again = Failure.from_json(json.loads(json.dumps(failure.to_json())))
    assert again == failure
    error = again.to_error()
    assert type(error).__name__ == row.class_name
    assert error.n == 1
    assert Failure.from_error(error).code is row.code


def test_the_proto_enum_has_the_table_s_names_and_numbers():
    enum = {name: number for name, number in failure_pb2.FailureCode.items() if number}
    assert enum == {f"FAILURE_CODE_{row.code.name}": row.number for row in FAILURES}


def test_the_proto_categories_are_the_table_s():
    names = {name for name, number in failure_pb2.FailureCategory.items() if number}
    assert names == {f"FAILURE_CATEGORY_{category.name}" for category in FailureCategory}


def test_evidence_that_was_not_given_is_none_and_a_name_no_row_has_is_an_error():
    assert errors.SorterCrashError("x").sorter is None
    with pytest.raises(AttributeError, match="no evidence named 'colour'"):
        _ = errors.SorterCrashError("x").colour
