"""Session and subject from a person's file."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.signal.exports.session_metadata import (
    SessionMetadata,
    read_metadata,
    require_complete,
)

WHOLE = """
session:
  session_start_time: 2026-11-20T18:00:00+01:00
  experimenter: ["Golgi, Camillo"]
subject: {subject_id: m1, species: Mus musculus, sex: F, age: P90D}
"""


def test_a_yaml_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(WHOLE)
    known = require_complete(read_metadata(tmp_path / "m.yaml"))
    start = known.session.session_start_time
    assert start is not None
    assert start.utcoffset() == timedelta(hours=1)
    assert (known.subject.age, known.session.experimenter) == ("P90D", ("Golgi, Camillo",))


def test_a_json_file_is_read_as_well(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps({"subject": {"subject_id": "m1"}}))
    assert read_metadata(tmp_path / "m.json").subject.subject_id == "m1"


def test_one_name_is_a_list_of_it_and_a_number_is_its_text(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(
        "session: {experimenter: Camillo Golgi}\nsubject: {subject_id: 12}"
    )
    known = read_metadata(tmp_path / "m.yaml")
    assert known.session.experimenter == ("Camillo Golgi",)
    assert known.subject.subject_id == "12"


def test_everything_that_is_missing_is_named_at_once() -> None:
    names = SessionMetadata().missing()
    assert names == [
        "session.session_start_time",
        "subject.subject_id",
        "subject.species",
        "subject.sex",
        "subject.age",
    ]
    with pytest.raises(InvalidConfigurationError) as caught:
        require_complete(None)
    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("subject: {sex: female}", "subject.sex: write M"),
        ("subject: {age: 90 days}", "subject.age: write a duration"),
        ("subject: {name: m1}", "subject.name: no such name"),
        ("subject: m1", "subject: a group of names"),
        ("subject: {subject_id: [1]}", "subject.subject_id: a text"),
        ("session: {session_start_time: yesterday}", "date, time and offset"),
        ("session: {session_start_time: 2026-11-20T18:00:00}", "offset"),
        ("session: [", "no YAML or JSON"),
        ("- a list", "the document"),
        ("!!python/object/apply:os.system ['true']", "no YAML or JSON"),
        ("a: &a [*a, *a]", "a"),
    ],
)
def test_a_wrong_file_is_told_by_its_entry(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(InvalidConfigurationError, match=r"m\.yaml") as caught:
        read_metadata(tmp_path / "m.yaml")
    assert told in str(caught.value)


def test_what_is_no_page_of_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text("#" * (2 << 20))
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("long.yaml", "bytes.yaml", "none.yaml"):
        with pytest.raises(InvalidConfigurationError, match=name):
            read_metadata(tmp_path / name)
