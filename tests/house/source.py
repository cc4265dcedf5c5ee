"""The files the house rules are about, read once. Knows no rule itself."""

import ast
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "services" / "spikefleet"


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that is tracked or would be: new files are held to the rules before a commit."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the list of the project's files comes from git, which is not here")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    return tuple(path for name in sorted(set(listed)) if name and (path := ROOT / name).is_file())


def python_files(*folders: str) -> list[Path]:
    """The project's Python files below the folders; generated stubs are not tracked."""
    roots = [ROOT / folder for folder in folders]
    files = [
        path
        for path in project_files()
        if path.suffix == ".py" and any(path.is_relative_to(root) for root in roots)
    ]
    assert files, f"no Python file below {folders}: a rule about them would hold for nothing"
    return files


@cache
def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def where(path: Path, node: ast.AST | None = None) -> str:
    """``services/spikefleet/x.py:12`` for messages a person can click."""
    line = f":{node.lineno}" if node is not None and hasattr(node, "lineno") else ""
    return f"{path.relative_to(ROOT).as_posix()}{line}"


def in_package(path: Path) -> str:
    """``cli/main.py`` for a file of the package."""
    return path.relative_to(PACKAGE).as_posix()


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method, nested ones included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def calls_in(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the dotted name it is made by (``os.getenv``)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node
