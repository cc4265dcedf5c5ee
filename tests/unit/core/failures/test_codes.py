"""The table, the classes, the proto enum, the exit codes and the page say the same thing."""

import json
from pathlib import Path

import pytest

from spikefleet.api.v1 import failure_pb2
from spikefleet.core.failures import errors
from spikefleet.core.failures.classify import RULES
from spikefleet.core.failures.codes import (
    BY_CODE,
    BY_EXIT_CODE,
    FAILURES,
    FailureCategory,
    FailureCode,
    row_for_exit,
)
from spikefleet.core.failures.errors import CLASS_BY_CODE, Failure, SpikeSortingClassifiedError
from spikefleet.core.failures.reading.cluster_reasons import REASONS
from spikefleet.core.failures.render import enum_comment, render_failures, render_proto

PAGE = Path(__file__).parents[4] / "docs" / "failures.md"
PROTO = PAGE.parents[1] / "protos" / "spikefleet" / "api" / "v1" / "failure.proto"
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


def test_the_published_page_is_the_one_the_table_renders():
    how = f"run: python -m spikefleet.core.failures.render {PAGE} {PROTO}"
    assert PAGE.read_text(encoding="utf-8") == render_failures(), how
    text = PROTO.read_text(encoding="utf-8")
    assert text == render_proto(text), how
    assert all(enum_comment(row) in text for row in FAILURES)


def test_the_page_names_every_code_class_and_exit_code():
    page = render_failures()
    for row in BY_CODE.values():
        assert f"`{row.code}` | `{row.class_name}`" in page
        assert f"| {row.exit_code} |" in page or f"| ({row.number}) |" in page


def test_the_page_says_of_every_failure_what_is_known_what_is_done_and_what_to_do():
    lines = render_failures().splitlines()
    for row in FAILURES:
        line = next(line for line in lines if f"`{row.code}` | `{row.class_name}`" in line)
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        assert len(cells) == 7
        assert cells[3] == row.meaning
        assert cells[4] != "what was raised"
        assert f"(`{row.disposition}`, `{row.status}`)" in cells[5]
        assert cells[6] == row.next_step


def test_the_page_names_every_rule_and_every_reason_of_a_cluster():
    page = render_failures()
    assert all(f"`{rule.rule_id}`" in page for rule in RULES)
    assert all(f"`{word}`" in page for row in REASONS for word in row.words)
