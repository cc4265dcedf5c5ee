import hashlib
import resource

import numpy as np
import pytest

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.signal.open import open_recording
from spikefleet.signal.simulation import (
    Condition,
    SimulationRequest,
    load_truth,
    maxwell,
    nwb,
    simulate,
    spikeglx,
)
from spikefleet.signal.simulation import binary as binary_folder
from spikefleet.signal.simulation.signal import CodedRecording, make_signal
from spikefleet.signal.simulation.writing import make_probe

MODULES = {"maxwell": maxwell, "spikeglx": spikeglx, "nwb": nwb, "binary": binary_folder}


def request_for(format, path, **changes):
    values = {"n_channels": 9, "duration_s": 1.0, "n_units": 3, "seed": 7} | changes
    return SimulationRequest(format=format, path=path, **values)


@pytest.mark.parametrize("format", MODULES)
@pytest.mark.parametrize("n_channels", [1, 9])
def test_every_format_reads_back_bit_exact(tmp_path, format, n_channels):
    request = request_for(format, tmp_path / "made", n_channels=n_channels)
    recording = open_recording(simulate(request).path)
    module = MODULES[format]
    probe = make_probe(request)
    signal_uv, _ = make_signal(request, probe, request.seed, Condition.HEALTHY)
    expected = CodedRecording(signal_uv, module.CODING, Condition.HEALTHY)
    assert recording.sampling_frequency == (20000.0 if format == "maxwell" else 30000.0)
    assert np.array_equal(recording.get_traces(), expected.get_traces())
    assert recording.get_channel_gains() == pytest.approx(module.CODING.lsb_uv, rel=1e-6)
    assert np.array_equal(recording.get_channel_locations(), probe.contact_positions)


@pytest.mark.parametrize("format", ["nwb", "binary"])
def test_a_nan_burst_is_a_hundred_samples_of_one_channel(tmp_path, format):
    made = simulate(request_for(format, tmp_path / "made", condition=Condition.NAN_BURST))
    traces = open_recording(made.path).get_traces()
    assert traces.dtype == np.float32
    assert np.isnan(traces).sum() == 100
    assert np.isnan(traces).any(axis=0).sum() == 1


def test_the_truth_lies_where_the_spikes_are(tmp_path):
    made = simulate(request_for("binary", tmp_path / "made", duration_s=10.0))
    truth = load_truth(made.truth_path)
    uv = open_recording(made.path).get_traces(return_in_uV=True)
    contacts_um = open_recording(made.path).get_channel_locations()
    assert truth.unit_ids == ("u000", "u001", "u002")
    for unit, location, amplitude_uv in zip(
        truth.unit_ids, truth.locations_um, truth.peak_amplitudes_uv, strict=True
    ):
        samples = truth.spike_samples[unit]
        assert 50 <= samples.size <= 180
        average = uv[samples[(samples > 5) & (samples < len(uv) - 5)]].mean(axis=0)
        best = int(np.argmin(average))
        assert -average[best] == pytest.approx(amplitude_uv, rel=0.2)
        assert np.linalg.norm(contacts_um[best] - location[:2]) < 30.0


@pytest.mark.parametrize("format", ["maxwell", "spikeglx", "binary"])
def test_the_same_request_writes_the_same_samples(tmp_path, format):
    digests = set()
    for name in ("a", "b"):
        made = simulate(request_for(format, tmp_path / name / "made"))
        traces = open_recording(made.path).get_traces()
        digests.add(hashlib.sha256(traces.tobytes()).hexdigest())
    assert len(digests) == 1
    other = simulate(request_for(format, tmp_path / "c" / "made", seed=8))
    traces = open_recording(other.path).get_traces()
    assert hashlib.sha256(traces.tobytes()).hexdigest() not in digests


def test_each_well_has_its_own_truth_and_a_silent_one_none(tmp_path):
    made = simulate(
        request_for("maxwell", tmp_path / "plate", n_wells=3, silent_wells=(1,), duration_s=2.0)
    )
    assert made.path.name == "plate.raw.h5"
    assert made.truth_path == tmp_path / "plate.truth.npz"
    trains = {well: load_truth(made.truth_path, f"well00{well}") for well in range(3)}
    assert trains[1].unit_ids == ()
    assert not np.array_equal(trains[0].spike_samples["u000"], trains[2].spike_samples["u000"])
    with pytest.raises(InvalidConfigurationError):
        load_truth(made.truth_path, "well009")


@pytest.mark.parametrize("format", MODULES)
def test_progress_rises_to_the_end(tmp_path, format):
    seen = []
    simulate(request_for(format, tmp_path / "made", duration_s=2.0), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"format": "edf"}, "format"),
        ({"n_channels": 385, "format": "spikeglx"}, "n_channels"),
        ({"duration_s": 0.0}, "duration_s"),
        ({"n_wells": 2}, "n_wells"),
        ({"n_wells": 2, "format": "maxwell", "silent_wells": (2,)}, "silent_wells"),
        ({"condition": "nan_burst", "format": "maxwell"}, "condition"),
        ({"condition": "sleepy"}, "condition"),
        ({"propagation": True, "format": "spikeglx"}, "propagation"),
        ({"propagation": True, "n_channels": 15}, "n_channels"),
        ({"pitch_um": 0.0}, "pitch_um"),
        ({"pitch_um": float("nan")}, "pitch_um"),
        ({"pitch_um": 30.0, "format": "maxwell"}, "pitch_um"),
    ],
)
def test_what_cannot_be_written_is_refused_by_field(tmp_path, changes, field):
    values = {"format": "binary", "path": tmp_path / "made"} | changes
    with pytest.raises(InvalidConfigurationError) as caught:
        SimulationRequest(**values)
    assert caught.value.field == field


@pytest.mark.slow
def test_memory_does_not_grow_with_the_recording(tmp_path):
    simulate(request_for("binary", tmp_path / "short", n_channels=32, duration_s=3.0))
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made = simulate(request_for("binary", tmp_path / "long", n_channels=32, duration_s=45.0))
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    size_kib = next(made.path.glob("*.raw")).stat().st_size / 1024
    assert grown_kib < size_kib / 2


@pytest.mark.parametrize("format", ["binary", "maxwell"])
def test_what_was_not_simulated_is_never_replaced(tmp_path, format):
    theirs = tmp_path / ("session" if format == "binary" else "session.raw.h5")
    if format == "binary":
        theirs.mkdir()
        (theirs / "measured.dat").write_bytes(b"a day of work")
    else:
        theirs.write_bytes(b"a day of work")
    request = SimulationRequest(format, theirs, n_channels=4, duration_s=1.0)
    with pytest.raises(InvalidConfigurationError, match="was not simulated"):
        simulate(request)
    assert [path.name for path in tmp_path.iterdir()] == [theirs.name]
    kept = theirs / "measured.dat" if theirs.is_dir() else theirs
    assert kept.read_bytes() == b"a day of work"


def test_an_earlier_simulation_is_replaced(tmp_path):
    for seed in (1, 2):
        simulate(SimulationRequest("nwb", tmp_path / "a", n_channels=4, duration_s=1.0, seed=seed))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nwb", "a.truth.npz"]


def test_a_measurement_beside_the_truth_of_another_simulation_is_never_replaced(tmp_path):
    small = {"n_channels": 4, "duration_s": 1.0}
    simulate(SimulationRequest("nwb", tmp_path / "culture", **small))
    folder, file = tmp_path / "culture", tmp_path / "culture.raw.h5"
    folder.mkdir()
    (folder / "day1.dat").write_bytes(b"a day of work")
    file.write_bytes(b"another day")
    for format in ("binary", "maxwell"):
        with pytest.raises(InvalidConfigurationError, match="was not simulated"):
            simulate(SimulationRequest(format, tmp_path / "culture", **small))
    assert (folder / "day1.dat").read_bytes() == b"a day of work"
    assert file.read_bytes() == b"another day"


def test_a_simulation_to_which_somebody_added_a_file_is_kept(tmp_path):
    request = SimulationRequest("binary", tmp_path / "a", n_channels=4, duration_s=1.0)
    made = simulate(request)
    (made.path / "notes.txt").write_text("mine")
    with pytest.raises(InvalidConfigurationError, match="changed since"):
        simulate(request)
    assert (made.path / "notes.txt").read_text() == "mine"


def test_the_truth_of_another_recording_is_not_overwritten(tmp_path):
    small = {"n_channels": 4, "duration_s": 1.0}
    made = simulate(SimulationRequest("maxwell", tmp_path / "x", **small))
    truth = made.truth_path.read_bytes()
    with pytest.raises(InvalidConfigurationError, match=r"known spikes of x\.raw\.h5"):
        simulate(SimulationRequest("nwb", tmp_path / "x", **small))
    assert made.truth_path.read_bytes() == truth
    assert not (tmp_path / "x.nwb").exists()
