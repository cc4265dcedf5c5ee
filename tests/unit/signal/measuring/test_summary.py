import json

import h5py
import numpy as np
import pytest
from tests.support.formats.blackrock import write_nsx
from tests.support.formats.intan import write_attached
from tests.support.formats.maxwell import compressed_by_the_vendor
from tests.support.formats.mcs import write_mcs
from tests.support.formats.probes import make_noise, write_probe
from tests.support.formats.raw_binary import smooth_samples, write_raw_binary
from tests.support.recordings import make_recording

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.signal.measuring.summary import InspectOptions, inspect_recording


def only(found):
    (stream,) = found.streams
    return stream


@pytest.mark.parametrize("format", ["maxwell", "spikeglx", "nwb", "binary"])
def test_everything_a_header_says_is_told_and_ready_for_json(tmp_path, format):
    path = make_recording(tmp_path, format, seconds=2.0, channels=6).path
    found = inspect_recording(path)
    stream = only(found)
    assert found.sortable
    assert stream.stream.n_channels == 6
    assert stream.n_samples == round(2.0 * stream.stream.sampling_rate_hz)
    assert stream.scale.gain_to_uv[0] > 0
    assert stream.probe.n_contacts == 6
    document = json.loads(json.dumps(found.to_json()))
    assert document["size_bytes"] == sum(
        file.stat().st_size
        for file in ([path] if path.is_file() else path.rglob("*"))
        if file.is_file()
    )
    assert document["streams"][0]["scale"]["unit"] == "uV"


def test_gaps_are_told_with_every_place_and_length(tmp_path):
    blocks = ((0, 0, 299), (20_000, 300, 499), (40_000, 500, 599))
    samples = np.zeros((4, 600), dtype="int32")
    samples[:] = np.random.default_rng(0).integers(-90, 90, samples.shape)
    stream = only(inspect_recording(write_mcs(tmp_path / "a.h5", samples, blocks=blocks)))
    assert stream.frame_gaps == ((300, 100), (500, 200))
    assert "frame_gaps" in [finding.code for finding in stream.findings]


def test_bad_channels_are_told_with_what_is_wrong(tmp_path):
    samples = smooth_samples(20_000, 6).astype("float32")
    samples[:, 1] = 4.0
    samples[40:60, 3] = np.nan
    stream = only(inspect_recording(write_raw_binary(tmp_path / "a.raw", samples, gain_to_uv=1.0)))
    assert stream.bad_channels == {"1": "never changes", "3": "not a number"}
    assert not stream.sortable
    codes = {finding.code for finding in stream.findings}
    assert {"finite", "flat_channels"} <= codes


def test_two_channels_in_one_place_are_told(tmp_path):
    path = write_raw_binary(tmp_path / "a.raw", smooth_samples(4000, 4))
    sidecar = json.loads(path.with_suffix(".json").read_text())
    contacts = sidecar["probe"]["probes"][0]["contact_positions"]
    contacts[3] = contacts[0]
    path.with_suffix(".json").write_text(json.dumps(sidecar))
    with_refusal = only(inspect_recording(path))
    assert not with_refusal.sortable
    assert with_refusal.refusal.evidence["reason"] == "duplicate_positions"


def test_no_geometry_is_a_refusal_and_everything_else_is_still_told(tmp_path):
    write_attached(tmp_path / "day.rhd", make_noise(512, 3, "uint16"), ["A-0", "A-1", "A-2"])
    stream = only(inspect_recording(tmp_path / "day.rhd"))
    assert stream.refusal.code is FailureCode.INPUT_CORRUPT
    assert stream.refusal.evidence["reason"] == "no_geometry"
    assert (stream.n_samples, stream.stream.n_channels, stream.probe) == (512, 3, None)
    assert stream.scale.gain_to_uv == (0.195, 0.195)
    write_probe(tmp_path, 3)
    assert only(inspect_recording(tmp_path / "day.rhd")).probe.n_contacts == 3


def test_scale_and_probe_are_told_without_the_plugin_that_the_traces_need(tmp_path):
    path = make_recording(tmp_path, "maxwell").path
    before = only(inspect_recording(path))
    found = only(inspect_recording(compressed_by_the_vendor(path)))
    assert found.refusal.code is FailureCode.HDF5_PLUGIN_MISSING
    assert (found.scale, found.probe, found.n_samples) == (
        before.scale,
        before.probe,
        before.n_samples,
    )


def test_event_tables_are_counted(tmp_path):
    path = make_recording(tmp_path, "maxwell").path
    with h5py.File(path, "r+") as file:
        well = file["wells/well000"]
        table = np.array([(3, 1), (9, 2)], dtype=[("frameno", "<i8"), ("eventtype", "<i4")])
        well[next(iter(well))]["events"] = table
    assert only(inspect_recording(path)).tables == {"events": 2}


def test_every_sample_finds_what_a_look_misses_and_tells_its_progress(tmp_path):
    samples = smooth_samples(600_000, 4).astype("float32")
    samples[201_234, 2] = np.inf
    path = write_raw_binary(tmp_path / "a.raw", samples, gain_to_uv=1.0)
    seen = only(inspect_recording(path))
    assert "finite" not in [entry.code for entry in seen.findings]
    heard = []
    stream = only(inspect_recording(path, InspectOptions(every_sample=True), heard.append))
    (finding,) = [entry for entry in stream.findings if entry.code == "finite"]
    assert finding.evidence["frame"] == 201_234
    assert heard == sorted(heard)
    assert heard[-1] == 1.0


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("silent", FailureCode.INSUFFICIENT_ACTIVITY),
        ("noise", FailureCode.INSUFFICIENT_ACTIVITY),
        ("flat", FailureCode.NO_GOOD_CHANNELS),
        ("healthy", None),
    ],
)
def test_a_signal_that_preflight_would_refuse_is_refused_here_too(tmp_path, condition, code):
    path = make_recording(tmp_path, "spikeglx", condition=condition, seconds=8.0).path
    stream = only(inspect_recording(path))
    assert stream.sortable is (code is None)
    assert (stream.refusal.code if stream.refusal else None) is code


def test_other_recordings_in_the_folder_are_named(tmp_path):
    folder = make_recording(tmp_path, "spikeglx").path
    for name in ("a", "b"):
        write_nsx(folder / f"{name}.ns5", [(0, make_noise(100, 2))], [(1, "uV"), (2, "uV")])
    make_recording(folder, "binary", name="other")
    found = inspect_recording(folder)
    assert found.format == "spikeglx"
    assert found.beside == (
        "blackrock (a.ns5)",
        "blackrock (b.ns5)",
        "spikeinterface (other)",
    )


def test_an_unknown_stream_is_refused(tmp_path):
    path = make_recording(tmp_path, "maxwell").path
    with pytest.raises(InvalidConfigurationError, match="well000"):
        inspect_recording(path, InspectOptions(stream="well007"))
