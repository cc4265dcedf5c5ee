"""A setting's default stands once, in its group; whoever reads it is handed the group."""

import ast

from tests.house.source import PACKAGE, parse, python_files, where

from spikefleet.core.config import SortingConfig
from spikefleet.core.config.names import dotted_names

CONFIG = PACKAGE / "core" / "config"
GROUPS = set(SortingConfig.model_fields)
SETTINGS = {name.partition(".")[2] for name in dotted_names(SortingConfig)}


def gets():
    """Every ``x.get("name", default)``: the file, the call, the name and the default."""
    for path in python_files("services"):
        for node in ast.walk(parse(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "get"
                and len(node.args) == 2
                and isinstance(node.args[0], ast.Constant)
            ):
                yield path, node, node.args[0].value, node.args[1]


def test_no_reader_of_a_document_states_a_settings_default_again() -> None:
    found = list(gets())
    assert len(found) > 20
    restated = [
        f"{where(path, node)} {name}"
        for path, node, name, default in found
        if name in SETTINGS - GROUPS
        and isinstance(default, ast.Constant)
        and default.value not in (None, "")
        and not path.is_relative_to(CONFIG)
    ]
    assert restated == []


def test_a_threshold_is_named_where_it_is_defined_and_where_it_is_applied() -> None:
    """Between the two it travels in its group, so adding one touches two places."""
    for setting in ("snr_min", "isi_viol_max", "std_norm_max"):
        naming = {
            path.relative_to(PACKAGE).as_posix()
            for path in python_files("services")
            for node in ast.walk(parse(path))
            if isinstance(node, ast.Attribute) and node.attr == setting
        }
        assert naming <= {"core/config/units.py", "signal/units/curate.py"}
        assert naming
