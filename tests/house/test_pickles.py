"""Nothing that comes from outside is unpickled: who loads a pickle runs what its author wrote."""

import ast
from pathlib import Path

from tests.house.source import calls_in, in_package, parse, python_files, where

READERS = "signal/"
_UNPICKLING = ("pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "dill.load")


def _readers() -> list[Path]:
    files = python_files("services/spikefleet")
    return [path for path in files if in_package(path).startswith(READERS)]


def test_no_array_is_loaded_with_its_pickles() -> None:
    files = python_files("services/spikefleet")
    assert files
    found = [
        where(path, node)
        for path in files
        for node in ast.walk(parse(path))
        if isinstance(node, ast.keyword)
        and node.arg == "allow_pickle"
        and ast.unparse(node.value) != "False"
    ]
    assert found == []


def test_no_reader_unpickles_a_file() -> None:
    assert _readers()
    found = [
        where(path, call)
        for path in _readers()
        for name, call in calls_in(parse(path))
        if name in _UNPICKLING or name.endswith("numcodecs.Pickle")
    ]
    assert found == []
