"""What a process must not load: measured in a fresh interpreter, not read from the source."""

import json
import subprocess
import sys

import pytest

SORTERS = {"torch", "kilosort", "mountainsort5", "hdbscan"}
SCIENCE = {"numpy", "scipy", "spikeinterface", "h5py", "neo", "sklearn", "numba", "pandas"}
DRAWING = {"matplotlib"}
HTTP = {"http", "urllib3"}
PLANE = {"sqlalchemy", "psycopg", "prometheus_client", "psutil"}


def _loaded_by(statement: str) -> set[str]:
    """Top-level packages in memory after the statement, in a new interpreter."""
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


@pytest.mark.parametrize(
    "module",
    [
        "spikefleet.ingest.servicer",
        "spikefleet.preflight.servicer",
        "spikefleet.curation.servicer",
        "spikefleet.reporter.servicer",
        "spikefleet.controller.servicer",
        "spikefleet.deploy.embedded",
    ],
)
def test_the_control_plane_loads_no_sorter_and_draws_nothing(module: str) -> None:
    assert _loaded_by(f"import {module}") & (SORTERS | DRAWING | {"sklearn", "numba"}) == set()


def test_a_rig_loads_no_science_and_no_control_plane() -> None:
    loaded = _loaded_by("import spikefleet, spikefleet.client.sorting, spikefleet.cli.main")
    assert loaded & (SORTERS | SCIENCE | DRAWING | PLANE) == set()


def test_a_rig_loads_no_http_client_before_it_has_bytes_for_a_bucket() -> None:
    assert _loaded_by("import spikefleet.client.sorting, spikefleet.client.uploads") & HTTP == set()


def test_the_runners_parent_loads_nothing_a_sorter_could_break() -> None:
    assert _loaded_by("import spikefleet.runner.parent") & (SORTERS | SCIENCE | DRAWING) == set()


def test_knowing_the_sorters_by_name_imports_none_of_them() -> None:
    assert _loaded_by("import spikefleet.signal.sorters.base") & (SORTERS | SCIENCE) == set()
