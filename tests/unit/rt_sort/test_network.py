"""The published networks, held to numbers that their authors' code gives for the same inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from spikefleet.core.failures.errors import EnvironmentSortFailure, ModelLoadingError
from spikefleet.rt_sort.detection_model import DetectionModel, shipped_model
from spikefleet.rt_sort.network import Network, pick_precision, read_weights

# Of each network: what its inputs are in units of.
UNITS = {"mea": 1.0, "neuropixels": 0.07}


def model(probe: str) -> DetectionModel:
    return shipped_model(probe, read_weights)


def network(probe: str) -> Network:
    return Network(model(probe), precision="float32")


def trough(probe: str, amplitude: float) -> NDArray[np.float32]:
    frames = model(probe).window_frames
    trace = np.zeros((1, frames), dtype=np.float32)
    for away in range(-3, 4):
        trace[0, frames // 2 + away] = amplitude * UNITS[probe] * (1 - abs(away) / 4)
    return trace


@pytest.mark.parametrize("probe", UNITS)
class TestPublishedNetwork:
    def test_silence_gives_one_logit_everywhere(self, probe: str) -> None:
        wanted = {"mea": -16.1320, "neuropixels": -14.6145}[probe]
        silence = np.zeros((1, model(probe).window_frames), dtype=np.float32)
        np.testing.assert_allclose(network(probe).logits(silence), wanted, atol=1e-3)

    @pytest.mark.parametrize(
        ("amplitude", "mea", "neuropixels"),
        [(-10, (5.5824, 60), (1.4867, 90)), (-30, (16.6601, 60), (3.9494, 90)),
         (10, (4.7602, 60), (-5.5013, 95))],
    )  # fmt: skip
    def test_a_trough_is_found_at_its_frame(
        self, probe: str, amplitude: float, mea: tuple[float, int], neuropixels: tuple[float, int]
    ) -> None:
        logits = network(probe).logits(trough(probe, amplitude))[0]
        height, place = mea if probe == "mea" else neuropixels
        assert logits.max() == pytest.approx(height, abs=1e-3)
        assert logits.argmax() == place

    def test_two_waves_give_the_authors_numbers(self, probe: str) -> None:
        frames = np.arange(model(probe).window_frames)
        scale = 1.0 if probe == "mea" else 0.077
        wave = (3 * np.sin(0.37 * frames) + 2 * np.cos(0.11 * frames)) * scale
        logits = network(probe).logits(wave.astype(np.float32)[np.newaxis])[0]
        first, mean, most, place = {
            "mea": ((-7.0654, -6.8411, -6.2399, -5.3571, -3.8031), -5.20009, -1.63777, 108),
            "neuropixels": ((-10.7846, -9.6131, -8.5088, -8.1004, -8.6227), -9.77769, -2.8042, 139),
        }[probe]
        np.testing.assert_allclose(logits[:5], first, atol=1e-3)
        assert logits.mean() == pytest.approx(mean, abs=1e-3)
        assert logits.max() == pytest.approx(most, abs=1e-3)
        assert logits.argmax() == place

    def test_weights_are_the_published_ones(self, probe: str) -> None:
        weights, biases = {
            "mea": ((1.2705, -321.410, -257.339, -17.1015), (-8.1827, 1.5580, 8.1017, -4.0678)),
            "neuropixels": ((1.7437, -67.939, -140.873, 4.727), (-0.2542, 1.0058, 1.0745, -5.3008)),
        }[probe]
        layers = model(probe).layers
        np.testing.assert_allclose([w.sum(dtype=float) for w, _ in layers], weights, atol=2e-3)
        np.testing.assert_allclose([b.sum(dtype=float) for _, b in layers], biases, atol=2e-3)

    def test_an_input_of_any_length_loses_its_ends_only(self, probe: str) -> None:
        front = model(probe).front
        noise = np.random.default_rng(1).normal(size=(3, 700)).astype(np.float32) * UNITS[probe]
        logits = network(probe).logits(noise)
        assert logits.shape == (3, 700 - 2 * front)
        shifted = network(probe).logits(np.ascontiguousarray(noise[:, 50:]))
        np.testing.assert_allclose(shifted, logits[:, 50:], atol=1e-4)
        np.testing.assert_allclose(
            network(probe).logits(noise[::-1].copy()), logits[::-1], atol=1e-4
        )

    def test_an_output_sees_its_own_inputs_only(self, probe: str) -> None:
        front = model(probe).front
        noise = np.random.default_rng(2).normal(size=(1, 400)).astype(np.float32) * UNITS[probe]
        changed = noise.copy()
        changed[0, 200] += 5 * UNITS[probe]
        moved = np.flatnonzero(network(probe).logits(noise) != network(probe).logits(changed))
        assert moved.min() >= 200 - 2 * front
        assert moved.max() <= 200

    def test_bfloat16_marks_nearly_the_same_peaks(self, probe: str) -> None:
        noise = np.random.default_rng(3).normal(size=(8, 4000)).astype(np.float32)
        noise *= 1.483 if probe == "mea" else 0.114
        exact = network(probe).logits(noise)
        rough = Network(model(probe), precision="bfloat16").logits(noise)
        likely = exact > np.percentile(exact, 99)
        assert np.percentile(np.abs(rough - exact)[likely], 99) < 0.3


class TestPrecision:
    def test_bfloat16_where_the_cpu_multiplies_it(self, tmp_path: Path) -> None:
        (tmp_path / "cpuinfo").write_text("flags : avx2 avx512f amx_bf16 amx_tile\n")
        assert pick_precision("auto", "cpu", tmp_path / "cpuinfo") == "bfloat16"

    def test_float32_on_any_other_cpu(self, tmp_path: Path) -> None:
        (tmp_path / "cpuinfo").write_text("flags : avx2 avx512f\n")
        assert pick_precision("auto", "cpu", tmp_path / "cpuinfo") == "float32"
        assert pick_precision("auto", "cpu", tmp_path / "absent") == "float32"

    def test_float16_on_a_gpu_and_what_was_asked_for_anywhere(self) -> None:
        assert pick_precision("auto", "cuda") == "float16"
        assert pick_precision("float32", "cuda") == "float32"

    def test_a_gpu_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(EnvironmentSortFailure, match="torch sees none"):
            Network(model("mea"), device="cuda")


class TestReadWeights:
    def test_a_file_that_is_no_archive_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "state_dict.pt").write_bytes(b"\x80\x04cposix\nsystem\n.")
        with pytest.raises(ModelLoadingError, match="no torch archive"):
            read_weights(tmp_path / "state_dict.pt")

    def test_a_cut_or_changed_archive_is_refused(self, tmp_path: Path) -> None:
        whole = Path(_folder("mea") / "state_dict.pt").read_bytes()
        for name, data in (("cut.pt", whole[: len(whole) // 2]), ("bent.pt", _bent(whole))):
            (tmp_path / name).write_bytes(data)
            with pytest.raises(ModelLoadingError):
                read_weights(tmp_path / name)


def _folder(probe: str) -> Path:
    import spikefleet.rt_sort as package  # noqa: PLC0415 - its folder, not what is in it

    return Path(package.__file__).parent / "models" / probe


def _bent(data: bytes) -> bytes:
    """The archive with the pickle inside it spoilt."""
    at = data.index(b"data.pkl") + 200
    return data[:at] + b"\x00" * 64 + data[at + 64 :]
