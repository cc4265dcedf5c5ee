"""A large public record says what each of its fields is."""

import ast
import re

from tests.house.source import parse, python_files, where

MOST_UNTOLD = 8


def _fields(node: ast.ClassDef) -> list[ast.AnnAssign]:
    return [
        field
        for field in node.body
        if isinstance(field, ast.AnnAssign) and "ClassVar" not in ast.unparse(field.annotation)
    ]


def _is_record(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.ClassDef)
        and not node.name.startswith("_")
        and any(
            re.match(r"dataclass|evidence_row", ast.unparse(decorator))
            for decorator in node.decorator_list
        )
    )


def _is_told(field: ast.AnnAssign, doc: str, lines: list[str]) -> bool:
    """By ``#:`` above or behind it, by ``says(...)``, or by its name in the class's docstring."""
    own, above = lines[field.lineno - 1 : field.end_lineno], lines[field.lineno - 2]
    said = field.value is not None and ast.unparse(field.value).startswith("says(")
    name = ast.unparse(field.target)
    return said or "#:" in " ".join(own) or above.strip().startswith("#:") or f"``{name}``" in doc


def test_every_field_of_a_record_of_many_is_told() -> None:
    seen, untold = 0, []
    for path in python_files("services/spikefleet"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(parse(path)):
            if (
                not _is_record(node)
                or node.name.startswith("_")
                or len(_fields(node)) <= MOST_UNTOLD
            ):
                continue
            seen += 1
            doc = ast.get_docstring(node) or ""
            untold += [
                f"{where(path, field)} {node.name}.{ast.unparse(field.target)}"
                for field in _fields(node)
                if not _is_told(field, doc, lines)
            ]
    assert seen > 20
    assert untold == [], "\n".join(untold)
