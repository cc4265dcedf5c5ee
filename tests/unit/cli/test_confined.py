"""Commands that open a recording give up everything else first, when the process is theirs."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.recordings import make_recording

from spikefleet.infra.system.confinement import missing_layers

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(bool(missing_layers()), reason=f"this machine: {missing_layers()}")
# What a reader that was taken over would try, run where the recording is opened.
TAKEN_OVER = """
import socket, sys
from pathlib import Path
import spikefleet.signal.{module} as opened
was = opened.{function}
def hostile(*arguments, **more):
    for act in (lambda: Path({secret!r}).read_text(), lambda: Path({mark!r}).write_text("x"),
                lambda: socket.create_connection(("127.0.0.1", {port}))):
        try:
            act()
            print("REACHED", file=sys.stderr)
        except OSError as error:
            print("refused", type(error).__name__, file=sys.stderr)
    return was(*arguments, **more)
opened.{function} = hostile
from spikefleet.cli.main import main
sys.argv = ["spikefleet", *{arguments!r}]
main()
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'services'}:{ROOT}"},
    )


@pytest.fixture
def places(tmp_path):
    """A recording and, beside its folder, what must not be reached."""
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "secret").write_text("secret")
    recording = make_recording(tmp_path / "rig", "maxwell", seconds=2.0).path
    (tmp_path / "out").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield tmp_path, recording, server.getsockname()[1]


@pytest.mark.parametrize(
    ("verb", "module", "function"),
    [("inspect", "measuring.summary", "inspect_recording"), ("archive", "open", "list_streams")],
)
def test_a_reader_that_was_taken_over_reaches_nothing(places, verb, module, function):
    folder, recording, port = places
    outputs = [str(folder / "out" / "archive")] if verb == "archive" else []
    done = run(
        TAKEN_OVER.format(
            module=module,
            function=function,
            secret=str(folder / "private" / "secret"),
            mark=str(folder / "private" / "mark"),
            port=port,
            arguments=[verb, str(recording), *outputs, "--output", "json"],
        )
    )
    assert done.returncode == 0, done.stderr
    assert "REACHED" not in done.stderr
    assert done.stderr.count("refused") == 3
    assert json.loads(done.stdout)
    assert not (folder / "private" / "mark").exists()


def test_pictures_archive_verify_and_restore_work_confined(places):
    folder, recording, _ = places
    picture, archive, back = (folder / "out" / name for name in ("probe.png", "archive", "back"))
    for arguments in (
        ["inspect", str(recording), "--probe-picture", str(picture)],
        ["archive", str(recording), str(archive)],
        ["verify", str(archive)],
        ["restore", str(archive), str(back)],
    ):
        code = f"import sys; sys.argv = ['spikefleet', *{arguments!r}]\n"
        done = run(code + "from spikefleet.cli.main import main; main()")
        assert done.returncode == 0, (arguments, done.stderr)
    assert picture.stat().st_size > 1000
    restored = next(path for path in back.rglob("*") if path.is_file())
    assert restored.read_bytes() == recording.read_bytes()


def test_a_program_that_calls_a_command_is_not_confined(places):
    folder, recording, _ = places
    secret = folder / "private" / "secret"
    code = (
        "from spikefleet.cli.main import main\n"
        f"try: main(['inspect', {str(recording)!r}])\n"
        "except SystemExit: pass\n"
        f"print(open({str(secret)!r}).read())"
    )
    assert run(code).stdout.rstrip().endswith("secret")
