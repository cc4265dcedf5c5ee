"""The runners' document: every key is known, every value of its kind, and a mistake has a place."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.runner_profiles import CPU, GIB, GPU, document, runners

from spikefleet.infra.launchers.kubernetes.profiles import (
    Runners,
    RunnersFileError,
    SharedRecordings,
)


def test_a_sorter_gets_its_own_profile_and_any_other_the_default_one() -> None:
    known = runners()
    assert known.profile("kilosort4").image.startswith("registry.example/kilosort4@sha256:")
    assert known.profile("lupin").image == "registry.example/cpu-sorters:1"


def test_a_sorter_without_any_profile_is_refused_with_its_name() -> None:
    known = runners(profiles={"kilosort4": GPU})
    with pytest.raises(RunnersFileError, match="no runner profile for lupin"):
        known.profile("lupin")


def test_only_the_sorters_named_take_the_default_profile() -> None:
    known = runners(defaultSorters=["lupin"])
    assert [known.offers(name) for name in ("kilosort4", "lupin", "mountainsort5")] == [
        True,
        True,
        False,
    ]
    with pytest.raises(RunnersFileError, match="no runner profile for mountainsort5"):
        known.profile("mountainsort5")
    assert known.machine("mountainsort5").sizes.memory_bytes == 0
    assert runners().offers("mountainsort5"), "an earlier document names nobody"


def test_sizes_are_bytes_and_go_from_the_first_to_the_largest() -> None:
    sizes = runners().profile("kilosort4").sizes
    assert (sizes.memory_bytes, sizes.most_memory_bytes) == (16 * GIB, 64 * GIB)
    assert (sizes.scratch_bytes, sizes.most_scratch_bytes) == (100 * GIB, 1024 * GIB)
    assert sizes.gpu_classes == ("24g", "80g")
    assert not sizes.is_gpu_shared
    shared = GPU | {"gpu": GPU["gpu"] | {"sharing": "shared"}}
    assert runners(profiles={"kilosort4": shared}).profile("kilosort4").sizes.is_gpu_shared


def test_a_claim_has_its_own_size() -> None:
    claimed = CPU | {"scratch": {"size": "1Gi", "claim": "fast-disk"}}
    sizes = runners(profiles={"default": claimed}).profile("lupin").sizes
    assert (sizes.scratch_bytes, sizes.most_scratch_bytes) == (0, 0)


def test_a_machine_tells_what_a_sorter_gets_and_of_one_without_a_profile_nothing() -> None:
    machine = runners().machine("kilosort4")
    assert (machine.has_gpu, machine.cpus, machine.sizes.memory_bytes) == (True, 4, 16 * GIB)
    assert runners().machine("lupin").has_gpu is False
    nothing = runners(profiles={"kilosort4": GPU}).machine("lupin")
    assert (nothing.has_gpu, nothing.sizes.memory_bytes) == (False, 0)


def test_what_is_not_said_has_a_default() -> None:
    profile = runners(profiles={"default": {"image": "i", "memory": "8Gi"}}).profile("any")
    assert (profile.cpus, profile.max_memory_bytes, profile.gpu) == (1, 8 * GIB, None)
    assert profile.scratch.size_bytes == 20 * GIB


def test_recordings_in_place_are_those_of_a_named_claim() -> None:
    assert runners().recordings is None
    told = {"claim": "archive", "path": "/recordings"}
    assert runners(recordings=told).recordings == SharedRecordings("archive", "/recordings")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"version": 2}, "version 2 is not understood"),
        ({"nameSpace": "x"}, "runners: unknown nameSpace"),
        ({"instance": ""}, "runners.instance: it may not be empty"),
        ({"recordings": {"claim": "", "path": "/r"}}, "recordings.claim: it may not be empty"),
        ({"recordings": {"claim": "a", "path": "r"}}, "recordings.path: 'r' is not absolute"),
        ({"profiles": {}}, "at least one profile"),
        ({"profiles": {"a": CPU | {"memroy": "1Gi"}}}, "profiles.a: unknown memroy"),
        ({"profiles": {"a": CPU | {"memory": "16GB"}}}, "profiles.a.memory: '16GB' is no amount"),
        ({"profiles": {"a": CPU | {"maxMemory": "1Gi"}}}, "maxMemory: it may not be less"),
        ({"profiles": {"a": CPU | {"cpus": 0}}}, "cpus: at least one"),
        ({"profiles": {"a": CPU | {"cpus": True}}}, "profiles.a.cpus: True is no int"),
        ({"profiles": {"a": CPU | {"env": {"N": 1}}}}, "env: every value must be a text"),
        ({"profiles": {"a": CPU | {"gpu": {"sharing": "most"}}}}, "gpu.sharing: 'most' is none"),
        ({"profiles": {"a": CPU | {"gpu": {"count": 0}}}}, "gpu.count: at least one"),
        ({"profiles": {"a": CPU | {"gpu": {"classes": [{}]}}}}, r"gpu.classes\[0\].name"),
        ({"profiles": {"a": CPU | {"scratch": {"size": "2Gi", "maxSize": "1Gi"}}}}, "maxSize"),
        (
            {"profiles": {"kilosrt4": CPU}},
            "runners.profiles: kilosrt4 is no sorter; known are kilo",
        ),
        ({"defaultSorters": ["lupn"]}, "runners.defaultSorters: lupn is no sorter"),
        ({"profiles": {"a": []}}, "profiles.a: an object is needed"),
    ],
)
def test_a_mistake_is_refused_with_its_place(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(RunnersFileError, match=place):
        Runners.from_json(document(**changes))


def test_the_file_is_read_and_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runners.json"
    path.write_text(json.dumps(document()))
    assert Runners.read(path) == runners()
    for broken in ("{", "[]"):
        path.write_text(broken)
        with pytest.raises(RunnersFileError, match="JSON"):
            Runners.read(path)
