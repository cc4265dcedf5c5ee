"""Curating a stored sort."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from spikeinterface.core import NumpySorting, generate_ground_truth_recording
from tests.support.confined import curate_sort
from tests.support.sorted_runs import (
    CURATION,
    CURATION_PREFIX,
    SORT,
    SORT_PREFIX,
    flip_byte,
    publish_sort,
    write_sort,
)

from spikefleet.core.attempts import Stage
from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.rooms.curation import CurationTask
from spikefleet.core.runs import AttemptPlace
from spikefleet.curation.curate import curate_into
from spikefleet.infra.stores.bytes.artifacts import verify_prefix
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.signal.preparing.timeline import FileSpan, Timeline
from spikefleet.signal.units.analyzer import build_analyzer

TASK = CurationTask(SORT, CURATION, CurationConfig(snr_min=None), WaveformConfig())


@pytest.fixture(scope="module")
def sort_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sort")
    write_sort(folder)
    return folder


@pytest.fixture
def store(tmp_path, sort_folder):
    store = LocalArtifacts(tmp_path)
    publish_sort(store, sort_folder)
    return store


def test_curation_leaves_history_table_and_trains(store, tmp_path):
    answer = curate_sort(store, TASK)
    assert answer.failure is None
    assert (answer.unit_count_sorted, answer.prefix) == (5, CURATION_PREFIX)
    names = {f.key.rsplit("/", 1)[1] for f in verify_prefix(store, CURATION_PREFIX)}
    assert names == {"curation.json", "units.csv", "curated.npz"}
    history = json.loads(store.get_bytes(f"{CURATION_PREFIX}/curation.json"))
    assert len(history["curated_final"]) == answer.unit_count_curated
    assert [u["unit_id"] for u in history["units"]] == history["initial"]
    rows = list(
        csv.DictReader(store.get_bytes(f"{CURATION_PREFIX}/units.csv").decode().splitlines())
    )
    assert len(rows) == 5
    with np.load(store.local_path(f"{CURATION_PREFIX}/curated.npz")) as curated:
        assert len(curated["units"]) == answer.unit_count_curated


def test_simulated_units_fire_at_the_simulated_rate(store):
    curate_sort(store, TASK)
    history = json.loads(store.get_bytes(f"{CURATION_PREFIX}/curation.json"))
    rates = [u["firing_rate_hz"] for u in history["units"]]
    assert np.mean(rates) == pytest.approx(8.0, rel=0.25)
    assert all(u["isi_percent"] == 0.0 for u in history["units"])


def test_no_unit_passing_is_a_success_with_nothing_curated(store):
    strict = replace(TASK, curation=CurationConfig(snr_min=1e9))
    answer = curate_sort(store, strict)
    assert answer.failure is None
    assert (answer.unit_count_sorted, answer.unit_count_curated) == (5, 0)


def test_curating_again_writes_nothing_new(store):
    assert curate_sort(store, TASK) == curate_sort(store, TASK)


def test_incomplete_sort_is_refused_by_name(store):
    answer = curate_sort(store, replace(TASK, sort=AttemptPlace("none", Stage.SORT, 1)))
    assert answer.failure is not None
    assert answer.failure.code is FailureCode.INCOMPLETE


def test_unreadable_analyzer_is_input_corrupt(tmp_path, sort_folder):
    store = LocalArtifacts(tmp_path)
    damaged = tmp_path / "damaged"
    (damaged / "analyzer").mkdir(parents=True)
    (damaged / "analyzer" / "sorting_analyzer.json").write_text("{}")
    publish_sort(store, damaged)
    answer = curate_sort(store, TASK)
    assert answer.failure is not None
    assert answer.failure.code is FailureCode.INPUT_CORRUPT


def test_sort_without_units_is_curated_to_nothing(tmp_path):
    store = LocalArtifacts(tmp_path / "artifacts")
    folder = tmp_path / "sort"
    folder.mkdir()
    recording, sorting = generate_ground_truth_recording(durations=[2.0], num_channels=4)
    nothing = sorting.select_units([])
    build_analyzer(recording, nothing, folder / "analyzer", WaveformConfig(), seed=1)
    publish_sort(store, folder)
    answer = curate_sort(store, TASK)
    assert answer.failure is None
    assert (answer.unit_count_sorted, answer.unit_count_curated) == (0, 0)


def test_a_late_curation_of_a_sort_with_one_flipped_byte_names_the_file_and_what_helps(store):
    assert curate_sort(store, TASK).failure is None
    key = next(f.key for f in verify_prefix(store, SORT_PREFIX) if f.size_bytes > 1000)
    flip_byte(store, key)
    later = replace(TASK, attempt=replace(CURATION, number=2))
    failure = curate_sort(store, later).failure
    assert failure is not None
    assert failure.code is FailureCode.INCOMPLETE
    assert key in failure.message
    assert "--stage sort" in failure.next_step


@pytest.fixture
def joined(tmp_path, sort_folder):
    """The same sort, of two recordings of 6 s and 4 s."""
    store = LocalArtifacts(tmp_path)
    folder = tmp_path / "joined"
    shutil.copytree(sort_folder, folder)
    files = (FileSpan("a", 120_000), FileSpan("b", 80_000))
    timeline = Timeline(20_000.0, files, ((0, 200_000),)).to_json()
    (folder / "timeline.json").write_text(json.dumps(timeline))
    publish_sort(store, folder)
    return store


def test_recordings_sorted_as_one_are_measured_apart_and_one_of_them_may_judge(joined):
    curation = CurationConfig(snr_min=None, spikes_min_second=None, spikes_min_first=36)
    answers = []
    for number, epoch in enumerate((None, 0, 1), start=1):
        judged = curation.model_copy(update={"curation_epoch": epoch})
        task = replace(TASK, curation=judged, attempt=replace(CURATION, number=number))
        answers.append(curate_sort(joined, task))
    assert [answer.failure for answer in answers] == [None] * 3
    told = json.loads(joined.get_bytes(f"{answers[2].prefix}/curation.json"))
    assert [(epoch["name"], epoch["duration_s"]) for epoch in told["epochs"]] == [
        ("a", 6),
        ("b", 4),
    ]
    by_epoch = [row["spike_count"] for row in told["units_by_epoch"]]
    assert [a + b for a, b in zip(by_epoch[::2], by_epoch[1::2], strict=True)] == [
        unit["spike_count"] for unit in told["units"]
    ]
    assert list(told["metrics"]["spikes_min_first"].values()) == by_epoch[1::2]
    kept = [answer.unit_count_curated for answer in answers]
    assert kept == [
        sum(a + b >= 36 for a, b in zip(by_epoch[::2], by_epoch[1::2], strict=True)),
        sum(a >= 36 for a in by_epoch[::2]),
        sum(b >= 36 for b in by_epoch[1::2]),
    ]
    assert kept[0] > kept[2]
    table = joined.get_bytes(f"{answers[2].prefix}/epochs.csv").decode().splitlines()
    assert len(table) == 1 + len(by_epoch)


def test_an_epoch_that_is_none_is_refused_in_words(joined):
    task = replace(TASK, curation=CurationConfig(curation_epoch=2))
    failure = curate_sort(joined, task).failure
    assert failure is not None
    assert failure.code is FailureCode.INVALID_CONFIGURATION
    assert "0 (a), 1 (b)" in failure.message


def test_another_refractory_period_counts_other_violations_and_is_named(store):
    longer = replace(TASK, curation=CurationConfig(snr_min=None, refractory_period_ms=19.0))
    assert curate_sort(store, longer).failure is None
    told = json.loads(store.get_bytes(f"{CURATION_PREFIX}/curation.json"))
    assert told["refractory_period_ms"] == 19.0
    assert all(unit["isi_violation_count"] > 0 for unit in told["units"])
    assert all(unit["rp_violations"] >= unit["isi_violation_count"] for unit in told["units"])


def split_sort(folder):
    """A sort in which one neuron of a quiet recording is in two units; their names and the data."""
    recording, sorting = generate_ground_truth_recording(
        durations=[20.0], sampling_frequency=20_000.0, num_channels=8, num_units=3, seed=5
    )
    trains = {str(unit): sorting.get_unit_spike_train(unit) for unit in sorting.unit_ids}
    whole = max(trains, key=lambda unit: len(trains[unit]))
    half = np.random.default_rng(1).random(len(trains[whole])) < 0.6
    n_whole = len(trains[whole])
    trains |= {whole: trains[whole][half], "twin": trains[whole][~half]}
    split = NumpySorting.from_unit_dict([trains], 20_000.0)
    build_analyzer(recording, split, folder / "analyzer", WaveformConfig(), seed=1)
    return {whole, "twin"}, n_whole


def test_a_split_neuron_is_suggested_and_joined_where_that_is_asked_for(tmp_path):
    halves, n_whole = split_sort(tmp_path)
    loose = {"snr_min": None, "spikes_min_first": 5, "spikes_min_second": 5}
    documents = {}
    for merge in ("none", "suggest", "apply"):
        folder = tmp_path / merge
        folder.mkdir()
        config = CurationConfig(merge=merge, **loose)
        curate_into(folder, tmp_path / "analyzer", {}, config, WaveformConfig())
        documents[merge] = json.loads((folder / "curation.json").read_text())
    assert documents["none"]["merge_suggestions"] == []
    (suggested,) = documents["suggest"]["merge_suggestions"]
    assert set(suggested["unit_ids"]) == halves
    assert not suggested["applied"]
    assert len(documents["suggest"]["curated_final"]) == 4
    applied = documents["apply"]
    made = suggested["new_id"]
    assert applied["failed"][f"merged into {made}"] == suggested["unit_ids"]
    assert made in applied["curated_final"]
    assert len(applied["curated_final"]) == 3
    assert made not in applied["initial"]
    rows = {row["unit_id"]: row for row in applied["units"]}
    assert rows[made]["spike_count"] == n_whole - suggested["n_dropped"]
    assert rows[made]["label"]
    assert len(rows) == 5
    with np.load(tmp_path / "apply" / "curated.npz") as curated:
        assert set(curated["units"]["unit_id"]) == set(applied["curated_final"])
