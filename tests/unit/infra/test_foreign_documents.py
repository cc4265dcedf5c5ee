"""Whatever a document holds, what is read of it fits a database and a wire."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikefleet.infra import foreign_documents

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(ANY_JSON)
def test_what_is_kept_is_strict_json_that_a_database_takes(value: object) -> None:
    text = json.dumps(foreign_documents.bounded(value), allow_nan=False, ensure_ascii=False)
    assert "\\u0000" not in text
    text.encode()


def test_what_has_no_end_is_cut() -> None:
    nested: list[object] = []
    for _ in range(5000):
        nested = [nested]
    found = foreign_documents.bounded({"deep": nested, "long": "x" * 10**6, "many": [0] * 10**5})
    assert len(json.dumps(found)) < 30_000


def test_sound_values_stay_as_they_are() -> None:
    sound = {"a": [1, 2.5, None, True, "text"], "b": {"c": -3}}
    assert foreign_documents.bounded_table(sound) == sound
    assert foreign_documents.bounded_table([sound]) is None


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), float("inf"), -1, 2**70, [1]])
def test_no_number_is_none(value: object) -> None:
    assert foreign_documents.number(value) is None
    assert foreign_documents.count(value) is None


@pytest.mark.parametrize("value", [True, "0", None, -1, 256, 1.0, 2**70])
def test_no_exit_code_is_none(value: object) -> None:
    assert foreign_documents.exit_code(value) is None


@pytest.mark.parametrize("value", [1e30, -1e30, float("nan"), True, "now", 10**400])
def test_no_time_is_none(value: object) -> None:
    assert foreign_documents.moment_of(value, NOW) is None


def test_a_time_is_read_and_one_yet_to_come_is_not_believed() -> None:
    assert foreign_documents.moment_of(NOW.timestamp(), NOW) == NOW
    ahead = NOW + timedelta(hours=2)
    assert foreign_documents.moment_of(ahead.timestamp(), NOW) is None


def test_progress_has_every_field_of_its_kind() -> None:
    said = {"step": "s" * 9999, "fraction": 7, "spikes": "many", "memory_bytes": 1e30}
    found = foreign_documents.progress(said)
    assert found is not None
    assert len(found.pop("step")) == 200
    assert set(found.values()) == {None}
    assert foreign_documents.progress("sort") is None
