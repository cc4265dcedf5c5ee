"""Noise alone gives no unit, whichever sorter is asked: not in the run, its report or its files."""

import pytest
from tests.support.recordings import make_recording

import spikefleet
from spikefleet.core.runs import RunState
from spikefleet.core.sorters.catalogue import BACKENDS

UNSORTABLE = 80


@pytest.mark.parametrize("sorter", sorted(BACKENDS))
def test_noise_alone_ends_unsortable_without_a_unit(shared_service, tmp_path, sorter):
    noise = make_recording(tmp_path, seconds=10.0, channels=8, condition="noise").path
    with shared_service.client() as client:
        batch = client.submit(noise, sorter)
        (run,) = client.wait(batch.run_ids, timeout_s=240)
        report = client.report(run.run_id).report
        client.fetch(run.run_id, tmp_path / "results")
    assert run.failure is not None
    assert (run.state, run.status) == (RunState.SKIPPED, "unsortable")
    assert (str(run.failure.code), run.failure.row.exit_code) == (
        "insufficient_activity",
        UNSORTABLE,
    )
    assert report["run"]["backend"] == sorter
    assert (report["status"], report["units"]) == ("unsortable", [])
    results = spikefleet.load_results(tmp_path / "results")
    assert (results.status, results.units, results.curated) == ("unsortable", {}, {})
