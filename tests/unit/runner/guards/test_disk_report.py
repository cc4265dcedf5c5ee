"""What the report of a full disk advises."""

from pathlib import Path

from spikefleet.core.text import GIB
from spikefleet.infra.system.folder_usage import measure_folder
from spikefleet.runner.guards.disk_report import suggest_actions


def test_the_projected_shortfall_is_the_first_advice(tmp_path: Path) -> None:
    usage = measure_folder(tmp_path)
    short = suggest_actions(usage, free_bytes=GIB, warn_bytes=5 * GIB, needed_bytes=11 * GIB)
    assert short[0].startswith("give the attempt 10.0 GiB more")
    unknown = suggest_actions(usage, free_bytes=GIB, warn_bytes=5 * GIB, needed_bytes=0)
    assert unknown[0].startswith("keep at least 5.0 GiB free")
