"""What the client decides by itself: names, and that it stays light."""

import subprocess
import sys
from pathlib import Path

import pytest

from spikefleet.client.names import recording_name
from spikefleet.core.submissions import RecordingName

LIGHT = """
import sys
import spikefleet.client.sorting
heavy = {"numpy", "torch", "spikeinterface", "sqlalchemy", "prometheus_client", "pydantic", "h5py"}
print(sorted(heavy & set(sys.modules)))
"""


def test_a_rig_loads_no_science_and_no_database() -> None:
    out = subprocess.run(
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True, timeout=60
    )
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "alone", "name"),
    [
        ("", True, "default/night-1/well.raw.h5"),
        ("lab", True, "lab/night-1/well.raw.h5"),
        ("lab/monday", True, "lab/monday/well.raw.h5"),
        ("lab/monday/probe", True, "lab/monday/probe"),
        ("lab/monday", False, "lab/monday/well.raw.h5"),
    ],
)
def test_what_a_name_leaves_out_comes_from_the_path(text: str, alone: bool, name: str) -> None:
    path = Path("/data/night-1/well.raw.h5")
    assert recording_name(text, path, alone=alone) == RecordingName.parse(name)


def test_a_relative_path_is_called_as_the_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = recording_name("", tmp_path / "x.nwb", alone=True)
    assert recording_name("", Path("x.nwb"), alone=True) == whole
    assert whole.session != "root"
    named = recording_name("", Path("x.nwb"), given=("p", "", "n"), alone=True)
    assert (named.project, named.session, named.name) == ("p", whole.session, "n")


def test_a_path_with_spaces_gets_a_valid_name_that_stays_its_own() -> None:
    first = recording_name("", Path("/a b/x y.nwb"), alone=True)
    second = recording_name("", Path("/a b/x-y.nwb"), alone=True)
    assert first.name != second.name


@pytest.mark.parametrize(("text", "alone"), [("a/b/c/d", True), ("a/b/c", False)])
def test_a_name_with_too_many_parts_is_refused(text: str, alone: bool) -> None:
    with pytest.raises(ValueError, match="project/session"):
        recording_name(text, Path("/data/x.nwb"), alone=alone)
