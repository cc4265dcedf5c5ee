"""What the sorter's child may reach, tried by hostile code where the sorter would run."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.attempts import make_spec

from spikefleet.core.attempts import InputFile, RunFolder
from spikefleet.core.files import write_json
from spikefleet.infra.system.confinement import missing_layers
from spikefleet.runner.reach import child_environment, child_policy, prepared_place

ROOT = Path(__file__).parents[3]
SCRIPT = """
import json, sys
from pathlib import Path
from spikefleet.core.attempts import AttemptSpec, RunFolder
from spikefleet.core.files import read_json
from spikefleet.runner.child import confine_child
from tests.support.attacker import attack
folder = RunFolder(Path(sys.argv[1]))
confine_child(folder, AttemptSpec.from_json(read_json(folder.spec)))
print(json.dumps([attack({"act": act, "path": path}) for act, path in json.loads(sys.argv[2])]))
"""


@pytest.fixture
def attempt(tmp_path):
    """A staged attempt whose recording lies in place, and another one's prepared copy."""
    source = tmp_path / "rig" / "night.raw.h5"
    source.parent.mkdir()
    source.write_bytes(b"samples")
    (source.parent / "other.raw.h5").write_bytes(b"another recording")
    folder = RunFolder(tmp_path / "attempts" / "r1-sort-1")
    spec = replace(
        make_spec(folder.root),
        recording=source.name,
        inputs=(InputFile(source.name, str(source), 7, in_place=True),),
        prepared_folder=str(tmp_path / "prepared"),
    )
    write_json(folder.spec, spec.to_json())
    folder.inputs.mkdir(parents=True)
    (folder.inputs / source.name).symlink_to(source)
    other = tmp_path / "prepared" / "recording-other" / "prepared-1"
    other.mkdir(parents=True)
    (other / "traces.raw").write_bytes(b"another recording's copy")
    return folder, spec


def tried(folder, acts):
    found = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT, str(folder.root), json.dumps(acts)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": f"{ROOT / 'services'}:{ROOT}", "PATH": "/usr/bin:/bin"},
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout.splitlines()[-1])


@pytest.mark.skipif(bool(missing_layers()), reason=f"this machine: {missing_layers()}")
def test_a_hostile_sorter_reaches_its_recording_and_its_scratch_only(attempt, tmp_path):
    folder, spec = attempt
    allowed = [
        ("read", str(folder.inputs / "night.raw.h5")),
        ("write", str(folder.result / "sorting")),
        ("write", str(folder.sorter / "log")),
        ("write", str(folder.child_failure)),
        ("write", str(prepared_place(folder, spec).root / "copy")),
    ]
    refused = [
        ("read", str(tmp_path / "rig" / "other.raw.h5")),
        ("write", str(tmp_path / "rig" / "night.raw.h5")),
        ("remove", str(tmp_path / "rig" / "night.raw.h5")),
        ("write", str(folder.outcome)),
        ("write", str(folder.spec)),
        ("write", str(folder.heartbeat)),
        ("write", str(folder.termination_message)),
        ("write", str(folder.child_log)),
        ("write", str(tmp_path / "attempts" / "r2-sort-1")),
        ("read", str(tmp_path / "prepared" / "recording-other" / "prepared-1" / "traces.raw")),
        ("write", str(tmp_path / "prepared" / "recording-other" / "prepared-1" / "traces.raw")),
        ("write", str(tmp_path / "prepared" / "recording-new")),
        ("connect", "7311"),
        ("stop its parent", ""),
        ("make a symlink", "/etc/shadow"),
    ]
    found = tried(folder, [*allowed, *refused])
    assert found[: len(allowed)] == ["done"] * len(allowed)
    assert set(found[len(allowed) :]) == {"PermissionError"}


def test_the_child_sees_its_own_home_and_kernels_and_no_more(tmp_path):
    folder, kernels = RunFolder(tmp_path / "run"), tmp_path / "kernels"
    kernels.mkdir()
    (kernels / "index").write_text("compiled by a trusted process")
    given = {"PATH": "/usr/bin", "NUMBA_CACHE_DIR": str(kernels)}
    seen = child_environment(folder, given)
    assert seen is not None
    scratch = str(folder.child_scratch)
    assert {seen[name] for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "MPLCONFIGDIR")} == {
        scratch
    }
    own = Path(seen["NUMBA_CACHE_DIR"])
    assert own.is_relative_to(folder.child_scratch)
    (own / "index").write_text("planted")
    assert (kernels / "index").read_text() == "compiled by a trusted process"
    assert child_environment(folder, None) is None


def test_an_input_that_lies_elsewhere_is_named_where_it_lies(attempt, tmp_path):
    folder, spec = attempt
    assert str(tmp_path / "rig" / "night.raw.h5") in child_policy(folder, spec).readable
