"""Files, functions and parameter lists stay small enough to be read in one sitting."""

import ast

from tests.house.source import functions, in_package, parse, python_files, where

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 6
MAX_CORE_LINES = 10_000
MAX_SHARE_OF_A_ROOM = 0.3

# Only ever shrinks: an entry that is no longer needed fails the last test of this file.
ALLOWED: frozenset[str] = frozenset(
    {
        # A row of the failure table reads best as one call.
        "services/spikefleet/core/failures/codes.py::_row",
    }
)


def _long_files() -> dict[str, int]:
    found = {}
    for path in python_files("services", "tests", "bench"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_FILE_LINES:
            found[where(path)] = lines
    return found


def _long_functions() -> dict[str, int]:
    found = {}
    for path in python_files("services"):
        for node in functions(parse(path)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                found[f"{where(path)}::{node.name}"] = lines
    return found


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in named)


def _wide_functions() -> dict[str, int]:
    return {
        f"{where(path)}::{node.name}": _parameters(node)
        for path in python_files("services")
        for node in functions(parse(path))
        if _parameters(node) > MAX_PARAMETERS
    }


def _not_allowed(found: dict[str, int]) -> dict[str, int]:
    return {name: size for name, size in found.items() if name not in ALLOWED}


def test_no_file_is_longer_than_400_lines() -> None:
    assert _not_allowed(_long_files()) == {}


def test_no_function_is_longer_than_60_lines() -> None:
    assert _not_allowed(_long_functions()) == {}


def test_no_function_takes_more_than_six_parameters() -> None:
    assert _not_allowed(_wide_functions()) == {}


def test_the_list_of_exceptions_only_shrinks() -> None:
    assert ALLOWED - {*_long_files(), *_long_functions(), *_wide_functions()} == set()


def _lines_by_room() -> dict[str, int]:
    """Lines of each folder below the package, generated messages left out."""
    found: dict[str, int] = {}
    for path in python_files("services/spikefleet"):
        room, *below = in_package(path).split("/")
        if below and room != "api":
            lines = len(path.read_text(encoding="utf-8").splitlines())
            found[room] = found.get(room, 0) + lines
    return found


def test_core_only_decides_and_stays_small() -> None:
    assert 0 < _lines_by_room()["core"] <= MAX_CORE_LINES


def test_no_room_is_nearly_a_third_of_the_code() -> None:
    rooms = _lines_by_room()
    assert max(rooms.values()) <= MAX_SHARE_OF_A_ROOM * sum(rooms.values()), rooms
