"""What a sorter gets, and that a second attempt finds it instead of making it again."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.recordings import make_recording

from spikefleet.core.attempts import AttemptSpec, InputFile, InputPart, RunFolder
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.errors import InputCorruptError, InputMissingError
from spikefleet.core.files import read_json, write_json
from spikefleet.infra.stores.bytes.artifacts_open import open_artifacts
from spikefleet.ingest.staging import digest_file
from spikefleet.runner.load import load_recording
from spikefleet.runner.reach import content_digest
from spikefleet.runner.stage_in import stage_in
from spikefleet.runner.steps import other_reader
from spikefleet.signal.formats.reader_version import reader_version
from spikefleet.signal.open import open_recording
from spikefleet.signal.preparing.prepare import Prepared

COMMAND = [sys.executable, "-m", "spikefleet.runner.child"]


def inputs_of(path: Path, below: str = "", *, in_place: bool = True) -> tuple[InputFile, ...]:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return tuple(
        InputFile(
            f"{below}{file.relative_to(path.parent).as_posix()}",
            str(file),
            file.stat().st_size,
            digest_file(file),
            in_place,
        )
        for file in files
    )


def make_spec(tmp_path: Path, path: Path, **changes: Any) -> AttemptSpec:
    config = SortingConfig().override(sorter="mountainsort5", n_jobs=1)
    spec = AttemptSpec(
        run_id="r1",
        attempt_id="r1-sort-1",
        name="load",
        number=1,
        backend="mountainsort5",
        recording=path.name,
        stream="",
        inputs=inputs_of(path),
        config=config.to_document(),
        artifacts_url=(tmp_path / "artifacts").as_uri(),
        artifacts_prefix="runs/r1/attempts/sort-1",
        prepared_folder=str(tmp_path / "shared"),
    )
    return replace(spec, **changes)


def load(spec: AttemptSpec, root: Path, **overrides: Any) -> Prepared:
    """Stage and load as one attempt does, in a run folder of its own."""
    folder = RunFolder(root)
    stage_in(spec, folder, open_artifacts(spec.artifacts_url))
    config = SortingConfig.from_document(spec.config).override(**overrides)
    return load_recording(folder, spec, config, lambda _: None)


def test_a_second_attempt_finds_the_copy_and_other_parameters_never_do(tmp_path: Path) -> None:
    source = make_recording(tmp_path, "maxwell", wells=2).path
    spec = make_spec(tmp_path, source, stream="well000")
    first = load(spec, tmp_path / "sort-1")
    again = load(spec, tmp_path / "sort-2")
    assert (first.reused, again.reused, again.folder) == (False, True, first.folder)
    assert first.folder is not None
    assert first.folder.parent.parent == tmp_path / "shared"
    others = [
        load(spec, tmp_path / "a", freq_min=301),
        load(spec, tmp_path / "b", end_time_s=1.5),
        load(spec, tmp_path / "c", common_reference="median"),
        load(spec, tmp_path / "d", gain_to_uv=1.0),
        load(replace(spec, stream="well001"), tmp_path / "e"),
    ]
    assert not any(other.reused for other in others)
    assert len({first.folder, *(other.folder for other in others)}) == 1 + len(others)


def test_an_attempt_with_no_shared_place_keeps_the_copy_in_its_own_scratch(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, make_recording(tmp_path).path, prepared_folder="")
    first = load(spec, tmp_path / "sort-1")
    assert first.folder is not None
    assert first.folder.parent == tmp_path / "sort-1" / "prepared"
    assert load(spec, tmp_path / "sort-1").reused
    assert not load(spec, tmp_path / "sort-2").reused


def test_a_file_in_place_that_changed_is_prepared_anew(tmp_path: Path) -> None:
    source = make_recording(tmp_path, "maxwell").path
    spec = make_spec(tmp_path, source)
    before = load(spec, tmp_path / "sort-1").folder
    os.utime(source, (1, 1))
    changed = load(spec, tmp_path / "sort-2")
    assert (changed.reused, changed.folder == before) == (False, False)
    # Uploaded bytes are read back against their digest, so they are known by it wherever they lie.
    moved = replace(spec, inputs=inputs_of(source, in_place=False))
    name = content_digest(moved)
    os.utime(source, (2, 2))
    assert content_digest(moved) == name


def parts_of(paths: list[Path]) -> dict[str, Any]:
    return {
        "recording": "",
        "parts": tuple(InputPart(p.name, f"part-{i:03d}/{p.name}") for i, p in enumerate(paths)),
        "inputs": tuple(f for i, p in enumerate(paths) for f in inputs_of(p, f"part-{i:03d}/")),
    }


def test_parts_are_joined_in_order_with_their_names_and_lengths(tmp_path: Path) -> None:
    paths = [
        make_recording(tmp_path / name, seconds=seconds, name=name).path
        for name, seconds in (("take9", 2.0), ("take10", 3.0))
    ]
    spec = make_spec(tmp_path, paths[0], **parts_of(paths))
    joined = load(spec, tmp_path / "sort-1", freq_min=None, freq_max=None)
    assert [(f.name, f.n_samples) for f in joined.timeline.files] == [
        ("take9", 60_000),
        ("take10", 90_000),
    ]
    alone = [open_recording(path).get_traces() for path in paths]
    assert np.array_equal(joined.recording.get_traces(), np.concatenate(alone))
    turned = make_spec(tmp_path, paths[0], **parts_of(paths[::-1]))
    assert content_digest(turned) != content_digest(spec)


def test_a_window_across_two_parts_maps_every_sample_to_where_it_was_recorded(
    tmp_path: Path,
) -> None:
    paths = [
        make_recording(tmp_path / name, seconds=2.0, name=name, seed=seed).path
        for seed, name in enumerate(("a", "b"))
    ]
    spec = make_spec(tmp_path, paths[0], **parts_of(paths))
    windows = [[0.25, 0.5], [1.5, 2.75], [3.0, 3.125]]
    prepared = load(spec, tmp_path / "sort-1", freq_min=None, freq_max=None, rec_chunks_s=windows)
    recorded = np.concatenate([open_recording(path).get_traces() for path in paths])
    n_sorted = prepared.recording.get_num_samples()
    assert n_sorted == 30_000 * sum(end - start for start, end in windows)
    where = prepared.timeline.to_original(np.arange(n_sorted))
    assert np.array_equal(prepared.recording.get_traces(), recorded[where])
    index, frame = prepared.timeline.locate([n_sorted - 1])
    assert (prepared.timeline.files[index[0]].name, frame[0]) == ("b", 33_749)


def test_parts_that_differ_are_an_input_error_naming_both(tmp_path: Path) -> None:
    paths = [
        make_recording(tmp_path / name, channels=channels, name=name).path
        for name, channels in (("four", 4), ("six", 6))
    ]
    spec = make_spec(tmp_path, paths[0], **parts_of(paths))
    with pytest.raises(InputCorruptError, match="six differs from four: 6 channels, not 4"):
        load(spec, tmp_path / "sort-1")


def test_a_part_that_was_not_staged_is_named(tmp_path: Path) -> None:
    path = make_recording(tmp_path).path
    spec = make_spec(tmp_path, path, parts=(InputPart("lost", "part-001/lost"),))
    with pytest.raises(InputMissingError, match="lost"):
        load(spec, tmp_path / "sort-1")


def test_the_retry_of_a_killed_sort_finds_the_copy(tmp_path: Path) -> None:
    path = make_recording(tmp_path, seconds=10.0).path
    spec = make_spec(tmp_path, path)
    folders = [RunFolder(tmp_path / f"sort-{number}") for number in (1, 2)]
    for folder in folders:
        write_json(folder.spec, spec.to_json())
        stage_in(spec, folder, open_artifacts(spec.artifacts_url))
    killed = subprocess.Popen(
        [*COMMAND, str(folders[0].root)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert killed.stdout is not None
    assert any("step=sort" in line for line in killed.stdout)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait(10)
    done = subprocess.run([*COMMAND, str(folders[1].root)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    result = read_json(folders[1].child_result)
    assert result is not None
    assert result["prepared"]["reused"]
    assert (read_json(folders[1].timeline) or {})["kept"] == [[0, 300_000]]


def test_the_reader_that_was_chosen_opens_the_recording_and_no_other(tmp_path: Path) -> None:
    other = make_spec(tmp_path, make_recording(tmp_path / "rig").path, format="maxwell")
    folder = RunFolder(tmp_path / "other")
    stage_in(other, folder, open_artifacts(other.artifacts_url))
    config = SortingConfig.from_document(other.config)
    with pytest.raises(InputCorruptError, match="none of the formats"):
        load_recording(folder, other, config, print)


@pytest.mark.parametrize(
    ("reader", "told"),
    [("", {}), (reader_version(), {}), ("neo 0.1", {"reader_at_registration": "neo 0.1"})],
)
def test_a_result_tells_readers_other_than_those_at_registration(
    tmp_path: Path, reader: str, told: dict[str, str]
) -> None:
    spec = make_spec(tmp_path, make_recording(tmp_path / "rig").path, reader=reader)
    assert other_reader(spec) == told
