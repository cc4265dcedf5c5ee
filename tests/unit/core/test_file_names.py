"""Names from outside: what stays in its folder and meets no other passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefleet.core.file_names import UnsafeNameError, check_name, check_names


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a/b.c",
        ".hidden",
        "...",
        "录音/一.bin",
        "name with blanks % #.dat",
        "-dash",
        "a\\b",
        "x" * 255,
    ],
)
def test_a_name_that_stays_in_its_folder_passes(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../a",
        "a/../../b",
        "a/..",
        "./a",
        "a//b",
        "a/",
        "a\0b",
        "a\nb",
        "\x1b[2J",
        "x" * 256,
        "x/" * 2100 + "x",
        "\ud800",
    ],
)
def test_a_name_that_leaves_or_cannot_be_written_is_refused(name: str) -> None:
    with pytest.raises(UnsafeNameError):
        check_name(name)


@pytest.mark.parametrize(
    "names",
    [
        ["a", "a"],
        ["a/B.bin", "A/b.bin"],
        ["caf\u00e9", "cafe\u0301"],
        ["stra\u00dfe", "STRASSE"],
        ["a", "a/b"],
        ["a/b/c", "A/B"],
    ],
)
def test_names_that_some_disk_cannot_tell_apart_are_refused(names: list[str]) -> None:
    with pytest.raises(UnsafeNameError):
        check_names(names)
    with pytest.raises(UnsafeNameError):
        check_names(reversed(names))


def test_names_that_differ_pass_however_many_they_are() -> None:
    check_names([f"folder{n % 7}/file{n}.dat" for n in range(5000)])


@given(st.lists(st.text(max_size=30), max_size=8))
def test_what_passes_never_leaves_its_folder(names: list[str]) -> None:
    try:
        check_names(names)
    except UnsafeNameError:
        return
    for name in names:
        assert not name.startswith("/")
        assert not {"", ".", ".."} & set(name.split("/"))
        assert "\0" not in name
