"""The recipe for a new sorter, as a checklist: its row, its adapter and its tests."""

import ast
import re
import tomllib
from collections.abc import Mapping

import pytest
from tests.house.source import PACKAGE, ROOT, in_package, parse, python_files, where

from spikefleet.core.config.presets import preset, preset_names
from spikefleet.core.sorters.catalogue import BACKENDS, DEFAULT_SORTER
from spikefleet.core.sorters.parameters import read_table

CONTRACTS = ROOT / "tests" / "contracts" / "test_sorter_backends.py"
LOGS = ROOT / "tests" / "unit" / "runner" / "logs"
# Files that are one sorter's, by their place; what it says when it dies is told by the rules.
OF_ONE_SORTER = re.compile(r"core/sorters/|signal/sorters/adapters/|rt_sort/|core/failures/rules/")
# Who may name a sorter besides, and why.
NAMED_BY: Mapping[str, str] = {
    "core/config/effects.py": "which of the settings of its group decide its spikes",
    "core/config/names.py": "the flat names of its group",
    "core/config/operators.py": "its model is the operator's",
    "core/config/compat.py": "a name of its group that means nothing here",
    "core/config/sorters.py": "reads another spelling of its name",
    "core/config/sorting.py": "its group of settings",
    "runner/canary/memory.py": "its group of settings",
    "core/config/presets.py": "the presets that every lab knows",
    "core/failures/classify.py": "lists the rules of every sorter, in order",
    "core/findings/catalogue.py": "advice to take another sorter",
}


@pytest.mark.parametrize("name", BACKENDS)
def test_a_sorter_is_whole(name: str) -> None:
    row = BACKENDS[name]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    of_contract = [
        ast.literal_eval(statement.value)
        for node in parse(CONTRACTS).body
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "name"
    ]
    missing = {
        "its adapter": (PACKAGE / "signal/sorters/adapters" / f"{name}.py").is_file(),
        "its row's file": (PACKAGE / "core/sorters/rows" / f"{name}.py").is_file(),
        "its title and distribution": bool(row.title and row.distribution),
        "its extra in pyproject.toml": row.extra in extras["optional-dependencies"],
        "its progress": bool(row.progress),
        "an excerpt of its log": (LOGS / f"{name}.log").is_file(),
        "its cost": row.cost is not None and (row.cost.gpu is not None) == row.uses_gpu,
        "its parameters": bool(read_table(name)),
        "its batches among its parameters": row.batch is None
        or row.batch.name in (read_table(name) or {}),
        "a preset of its name": name in preset_names() and preset(name).sorter.sorter_name == name,
        "the contract of sorters": name in of_contract,
        "a mention in the documents": name in (ROOT / "docs/configuration.md").read_text("utf-8"),
    }
    assert [what for what, there in missing.items() if not there] == []


def test_the_default_is_a_sorter_that_is_here() -> None:
    assert DEFAULT_SORTER in BACKENDS


def _names_a_sorter(text: str) -> bool:
    return re.search(rf"\b({'|'.join(BACKENDS)})\b", text) is not None


def _named_in_code(path) -> list[ast.AST]:
    """Texts and names of a module that hold a sorter's name; prose about it may."""
    tree = parse(path)
    prose = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        node
        for node in ast.walk(tree)
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in prose
            and _names_a_sorter(node.value)
        )
        or (isinstance(node, ast.Name | ast.alias) and _names_a_sorter(_name(node)))
    ]


def _name(node: ast.Name | ast.alias) -> str:
    return node.id if isinstance(node, ast.Name) else node.name


def test_no_other_module_names_a_sorter() -> None:
    files = [
        path
        for path in python_files("services/spikefleet")
        if not OF_ONE_SORTER.match(in_package(path)) and in_package(path) not in NAMED_BY
    ]
    assert len(files) > 100
    assert [where(path, node) for path in files for node in _named_in_code(path)] == []


def test_every_module_that_may_name_a_sorter_does() -> None:
    assert [name for name in NAMED_BY if not _named_in_code(PACKAGE / name)] == []
