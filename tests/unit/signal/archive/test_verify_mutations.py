"""Whatever is done to an archive's files, no change of a sample passes: found by random damage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.archives import archive_folder, neural_like, save_folder
from tests.support.formats.mcs import write_mcs

from spikefleet.core.failures.errors import SpikeSortingClassifiedError
from spikefleet.signal.archive.manifest import NAME
from spikefleet.signal.archive.verify import verify_archive
from spikefleet.signal.open import open_recording

Action = tuple[str, int, int, int]


@pytest.fixture(scope="module", params=["flat", "container"])
def archive(request, tmp_path_factory) -> tuple[Path, np.ndarray]:
    folder = tmp_path_factory.mktemp("mutated")
    samples = neural_like(2_300, 3)
    if request.param == "flat":
        path = save_folder(samples, folder / "rec")
    else:
        path = write_mcs(folder / "a.h5", np.ascontiguousarray(samples.T))
    archive_folder(path, folder / "out")
    return folder / "out", open_recording(path).get_traces()


@contextmanager
def _put_back(archive: Path) -> Iterator[None]:
    """Restore the archive's files afterwards; copying it for each example would take longer."""
    before = {path: path.read_bytes() for path in archive.rglob("*") if path.is_file()}
    try:
        yield
    finally:
        for path in archive.rglob("*"):
            if path.is_file() and path not in before:
                path.unlink()
        for path, payload in before.items():
            if not path.is_file() or path.read_bytes() != payload:
                path.write_bytes(payload)


def _damage(archive: Path, action: Action) -> None:
    """Do one thing to the archive; some do nothing to some files."""
    kind, which, other, amount = action
    files = sorted(path for path in archive.rglob("*") if path.is_file())
    one, two = files[which % len(files)], files[other % len(files)]
    _DAMAGES[kind](one, two, amount)


def _flip(one: Path, two: Path, amount: int) -> None:
    payload = bytearray(one.read_bytes())
    if payload:
        payload[amount % len(payload)] ^= 1 << (len(two.name) % 8)
    one.write_bytes(payload)


def _cut(one: Path, two: Path, amount: int) -> None:
    payload = one.read_bytes()
    one.write_bytes(payload[: amount % max(1, len(payload))])


def _grow(one: Path, two: Path, amount: int) -> None:
    one.write_bytes(one.read_bytes() + bytes(1 + amount % 9))


def _remove(one: Path, two: Path, amount: int) -> None:
    one.unlink()


def _add(one: Path, two: Path, amount: int) -> None:
    one.with_name(f"{amount % 50}.{amount % 3}x").write_bytes(two.read_bytes())


def _swap(one: Path, two: Path, amount: int) -> None:
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def _copy_over(one: Path, two: Path, amount: int) -> None:
    one.write_bytes(two.read_bytes())


def _swap_in_manifest(one: Path, two: Path, amount: int) -> None:
    """Let two objects change names in the manifest, which then no longer fits its own digest."""
    archive = next(path for path in one.parents if path.name == "out")
    manifest = archive / NAME
    if manifest.is_file():
        first, second = (path.relative_to(archive).as_posix() for path in (one, two))
        text = manifest.read_text(errors="replace")
        manifest.write_text(text.replace(first, "@").replace(second, first).replace("@", second))


_DAMAGES = {
    "flip": _flip,
    "cut": _cut,
    "grow": _grow,
    "remove": _remove,
    "add": _add,
    "swap": _swap,
    "copy over": _copy_over,
    "swap in manifest": _swap_in_manifest,
}
_number = st.integers(0, 1 << 20)
_actions = st.lists(
    st.tuples(st.sampled_from(sorted(_DAMAGES)), _number, _number, _number), min_size=1, max_size=3
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=_actions)
def test_no_change_passes_and_no_changed_sample_is_read(archive, actions: list[Action]) -> None:
    path, samples = archive
    with _put_back(path):
        before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
        for action in actions:
            _damage(path, action)
        after = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
        found = verify_archive(path)
        assert found.whole == (before == after)
        # Whatever reading makes of it: the samples of before, or a classified refusal.
        try:
            assert np.array_equal(open_recording(path).get_traces(), samples)
        except SpikeSortingClassifiedError:
            assert before != after


def test_the_archive_is_as_it_was_after_all_that(archive) -> None:
    assert verify_archive(archive[0]).whole
