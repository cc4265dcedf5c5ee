"""``curate --from``: what a person curated in another tool, read where nothing else is reached."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.deploy.settings import exporting_environment
from spikefleet.infra.system.confinement import SandboxPolicy, missing_layers
from spikefleet.infra.system.opening_failures import own_failure
from spikefleet.infra.system.openings import (
    Limits,
    OpeningCrashedError,
    OpeningError,
    OpeningPool,
    Zygote,
)

_CONFINED, _ENTRY = "spikefleet.cli.confined_import", "read_by_hand"
_LIMITS = Limits(wall_s=3600.0, cpu_s=3600, memory_bytes=0, scratch_bytes=0)
_MOST_WORDS = 2000


def read_hand_curation(path: Path) -> dict[str, Any]:
    """Return the curation in a Phy folder or a document, as the service takes it.

    Raises InputCorruptError in the words of what is wrong with it, EnvironmentSortFailure where no
    process can be confined.
    """
    place = path.expanduser().resolve()
    for missing in missing_layers():
        click.echo(f"Warning: the reading is not fully confined: {missing}", err=True)
    with (
        tempfile.TemporaryDirectory(prefix="spikefleet-import-") as scratch,
        closing(Zygote((_CONFINED,), exporting_environment(), Path(scratch))) as zygote,
    ):
        try:
            answer = asyncio.run(_ask(OpeningPool(zygote), place))
        except OpeningError as error:
            raise own_failure(error) from error
    if "refused" in answer:
        raise InputCorruptError(str(answer["refused"])[:_MOST_WORDS], path=str(path))
    return dict(answer["curation"])


async def _ask(pool: OpeningPool, place: Path) -> dict[str, Any]:
    """Ask a process that may have been taken over; the service checks all that it says."""
    policy = SandboxPolicy(readable=(str(place),), writable=())
    answer = await pool.run(f"{_CONFINED}:{_ENTRY}", {"path": str(place)}, policy, _LIMITS)
    if not isinstance(answer, dict) or not (
        {"refused"} <= answer.keys() or isinstance(answer.get("curation"), dict)
    ):
        raise OpeningCrashedError("import", "answered nonsense")
    return answer
