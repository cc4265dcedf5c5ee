"""The identity of recordings that are sorted as one."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefleet.core.submissions import (
    ManifestFile,
    Recording,
    RecordingName,
    join_recordings,
    part_names,
    safe_part,
)


def part(name: str, session: str = "monday", **changes: object) -> Recording:
    files = (ManifestFile(f"{name}.h5", 10, session),)
    recording = Recording(
        f"rec-{session}-{name}",
        RecordingName("lab", session, name),
        files,
        f"{session}/{name}",
        "/",
    )
    return replace(recording, **changes)  # type: ignore[arg-type]


def test_a_joined_recording_is_its_parts_in_their_order() -> None:
    a, b, c = (part(name) for name in "abc")
    joined = join_recordings([a, b, c])
    assert joined == join_recordings([a, b, c])
    assert joined.parts == (a, b, c)
    assert str(joined.name) == "lab/monday/a-and-2-more"
    assert (joined.files, joined.size_bytes) == ((), 30)
    assert Recording.from_json(joined.to_json()) == joined


@given(st.permutations("abcd"))
def test_another_order_is_another_recording(names: list[str]) -> None:
    usual = join_recordings([part(name) for name in "abcd"])
    other = join_recordings([part(name) for name in names])
    assert (other.digest == usual.digest) == (names == list("abcd"))
    assert (other.recording_id == usual.recording_id) == (names == list("abcd"))


def test_one_missing_part_makes_the_whole_missing() -> None:
    assert join_recordings([part("a"), part("b", missing=True)]).missing
    assert not join_recordings([part("a"), part("b")]).missing


def test_one_recording_twice_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"lab/monday/a is listed twice"):
        join_recordings([part("a"), part("b"), part("a")])
    with pytest.raises(ValueError, match="at least two"):
        join_recordings([part("a")])


def test_parts_of_one_name_get_names_of_their_own() -> None:
    assert part_names(join_recordings([part("a"), part("b")])) == ("a", "b")
    twice = join_recordings([part("a"), part("A", "tuesday")])
    assert part_names(twice) == ("1-a", "2-A")
    assert part_names(part("a")) == ()


def test_names_with_marks_stay_readable_and_plain_ones_stay_as_they_are() -> None:
    assert safe_part("Kultur Süd 3").startswith("Kultur-Sud-3-")
    assert safe_part("Straße").startswith("Strasse-")
    assert safe_part("Süd") != safe_part("Sud") == "Sud"
    assert safe_part("slice 1") == "slice-1-" + hashlib.sha256(b"slice 1").hexdigest()[:8]


def test_names_in_any_script_are_told_apart_and_valid() -> None:
    names = [
        *("录音一", "录音二", "Запись 1", "Запись 2", "ガラス", "ガ\u3099ラス", "emoji 🧠"),
        *("mouse 7, day 2 (post)", "it's 100% #3+4", "-leading", "x" * 180, "..", ""),
    ]
    parts = [safe_part(name) for name in names]
    assert len(set(parts)) == len(names)
    for name in parts:
        assert RecordingName("lab", "monday", name).name == name
