"""Failures and words survive the way to a message and back."""

from dataclasses import replace

from spikefleet.api.v1 import failure_pb2, preflight_pb2
from spikefleet.core.failures.codes import FAILURES, FailureCategory, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.infra.rpc.convert.values import enum_word, from_failure, to_failure

FAILURE = Failure(
    FailureCode.GPU_OUT_OF_MEMORY,
    "Out of memory.",
    "sort",
    "kilosort4.cuda_oom",
    {"peak_bytes": 123456789012, "share": 0.5, "steps": ["load", None, True]},
    {"batch_size": 30000},
)


def test_every_failure_of_the_table_survives() -> None:
    for row in FAILURES:
        failure = replace(FAILURE, code=row.code)
        message = to_failure(failure)
        assert message is not None, row.code
        assert from_failure(message) == failure, row.code
        assert message.class_name == row.class_name, row.code
        assert enum_word(failure_pb2.FailureCategory, message.category) == row.category, row.code


def test_the_wire_knows_every_failure_code_and_category_and_no_other() -> None:
    named = {f"FAILURE_CODE_{row.code.name}": row.number for row in FAILURES}
    assert dict(failure_pb2.FailureCode.items()) == {"FAILURE_CODE_UNSPECIFIED": 0, **named}
    categories = {name.split("_", 2)[2] for name, _ in failure_pb2.FailureCategory.items()}
    assert categories == {"UNSPECIFIED", *FailureCategory.__members__}


def test_a_code_newer_than_this_client_is_unclassified() -> None:
    message = failure_pb2.Failure(message="new", code=failure_pb2.FailureCode.ValueType(999))
    assert from_failure(message).code is FailureCode.UNCLASSIFIED


def test_an_enum_word_is_lower_case_and_empty_when_unknown() -> None:
    level = preflight_pb2.FindingLevel
    assert enum_word(level, level.Value("FINDING_LEVEL_WARN")) == "warn"
    assert enum_word(level, 0) == ""
    assert enum_word(level, 77) == ""
