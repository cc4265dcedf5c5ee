"""Prints what some extras of the distribution need, one requirement a line, without itself.

    python images/requirements.py pyproject.toml EXTRA [EXTRA ...]

An image installs these in a layer of their own, which changes only when they do; our wheel follows
in a small last layer.
"""

import re
import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, extras: list[str]) -> list[str]:
    """Return the base requirements and those of the extras, references to own extras resolved.

    Raises KeyError for an extra that is not there.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    own = re.compile(rf"{re.escape(project['name'])}\[([\w,\s-]+)\]")
    found, wanted, seen = set(project["dependencies"]), list(extras), set()
    while wanted:
        extra = wanted.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for requirement in project["optional-dependencies"][extra]:
            reference = own.fullmatch(requirement)
            if reference:
                wanted += [name.strip() for name in reference[1].split(",")]
            else:
                found.add(requirement)
    return sorted(found)


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements(Path(sys.argv[1]), sys.argv[2:])) + "\n")
