"""What the report of a full disk advises: one step, by whose room ended."""

from pathlib import Path

import pytest

from spikefleet.core.text import GIB
from spikefleet.infra.system.folder_usage import measure_folder
from spikefleet.runner.guards.disk_report import next_step_of


@pytest.mark.parametrize(
    ("limit", "missing", "said", "unsaid"),
    [
        (100, 0, "raise scratch.maxSize in the sorter's runner profile", "Free"),
        (100, 50, "raise scratch.maxSize in the sorter's runner profile", "Free"),
        (0, 10, "Free at least 10.0 GiB more on the scratch disk", "profile"),
        (0, -1, "Keep at least 5.0 GiB free on the scratch disk", "profile"),
    ],
)
def test_there_is_one_next_step_and_it_fits_the_place(
    tmp_path: Path, limit: int, missing: int, said: str, unsaid: str
) -> None:
    told = next_step_of(
        measure_folder(tmp_path),
        limit_bytes=limit * GIB,
        missing_bytes=missing * GIB,
        warn_bytes=5 * GIB,
    )
    assert said in told
    assert unsaid not in told
