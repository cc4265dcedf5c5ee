"""A name says what a thing is for; padding and junk drawers are refused."""

import ast
import re

from tests.house.source import PACKAGE, parse, python_files, where

JUNK_DRAWERS = re.compile(r"^(utils?|helpers?|managers?|common|misc|base_.+)$")
PADDED_CLASS = re.compile(r"(Manager|Helper|Handler|Impl)$")


def test_no_module_is_a_junk_drawer() -> None:
    parts = {
        where(path): [part.removesuffix(".py") for part in path.relative_to(PACKAGE).parts]
        for path in python_files("services")
    }
    assert [at for at, names in parts.items() if any(JUNK_DRAWERS.match(n) for n in names)] == []


def test_no_class_is_padded() -> None:
    padded = [
        f"{where(path, node)} {node.name}"
        for path in python_files("services")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef) and PADDED_CLASS.search(node.name)
    ]
    assert padded == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        where(path) for path in python_files("services") if not ast.get_docstring(parse(path))
    ]
    assert silent == []


def test_no_public_class_name_stands_twice() -> None:
    places: dict[str, list[str]] = {}
    for path in python_files("services/spikefleet"):
        for node in parse(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(where(path, node))
    assert {name: at for name, at in places.items() if len(at) > 1} == {}
