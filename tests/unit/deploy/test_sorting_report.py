"""Reports of fetched runs by the names of earlier pipelines."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from tests.support.fetched_run import write_fetched_run

import spikefleet
from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.deploy.notebook import RecordingResult
from spikefleet.deploy.sorting_report import (
    SortRunReport,
    extract_unit_quality_stats,
    generate_sorting_report,
    parse_sorting_log,
)

LOG = """[spikefleet] started
[spikefleet] step=load
[spikefleet] fraction=0.50
[spikefleet] waiting for another attempt that prepares the same recording
[spikefleet] step=sort
UserWarning: a thing
Traceback (most recent call last):
  File "a.py", line 1, in <module>
ValueError: the first
[spikefleet] step=sort
Traceback (most recent call last):
  File "b.py", line 2, in <module>
RuntimeError: the last
after
"""


def result(name: str, status: RunStatus) -> RecordingResult:
    return RecordingResult(name, f"/data/{name}", "", status, Path("/out"), 1.5)


def test_a_report_of_several_counts_them_and_of_nothing_is_no_success() -> None:
    report = SortRunReport((result("a", RunStatus.SUCCESS), result("b", RunStatus.UNSORTABLE)))
    assert [record.rec_name for record in report.succeeded] == ["a"]
    assert [record.rec_name for record in report.failed] == ["b"]
    assert not report.all_succeeded
    assert not SortRunReport(()).all_succeeded
    told = json.loads(json.dumps(report.to_dict()))
    assert (told["n_total"], told["n_succeeded"], told["n_failed"]) == (2, 1, 1)
    assert told["records"][0]["results_folder"] == "/out"
    assert told["records"][1]["status"] == "unsortable"


def test_a_log_is_read_as_stages_own_words_warnings_and_the_last_traceback(tmp_path: Path) -> None:
    log = tmp_path / "sort" / "logs" / "child.log"
    log.parent.mkdir(parents=True)
    log.write_text(LOG)
    for given in (log, tmp_path):
        told = parse_sorting_log(given)
        assert told["stages"] == ["load", "sort"]
        assert told["said"][1].startswith("waiting for another")
        assert told["warnings"] == ["UserWarning: a thing"]
        assert told["traceback"].endswith("RuntimeError: the last")
        assert "the first" not in told["traceback"]
        assert told["tail"][-1] == "after"


def test_what_is_no_log_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for given in (tmp_path / "pipe", tmp_path, tmp_path / "none"):
        with pytest.raises(FileNotFoundError):
            parse_sorting_log(given)


def test_quality_is_that_of_the_curated_units_as_numpy_says_it(tmp_path: Path) -> None:
    folder = write_fetched_run(tmp_path / "run")
    results = spikefleet.load_results(folder)
    stats = extract_unit_quality_stats(folder)
    snr = [unit.metrics["snr"] for unit in results.curated.values()]
    assert stats["snr"]["n"] == len(snr) > 1
    assert stats["snr"]["mean"] == pytest.approx(np.mean(snr))
    assert stats["snr"]["std"] == pytest.approx(np.std(snr))
    assert stats["snr"]["median"] == pytest.approx(np.median(snr))
    assert stats["total_spikes"] == sum(len(u.spike_frames) for u in results.curated.values())
    assert extract_unit_quality_stats(results) == stats


def test_a_record_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputCorruptError, match="no such file"):
        generate_sorting_report(tmp_path)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "recording_report.json").write_text('{"version": 1}')
    with pytest.raises(InputCorruptError, match="no record of a run"):
        generate_sorting_report(tmp_path)
