"""Completion in the three shells, by the protocol their scripts speak."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from spikefleet.cli.main import COMMANDS, cli

PROGRAM = "from spikefleet.cli.main import main; main()"


def completed(shell: str, words: str, position: str) -> str:
    """What a shell's script is answered by spikefleet."""
    asked = {
        "_SPIKEFLEET_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": position,
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    done = CliRunner().invoke(cli, ["completion", shell])
    assert done.exit_code == 0
    assert f"_SPIKEFLEET_COMPLETE={shell}_complete" in done.stdout


@pytest.mark.parametrize(
    ("shell", "second"), [("bash", "1"), ("zsh", "1"), ("fish", "re")], ids=["bash", "zsh", "fish"]
)
def test_commands_are_completed(shell: str, second: str) -> None:
    said = completed(shell, "spikefleet re", second)
    for verb in ("retry", "release", "report", "restore"):
        assert verb in COMMANDS
        assert verb in said
    assert "submit" not in said


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_the_script_of_bash_completes_an_option(tmp_path: Path) -> None:
    program = tmp_path / "spikefleet"
    program.write_text(f"#!{sys.executable}\n{PROGRAM}\n")
    program.chmod(0o755)
    script = CliRunner().invoke(cli, ["completion", "bash"]).stdout
    ask = (
        f"{script}\nCOMP_WORDS=(spikefleet submit --sor); COMP_CWORD=2; "
        "_spikefleet_completion spikefleet; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-c", ask],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "--sorter"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["submit", "--sorter"], "mountainsort5"),
        (["submit", "--preset"], "rt_sort_mea"),
        (["sorters"], "mountainsort5"),
        (["presets"], "rt_sort_mea"),
    ],
)
def test_the_names_of_sorters_and_presets_are_completed(words: list[str], name: str) -> None:
    found = ShellComplete(cli, {}, "spikefleet", "_X").get_completions(words, name[:4])
    assert name in [item.value for item in found]
    assert all(item.value.startswith(name[:4]) for item in found)
