"""A process that confines itself, with each of the layers a kernel may have, and with none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spikefleet.infra.system.confinement import SandboxPolicy, missing_layers

ROOT = Path(__file__).parents[4]
SCRIPT = """
import json, sys
from spikefleet.infra.system.confinement import Layers, SandboxPolicy, confine
from tests.support.attacker import attack
given = json.loads(sys.argv[1])
held = confine(SandboxPolicy.from_json(given["policy"]), Layers(**given["layers"]))
tried = [attack({"act": act, "path": path}) for act, path in given["acts"]]
print(json.dumps({"held": held.to_json(), "tried": tried}))
"""
NAMESPACES = {"landlock": False}


def confined(tmp_path, acts, layers=None, **policy):
    """Confine a fresh process below ``tmp_path`` and let it try; return what held and what came."""
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    rules = SandboxPolicy(
        readable=(str(tmp_path / "mine"), str(ROOT / "tests")), writable=(str(scratch),), **policy
    )
    given = {"policy": rules.to_json(), "layers": layers or {}, "acts": acts}
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT, json.dumps(given)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=scratch,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'services'}:{ROOT}"},
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return answer["held"], answer["tried"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine").write_text("samples")
    (tmp_path / "secret").write_text("secret")
    return tmp_path


@pytest.mark.parametrize(
    ("layers", "paths"), [({}, "landlock"), (NAMESPACES, "namespaces")], ids=["landlock", "userns"]
)
def test_either_layer_keeps_files_network_and_programs_away(folder, layers, paths):
    held, tried = confined(
        folder,
        [
            ("read", str(folder / "mine")),
            ("write", str(folder / "scratch" / "result")),
            ("read", str(folder / "secret")),
            ("write", str(folder / "mine")),
            ("read", "/etc/shadow"),
            ("connect", "1"),
            ("run a program", str(folder / "scratch" / "mark")),
            ("fork", str(folder / "scratch" / "mark")),
            ("stop its parent", ""),
            ("make a symlink", "/etc/shadow"),
            ("mount", ""),
        ],
        layers,
    )
    if paths == "namespaces" and not held["paths"]:
        pytest.skip(f"user namespaces do not work here: {held['missing']}")
    assert held["paths"].startswith(paths)
    assert held["calls"]
    assert held["missing"] == []
    assert tried[:2] == ["done", "done"]
    refused = {"PermissionError", "FileNotFoundError", "OSError"}
    assert set(tried[2:]) <= refused, tried
    assert sorted(path.name for path in (folder / "scratch").iterdir()) == ["result"]
    assert (folder / "mine").read_text() == "samples"


def test_what_no_layer_keeps_away_is_said(folder):
    bare = {"landlock": False, "namespaces": False, "seccomp": False}
    held, tried = confined(folder, [("read", str(folder / "secret"))], bare)
    assert tried == ["done"]
    assert held["paths"] == ""
    assert any("nothing restricts which files" in missing for missing in held["missing"])
    assert any("system calls are not filtered" in missing for missing in held["missing"])


def test_a_sorter_may_start_programs_but_reach_no_more_than_a_reader(folder):
    mark = folder / "scratch" / "mark"
    held, tried = confined(
        folder,
        [
            ("run a program", str(mark)),
            ("run a program", str(folder / "mark")),
            ("connect", "1"),
            ("reach a local socket", "/run/door"),
            ("read", str(folder / "secret")),
            ("stop its parent", ""),
        ],
        programs=True,
    )
    if held["missing"]:
        pytest.skip(f"this kernel keeps less away: {held['missing']}")
    assert tried[0] == "done"
    assert mark.exists()
    assert not (folder / "mark").exists()
    assert set(tried[2:]) <= {"PermissionError"}


@pytest.fixture
def neighbour():
    """A process of the same user that has nothing to do with the attempt."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env={"SECRET_KEY": "x"}
    )
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("programs", [False, True], ids=["reader", "sorter"])
def test_reader_and_sorter_are_held_to_the_same_of_all_that_is_not_theirs(
    folder, neighbour, programs
):
    pid = str(neighbour.pid)
    held, tried = confined(
        folder,
        [
            ("read another environment", pid),
            ("open another memory", pid),
            ("trace another process", pid),
            ("kill another process", pid),
            ("connect", "1"),
            ("send a datagram", "1"),
            ("listen", ""),
            ("reach an abstract socket", "spikefleet-test"),
            ("reach a socket over a pair", "/run/door"),
            ("write", str(folder / "mine")),
            ("remove", str(folder / "secret")),
            ("make a device", ""),
            ("change its root", ""),
            ("enter a namespace", ""),
            ("use io_uring", ""),
            ("fill the disk", ""),
            ("lift its limits", ""),
            ("lift its number of processes", ""),
        ],
        programs=programs,
        file_bytes=1 << 20,
        memory_bytes=64 << 20,
    )
    if held["missing"]:
        pytest.skip(f"this kernel keeps less away: {held['missing']}")
    assert set(tried) <= {"PermissionError", "OSError", "ValueError"}, tried
    assert neighbour.poll() is None
    assert (folder / "mine").read_text() == "samples"
    assert (folder / "secret").exists()


def test_memory_files_and_time_are_bounded(folder):
    held, tried = confined(
        folder,
        [("fill the disk", ""), ("lift its limits", "")],
        file_bytes=1 << 20,
        memory_bytes=64 << 20,
    )
    assert held["paths"]
    assert tried == ["OSError", "ValueError"]
    assert (folder / "scratch" / "large").stat().st_size <= 1 << 20


def test_a_policy_survives_json():
    policy = SandboxPolicy(("/a",), ("/b",), 1, 2, 3, programs=True)
    assert SandboxPolicy.from_json(json.loads(json.dumps(policy.to_json()))) == policy


def test_this_machine_tells_what_it_cannot_keep_away():
    assert all(isinstance(missing, str) and missing for missing in missing_layers())
