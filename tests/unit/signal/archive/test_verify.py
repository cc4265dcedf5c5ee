"""Every way to damage an archive is caught and named; a whole one is called whole."""

from __future__ import annotations

import json
import os
import random
import shutil

import numpy as np
import pytest
from tests.support.archives import archive_folder

from spikefleet.core.failures.errors import InputMissingError
from spikefleet.core.files import digest_document
from spikefleet.signal.archive.manifest import NAME
from spikefleet.signal.archive.verify import verify_archive
from spikefleet.signal.simulation import SimulationRequest, simulate

CHUNKS = "streams/0/traces_seg0"
SEEDS = range(2)  # each kind by name here; all kinds at random in test_verify_mutations


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pristine")
    request = SimulationRequest(
        format="spikeglx", path=folder / "rec", n_channels=4, duration_s=3.4, n_units=1
    )
    archive_folder(simulate(request).path, folder / "out")
    return folder / "out"


@pytest.fixture
def archive(pristine, tmp_path):
    shutil.copytree(pristine, tmp_path / "out")
    return tmp_path / "out"


def _objects(archive):
    return sorted(entry for entry in archive.rglob("*") if entry.is_file() and entry.name != NAME)


def _flip(archive, rng):
    path = rng.choice([found for found in _objects(archive) if found.stat().st_size])
    payload = bytearray(path.read_bytes())
    payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
    path.write_bytes(payload)
    return path, {"content"}


def _truncate(archive, rng):
    path = rng.choice([found for found in _objects(archive) if found.stat().st_size])
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])
    return path, {"size"}


def _drop(archive, rng):
    path = rng.choice(_objects(archive))
    path.unlink()
    return path, {"missing"}


def _duplicate(archive, rng):
    path = archive / CHUNKS / "9.0"
    shutil.copy(archive / CHUNKS / f"{rng.randrange(4)}.0", path)
    return path, {"extra"}


def _add(archive, rng):
    path = rng.choice(_objects(archive)).parent / "new.bin"
    path.write_bytes(rng.randbytes(9))
    return path, {"extra"}


def _swap(archive, rng):
    one, two = (archive / CHUNKS / f"{row}.0" for row in rng.sample(range(4), 2))
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    return one, {"moved"}


def _zero(archive, rng):
    path = archive / CHUNKS / f"{rng.randrange(3)}.0"
    payload = bytearray(path.read_bytes())
    start = rng.randrange(len(payload) // 4096) * 4096
    payload[start : start + 4096] = bytes(4096)
    path.write_bytes(payload)
    return path, {"content"}


def _gain(archive, rng):
    path = archive / "streams/0/properties/gain_to_uV/0"
    gains = np.frombuffer(path.read_bytes()).copy()
    gains[rng.randrange(gains.size)] *= 2
    path.write_bytes(gains.tobytes())
    return path, {"content"}


def _reorder(archive, rng):
    path = archive / "streams/0/channel_ids/0"
    ids = path.read_bytes()
    half = len(ids) // 2
    path.write_bytes(ids[half:] + ids[:half])
    return path, {"content"}


MUTATIONS = [_flip, _truncate, _drop, _duplicate, _add, _swap, _zero, _gain, _reorder]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda found: found.__name__[1:])
def test_a_damaged_object_is_named_with_its_kind(archive, mutation, seed):
    path, kinds = mutation(archive, random.Random(seed))
    found = {damage.path: damage.kind for damage in verify_archive(archive).damages}
    assert found[path.relative_to(archive).as_posix()] in kinds


def test_a_whole_archive_is_called_whole_and_says_what_it_decoded(archive):
    heard: list[float] = []
    found = verify_archive(archive, heard.append)
    assert found.whole
    assert found.decoded_bytes == int(3.4 * 30_000) * 5 * 2
    assert set(found.samples_digests) == {"streams/0/traces_seg0", "streams/0/leftover_seg0"}
    assert heard[-1] == pytest.approx(1.0)


def test_a_swap_says_whose_bytes_are_there(archive):
    _swap(archive, random.Random(0))
    details = [damage.detail for damage in verify_archive(archive).damages]
    assert len(details) == 2
    assert all("archived as streams/0/traces_seg0/" in detail for detail in details)


def test_a_link_in_place_of_an_object_is_damage(archive):
    path = archive / CHUNKS / "0.0"
    shutil.move(path, archive.parent / "elsewhere")
    path.symlink_to(archive.parent / "elsewhere")
    kinds = {damage.kind for damage in verify_archive(archive).damages}
    assert kinds == {"not_a_file"}


def test_a_fifo_in_place_of_an_object_is_damage_and_not_waited_for(archive):
    path = archive / CHUNKS / "0.0"
    path.unlink()
    os.mkfifo(path)
    os.mkfifo(archive / "another")
    damages = verify_archive(archive).damages
    assert [(damage.path, damage.kind) for damage in damages] == [
        ("another", "not_a_file"),
        (f"{CHUNKS}/0.0", "not_a_file"),
    ]


def test_an_object_without_end_is_damage_and_not_read(archive):
    path = archive / CHUNKS / "0.0"
    os.truncate(path, 1 << 42)
    (archive / "another").touch()
    os.truncate(archive / "another", 1 << 42)
    damages = verify_archive(archive).damages
    assert [(damage.path, damage.kind) for damage in damages] == [
        ("another", "extra"),
        (f"{CHUNKS}/0.0", "size"),
    ]


def _rewrite(archive, change):
    """Change the manifest the way a careful forger would, its own digest included."""
    document = json.loads((archive / NAME).read_text())
    change(document)
    document.pop("digest")
    document["digest"] = digest_document(document)
    (archive / NAME).write_text(json.dumps(document))


def test_a_changed_manifest_is_damage_even_before_its_objects(archive):
    text = (
        (archive / NAME)
        .read_text()
        .replace('"sampling_rate_hz": 30000', '"sampling_rate_hz": 25000')
    )
    (archive / NAME).write_text(text)
    (damage,) = verify_archive(archive).damages
    assert (damage.path, damage.kind) == (NAME, "manifest")


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("gains_to_uv", "gains"),
        ("channel_ids", "channel ids"),
        ("sampling_rate_hz", "sampling rate"),
    ],
)
def test_metadata_that_disagrees_with_the_group_is_damage(archive, field, kind):
    def change(document):
        value = document["streams"][0][field]
        changed = [*value[1:], value[0]] if field == "channel_ids" else None
        changed = changed or ([9.0, *value[1:]] if isinstance(value, list) else value + 1)
        document["streams"][0][field] = changed

    _rewrite(archive, change)
    found = verify_archive(archive).damages
    assert [damage.kind for damage in found] == ["metadata"]
    assert kind in found[0].detail


def test_a_samples_digest_that_disagrees_with_the_chunks_is_damage(archive):
    def change(document):
        document["streams"][0]["traces"]["samples_digest"] = f"blake3:{0:064}"

    _rewrite(archive, change)
    assert {damage.kind for damage in verify_archive(archive).damages} == {"samples"}


def test_a_folder_without_a_manifest_is_unfinished(archive, tmp_path):
    (archive / NAME).unlink()
    assert verify_archive(archive).damages[0].kind == "manifest"
    with pytest.raises(InputMissingError):
        verify_archive(tmp_path / "nothing")
