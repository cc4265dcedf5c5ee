"""Every reason is documented, and there is somebody who gives it."""

from pathlib import Path

import pytest

from spikefleet.infra.rpc.reasons import REASONS
from spikefleet.infra.rpc.reasons_page import render_reasons

ROOT = Path(__file__).parents[4]
SOURCES = ROOT / "services" / "spikefleet"


def _source() -> str:
    files = (path for path in SOURCES.rglob("*.py") if path.name != "reasons.py")
    return "\n".join(path.read_text(encoding="utf-8") for path in files if "v1" not in path.parts)


def test_the_page_of_refusals_is_what_the_table_says() -> None:
    page = (ROOT / "docs" / "refusals.md").read_text(encoding="utf-8")
    assert page == render_reasons(), "python -m spikefleet.infra.rpc.reasons_page docs/refusals.md"


@pytest.mark.parametrize("wanted", ["next_step", "code"])
def test_every_refusal_says_what_to_do(wanted: str) -> None:
    assert [name for name, row in REASONS.items() if not getattr(row, wanted)] == []


def test_every_reason_is_given_by_somebody() -> None:
    source = _source()
    given = {name for name, row in REASONS.items() if row.exceptions or f'"{name}"' in source}
    assert REASONS.keys() - given == set()
