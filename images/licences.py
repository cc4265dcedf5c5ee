"""Writes the list of what an image holds: every distribution with its version and licence.

    python images/licences.py FILE

The licence is what the distribution says of itself: its SPDX expression, else its licence field's
first line, else its classifiers, else the name of its licence file; "unknown" where it has none.
"""

import json
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

_LONGEST = 100


def licence_of(distribution: Distribution) -> str:
    """Return what a distribution says of its licence."""
    metadata = distribution.metadata
    said = [metadata.get("License-Expression", ""), metadata.get("License", "")]
    for text in said:
        first = (text or "").strip().splitlines()
        if first and first[0].upper() != "UNKNOWN" and len(first[0]) <= _LONGEST:
            return str(first[0])
    classifiers = metadata.get_all("Classifier") or []
    named = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License ::")]
    files = metadata.get_all("License-File") or []
    return ", ".join(named) or (f"see {files[0]}" if files else "unknown")


def licences() -> list[dict[str, str]]:
    """Return name, version and licence of every distribution here, by name."""
    rows = {
        each.metadata["Name"].lower(): {
            "name": each.metadata["Name"],
            "version": each.version,
            "licence": licence_of(each),
        }
        for each in distributions()
    }
    return [rows[name] for name in sorted(rows)]


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(licences(), indent=1) + "\n", encoding="utf-8")
