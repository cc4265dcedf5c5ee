"""The manifest reads back what was written and notices any change to itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.support.archives import archive_folder, neural_like, save_folder

from spikefleet.core.failures.errors import InputCorruptError, InputMissingError
from spikefleet.signal.archive.manifest import (
    NAME,
    ArchiveManifest,
    is_archive,
    load_manifest,
    read_manifest,
)
from spikefleet.signal.archive.restore import restore_archive
from spikefleet.signal.archive.verify import verify_archive
from spikefleet.signal.open import open_recording

# Written by the first version of this format: three channels of ``neural_like``.
VERSION_1 = Path(__file__).parents[3] / "support/archive_version_1.zip"


@pytest.fixture
def archive(tmp_path):
    out = tmp_path / "archive"
    archive_folder(save_folder(neural_like(300, 2), tmp_path / "rec"), out)
    return out


def test_a_manifest_reads_back_as_it_was_written(archive):
    manifest = read_manifest(archive)
    assert ArchiveManifest.from_json(manifest.to_json()) == manifest
    assert not manifest.kept
    assert manifest.source_bytes > 1200
    assert manifest.ratio == manifest.source_bytes / manifest.stored_bytes


@pytest.mark.parametrize("field", ["gains_to_uv", "channel_ids", "sampling_rate_hz"])
def test_a_changed_value_is_noticed(archive, field):
    document = json.loads((archive / NAME).read_text())
    value = document["streams"][0][field]
    document["streams"][0][field] = value[::-1] if isinstance(value, list) else value * 2
    (archive / NAME).write_text(json.dumps(document))
    with pytest.raises(InputCorruptError, match="own digest") as caught:
        read_manifest(archive)
    assert caught.value.evidence["reason"] == "digest_mismatch"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"digest": "x"}', "\x80"])
def test_a_manifest_that_is_not_one_is_unreadable(archive, text):
    (archive / NAME).write_bytes(text.encode("latin-1"))
    with pytest.raises(InputCorruptError) as caught:
        read_manifest(archive)
    assert caught.value.evidence["reason"] == "unreadable"


def test_a_later_version_is_refused_by_its_number(archive):
    document = json.loads((archive / NAME).read_text()) | {"version": 99}
    (archive / NAME).write_text(json.dumps(document))
    with pytest.raises(InputCorruptError, match="99"):
        read_manifest(archive)


def test_a_folder_without_a_manifest_is_no_archive(tmp_path):
    assert not is_archive(tmp_path)
    with pytest.raises(InputMissingError, match="not a finished archive"):
        read_manifest(tmp_path)


def test_an_archive_of_version_1_still_opens_and_verifies(tmp_path):
    shutil.unpack_archive(VERSION_1, tmp_path)
    manifest = load_manifest(tmp_path / "archive")
    assert manifest.streams[0].traces.samples_digest.startswith("sha256:")
    assert {stored.digest.partition(":")[0] for stored in manifest.objects} == {"sha256"}
    assert np.array_equal(open_recording(tmp_path / "archive").get_traces(), neural_like(300, 3))
    assert verify_archive(tmp_path / "archive").whole
    restore_archive(tmp_path / "archive", tmp_path / "back")
    chunk = next((tmp_path / "archive/streams/0/traces_seg0").glob("0.0"))
    chunk.write_bytes(chunk.read_bytes()[:-1])
    assert [damage.kind for damage in verify_archive(tmp_path / "archive").damages] == ["size"]
