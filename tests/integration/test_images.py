"""Images are built by their recipes and started as a pod starts them."""

import json
import os
from pathlib import Path

import pytest
from tests.support.container_images import (
    build,
    packed_bytes_of_the_last_layer,
    require_builder,
    run,
)

from spikefleet.controller.attempt_documents import StoredDocuments
from spikefleet.core.attempts import AttemptSpec, InputFile
from spikefleet.core.config import resolve
from spikefleet.core.recording.file_sets import recording_files
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.signal.simulation import SimulationRequest, simulate

PREFIX = "runs/run/attempts/sort-1"
USER = 10001
# Building takes minutes and gigabytes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.xdist_group("images")]


@pytest.fixture(scope="module")
def rooms() -> str:
    """The name of the rooms' image, built now."""
    require_builder()
    return build("rooms")


@pytest.fixture(scope="module")
def sorters() -> str:
    """The name of the image of the sorters without a GPU, built now."""
    require_builder()
    return build("cpu-sorters")


def test_the_rooms_image_starts_as_nobody_on_a_root_that_cannot_be_written(rooms: str) -> None:
    done = run(rooms, "sh", "-c", "spikefleet --version && id -u && ! touch /written")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["spikefleet, version 0.1.0", "10001"]


def test_the_rooms_image_can_serve_every_room(rooms: str) -> None:
    look = (
        "from importlib import import_module as load\n"
        "for room in ('ingest', 'confined', 'controller', 'serving'):\n"
        "    load(f'spikefleet.deploy.rooms.{room}')\n"
        "load('spikefleet.infra.launchers.kubernetes.profiles')\n"
        "import kubernetes, minio, pyseccomp, psycopg, matplotlib, spikeinterface\n"
    )
    done = run(rooms, "python", "-c", look)
    assert done.returncode == 0, done.stderr


def test_a_room_that_is_not_told_enough_says_what_is_missing(rooms: str) -> None:
    done = run(rooms, "python", "-m", "spikefleet.deploy.cluster", "ingest",
               SPIKEFLEET_DATA_DIR="/tmp/data")  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "room_secret_file" in done.stderr


def test_the_database_is_migrated_by_the_image_that_serves_it(rooms: str) -> None:
    told = {"SPIKEFLEET_DATA_DIR": "/tmp", "SPIKEFLEET_DATABASE_URL": "sqlite:////tmp/runs.db"}
    done = run(rooms, "python", "-m", "spikefleet.deploy.cluster", "--migrate", **told)
    assert done.returncode == 0, done.stderr
    assert "schema version" in done.stdout


def test_a_runner_without_an_order_ends_with_the_name_of_what_is_missing(sorters: str) -> None:
    done = run(sorters)
    assert done.returncode not in (0, 1), done.stderr
    assert "SPIKEFLEET_ATTEMPT_SPEC is not set" in done.stdout + done.stderr


def test_the_sorters_image_has_its_sorters_and_no_root(sorters: str) -> None:
    look = (
        "import os, torch, mountainsort5, spikeinterface.sorters, minio\n"
        "from spikefleet.deploy import pod\n"
        "print(os.getuid())\n"
    )
    done = run(sorters, "python", "-c", look)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "10001"


def test_a_pod_of_the_sorters_image_sorts_on_a_root_that_cannot_be_written(
    sorters: str, tmp_path: Path
) -> None:
    recording = simulate(SimulationRequest("binary", tmp_path / "rec", 8, 10.0, 4, seed=1)).path
    root, files, entry = recording_files(recording)
    store = LocalArtifacts(tmp_path / "store")
    spec = AttemptSpec(
        run_id="run",
        attempt_id="run/sort-1",
        name="sort-1",
        number=1,
        backend="mountainsort5",
        recording=entry,
        stream="",
        inputs=tuple(
            InputFile(path.relative_to(root).as_posix(), str(path), path.stat().st_size)
            for path in (root / file for file in files)
        ),
        config=resolve("mountainsort5", {}).to_document(),
        artifacts_url=store.url,
        artifacts_prefix=PREFIX,
        duration_s=10.0,
    )
    key, digest = StoredDocuments(store).write_spec(spec)
    (tmp_path / "scratch").mkdir()
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, USER, USER)
    done = run(
        sorters,
        mounts={tmp_path: str(tmp_path), tmp_path / "scratch": "/scratch"},
        HOME="/tmp",
        SPIKEFLEET_ATTEMPT_SPEC=key,
        SPIKEFLEET_ATTEMPT_SPEC_SHA256=digest,
        SPIKEFLEET_ARTIFACTS_URL=store.url,
        SPIKEFLEET_SCRATCH="/scratch",
        SPIKEFLEET_POD_NAME="sort-1-abcde",
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    outcome = json.loads(store.get_bytes(f"{PREFIX}/outcome.json"))
    assert outcome["exit_code"] == 0
    assert outcome["n_units"] >= 2


@pytest.mark.parametrize("image", ["rooms", "cpu-sorters"])
def test_an_image_lists_the_licences_of_all_it_holds(image: str, rooms: str, sorters: str) -> None:
    name = {"rooms": rooms, "cpu-sorters": sorters}[image]
    done = run(name, "cat", "/usr/share/spikefleet/licences.json")
    rows = {row["name"].lower(): row for row in json.loads(done.stdout)}
    frozen = run(name, "pip", "list", "--format", "json")
    installed = {row["name"].lower(): row["version"] for row in json.loads(frozen.stdout)}
    assert {key: row["version"] for key, row in rows.items()} == installed
    assert [key for key, row in rows.items() if row["licence"] == "unknown"] == []


def test_a_new_release_moves_less_than_five_megabytes(rooms: str, tmp_path: Path) -> None:
    assert packed_bytes_of_the_last_layer(rooms, tmp_path / "layout") < 5_000_000
