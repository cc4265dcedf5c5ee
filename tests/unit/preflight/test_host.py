"""What the service reads of its own machine."""

from spikefleet.preflight.host import read_host
from spikefleet.preflight.places import PreflightPlaces


def test_free_space_is_that_of_the_nearest_folder_that_exists(tmp_path):
    places = PreflightPlaces(f"file://{tmp_path}/not/yet", str(tmp_path / "scratch" / "not-yet"))
    host = read_host(places)
    assert host.free_scratch_bytes == host.free_results_bytes
    assert host.free_scratch_bytes > 0
    assert (host.scratch_writable, host.results_writable) == (True, True)


def test_places_on_other_machines_are_not_read(tmp_path):
    host = read_host(PreflightPlaces("s3://bucket/prefix", ""))
    assert (host.free_scratch_bytes, host.scratch_writable) == (None, None)
    assert (host.free_results_bytes, host.results_writable) == (None, None)
    assert host.sorts_here
    assert not read_host(PreflightPlaces("s3://bucket/prefix", "", sorts_here=False)).sorts_here


def test_memory_and_the_installed_version_are_read(tmp_path):
    host = read_host(PreflightPlaces(f"file://{tmp_path}", str(tmp_path)))
    assert host.available_memory_bytes > 0
    assert host.spikeinterface_version.startswith("0.")
