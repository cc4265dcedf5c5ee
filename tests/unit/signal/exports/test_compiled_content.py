"""What a run's settings put into compiled files, each setting by what it changes there."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat

from spikefleet.core.config.products import CompilationConfig
from spikefleet.core.config.units import WaveformConfig
from spikefleet.core.failures.errors import InputMissingError
from spikefleet.signal.exports.compiled import write_compiled, write_mat, write_npz
from spikefleet.signal.exports.source import ExportSource


def compiled(
    source: ExportSource,
    folder: Path,
    waveform: dict[str, Any] | None = None,
    **compilation: Any,
) -> dict[str, np.ndarray]:
    asked = replace(
        source,
        waveform=WaveformConfig(**(waveform or {})),
        compilation=CompilationConfig(**compilation),
    )
    write_npz(asked, folder / "a.npz")
    with np.load(folder / "a.npz", allow_pickle=False) as found:
        return dict(found)


def test_the_window_of_templates_is_that_of_the_settings(
    source: ExportSource, tmp_path: Path
) -> None:
    found = compiled(source, tmp_path, {"compiled_ms_before": 0.5, "compiled_ms_after": 1.5})
    peak = source.data.peak_index
    for unit, row, template in zip(source.units, found["units"], found["template"], strict=True):
        whole = source.data.templates_uv[unit.index]
        assert np.array_equal(template, whole[peak - 10 : peak + 30])
        largest = np.abs(template[:, row["max_channel_si"]]).max()
        assert abs(template[row["peak_ind"], row["max_channel_si"]]) == largest
    assert found["notes"].size == 0


def test_a_window_beyond_what_was_kept_is_clipped_and_said(
    source: ExportSource, tmp_path: Path
) -> None:
    found = compiled(source, tmp_path, {"compiled_ms_before": 3.0})
    assert found["template"].shape[1] == source.data.templates_uv.shape[1]
    assert found["notes"].tolist() == ["compiled_ms_before: 2 ms were kept, 3 asked for"]


def test_counts_are_microvolts_without_gain_and_offset(
    source: ExportSource, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(source.results.folder, tmp_path / "run"))
    about = folder / "sort" / "analyzer" / "recording_info" / "recording_attributes.json"
    text = about.read_text().replace('"dtype": "float32"', '"dtype": "int16"')
    about.write_text(text.replace("1.0,", "0.5,").replace("1.0\n", "0.5\n"))
    here = replace(source, results=replace(source.results, folder=folder))
    counts = compiled(here, tmp_path, {"scale_compiled_waveforms": False}, compile_waveforms=True)
    scaled = compiled(here, tmp_path, compile_waveforms=True)
    assert (str(counts["waveform_unit"]), str(scaled["waveform_unit"])) == ("counts", "µV")
    assert np.allclose(counts["template"], scaled["template"] * 2.0)
    assert counts["waveforms_0"].dtype == np.int16
    assert np.abs(counts["waveforms_0"] - scaled["waveforms_0"] * 2.0).max() <= 0.51
    assert np.array_equal(counts["amplitudes"], scaled["amplitudes"])


def test_counts_of_an_unknown_gain_stay_microvolts_and_say_so(
    source: ExportSource, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(source.results.folder, tmp_path / "run"))
    about = folder / "sort" / "analyzer" / "recording_info" / "recording_attributes.json"
    about.write_text(about.read_text().replace("gain_to_uV", "gain"))
    here = replace(source, results=replace(source.results, folder=folder))
    found = compiled(here, tmp_path, {"scale_compiled_waveforms": False})
    assert str(found["waveform_unit"]) == "µV"
    assert "did not keep the gain" in found["notes"][0]


def test_sampled_waveforms_are_there_where_they_are_asked_for(
    source: ExportSource, tmp_path: Path
) -> None:
    assert not [name for name in compiled(source, tmp_path) if name.startswith("waveforms")]
    found = compiled(source, tmp_path, compile_waveforms=True)
    for row, unit in enumerate(source.units):
        waveforms, frames = found[f"waveforms_{row}"], found[f"waveform_frames_{row}"]
        assert waveforms.shape == (len(frames), 80, len(found[f"waveform_channels_{row}"]))
        assert np.isin(frames, unit.frames).all()
        assert np.allclose(waveforms.mean(axis=0), found["template"][row], atol=1e-3)
    asked = replace(source, compilation=CompilationConfig(compile_waveforms=True))
    write_mat(asked, tmp_path / "a.mat")
    cell = loadmat(tmp_path / "a.mat")["units"][0, 0][0, 0]
    assert np.array_equal(cell["waveforms"], found["waveforms_0"])


def test_waveforms_that_the_sort_did_not_keep_are_said(
    source: ExportSource, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(source.results.folder, tmp_path / "run"))
    shutil.rmtree(folder / "sort" / "analyzer" / "extensions" / "waveforms")
    here = replace(source, results=replace(source.results, folder=folder))
    found = compiled(here, tmp_path, compile_waveforms=True)
    assert "save_waveform_files" in found["notes"][0]


def test_electrodes_are_left_out_where_they_are_not_wanted(
    source: ExportSource, tmp_path: Path
) -> None:
    assert "electrode" in (compiled(source, tmp_path)["units"].dtype.names or ())
    found = compiled(source, tmp_path, save_electrodes=False)
    assert "electrode" not in (found["units"].dtype.names or ())
    write_mat(
        replace(source, compilation=CompilationConfig(save_electrodes=False)), tmp_path / "a.mat"
    )
    names = loadmat(tmp_path / "a.mat")["units"][0, 0].dtype.names
    assert "electrode" not in names
    assert "unit_id" in names


@pytest.mark.parametrize(
    ("npz", "mat", "files"),
    [(True, False, {"sorted.npz"}), (False, True, {"sorted.mat"})],
)
def test_the_compiled_files_are_those_of_the_settings(
    source: ExportSource, tmp_path: Path, npz: bool, mat: bool, files: set[str]
) -> None:
    asked = CompilationConfig(compile_to_npz=npz, compile_to_mat=mat)
    write_compiled(replace(source, compilation=asked), tmp_path / "compiled")
    assert {path.name for path in (tmp_path / "compiled").iterdir()} == files


def test_settings_without_compiled_files_say_what_to_ask_for(
    source: ExportSource, tmp_path: Path
) -> None:
    asked = CompilationConfig(compile_to_npz=False, compile_to_mat=False)
    with pytest.raises(InputMissingError, match="--as npz"):
        write_compiled(replace(source, compilation=asked), tmp_path / "compiled")
