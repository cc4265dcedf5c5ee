"""What Kilosort 4 says when it fails."""

from __future__ import annotations

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.rules.base import Rule, Source

_KS4 = ("kilosort4",)
_QUIET = "Too few spikes for the sorter to build templates from."
_REFUSED = "The sorter refused the run's parameters"

RULES = (
    Rule(
        "kilosort4.too_few_spikes.frame",
        Source.FRAME,
        FailureCode.INSUFFICIENT_ACTIVITY,
        _QUIET,
        sorter=_KS4,
        exception=r"(^|\.)ValueError$",
        frame=r"^kilosort/spikedetect\.py:extract_(wPCA_wTEMP|snippets)$",
        pattern=r"(?s)(?:.*n_samples=(?P<units_at_failure>\d+).{0,200}n_clusters=(?P<n_clusters>\d+)|"
        r".*Found array with (?P<samples>\d+) sample)?",
        example="n_samples=3 should be >= n_clusters=6.",
        example_type="ValueError",
        example_frame="kilosort/spikedetect.py:extract_wPCA_wTEMP",
    ),
    Rule(
        "kilosort4.no_good_channels",
        Source.FRAME,
        FailureCode.NO_GOOD_CHANNELS,
        "Every channel was excluded before the sort.",
        sorter=_KS4,
        exception=r"(^|\.)ValueError$",
        frame=r"^kilosort/run_kilosort\.py:",
        pattern=r"zero-size array to reduction operation",
        example="zero-size array to reduction operation maximum which has no identity",
        example_type="ValueError",
        example_frame="kilosort/run_kilosort.py:_sort",
    ),
    Rule(
        "kilosort4.bad_probe",
        Source.FRAME,
        FailureCode.INVALID_CONFIGURATION,
        f"{_REFUSED}: channels, probe and file do not fit each other.",
        sorter=_KS4,
        exception=r"(^|\.)(ValueError|IndexError|KeyError)$",
        frame=r"^kilosort/io\.py:(load_probe|remove_bad_channels|select_shank|get_total_samples)$",
        evidence={"field": "sorter.sorter_params"},
        example="Channel '99' was not in probe['chanMap']",
        example_type="IndexError",
        example_frame="kilosort/io.py:remove_bad_channels",
    ),
    Rule(
        "kilosort4.probe_shape",
        Source.FRAME,
        FailureCode.INVALID_CONFIGURATION,
        f"{_REFUSED}: the probe's arrays differ in length.",
        sorter=_KS4,
        exception=r"(^|\.)ValueError$",
        frame=r"^kilosort/preprocessing\.py:whitening_local$",
        pattern=r"could not be broadcast",
        evidence={"field": "recording"},
        example="operands could not be broadcast together with shapes (3,) (16,) ",
        example_type="ValueError",
        example_frame="kilosort/preprocessing.py:whitening_local",
    ),
    Rule(
        "kilosort4.bad_setting",
        Source.FRAME,
        FailureCode.INVALID_CONFIGURATION,
        f"{_REFUSED}.",
        sorter=_KS4,
        exception=r"(^|\.)(ValueError|TypeError|KeyError)$",
        frame=r"^kilosort/run_kilosort\.py:(initialize_ops|set_files)$",
        evidence={"field": "sorter.sorter_params"},
        example="Unrecognized settings: ['foo']",
        example_type="ValueError",
        example_frame="kilosort/run_kilosort.py:initialize_ops",
    ),
    Rule(
        "kilosort4.not_finite",
        Source.TYPE,
        FailureCode.INPUT_CORRUPT,
        "The samples the sorter read are not numbers, or there are too few of them for one batch.",
        sorter=_KS4,
        exception=r"(^|\.)_?LinAlgError$",
        pattern=r"non-finite values",
        evidence={"reason": "non_finite_or_too_short"},
        example="linalg.svd: The algorithm failed to converge because the input matrix contained "
        "non-finite values.",
        example_type="torch._C._LinAlgError",
    ),
    Rule(
        "kilosort4.too_few_spikes",
        Source.MESSAGE,
        FailureCode.INSUFFICIENT_ACTIVITY,
        _QUIET,
        sorter=_KS4,
        pattern=r"(?s)n_samples=(?P<units_at_failure>\d+).{0,200}n_clusters=(?P<n_clusters>\d+)|"
        r"Found array with (?P<samples>\d+) sample\(s\).{0,200}required by TruncatedSVD",
        example="Found array with 0 sample(s) (shape=(0, 61)) while a minimum of 1 is required by "
        "TruncatedSVD.",
        example_type="ValueError",
    ),
    Rule(
        "kilosort4.no_spikes",
        Source.MESSAGE,
        FailureCode.INSUFFICIENT_ACTIVITY,
        "The sorter detected no spikes.",
        sorter=_KS4,
        pattern=r"No spikes detected, cannot continue sorting",
        evidence={"nspks_at_failure": 0},
        example="No spikes detected, cannot continue sorting.",
        example_type="ValueError",
    ),
    Rule(
        "kilosort4.no_clusters",
        Source.MESSAGE,
        FailureCode.INSUFFICIENT_ACTIVITY,
        "The sorter's spikes formed no clusters.",
        sorter=_KS4,
        pattern=r"never found suitable channels|Wall is empty after",
        evidence={"units_at_failure": 0},
        example="`get_data_cpu` never found suitable channels in `clustering_qr.run`.\n"
        "dmin, dminx, and xcenter are: (20, 32, 16.0)",
        example_type="ValueError",
    ),
    Rule(
        "kilosort4.refused",
        Source.MESSAGE,
        FailureCode.INVALID_CONFIGURATION,
        f"{_REFUSED}.",
        sorter=_KS4,
        pattern=r"probe_path '[^']*' does not exist|Largest value of chanMap exceeds|"
        r"was not in probe\['chanMap'\]|Selected empty shank index|"
        r"Bytes in binary file did not divide evenly|"
        r"Unrecognized settings|`nt` must be odd|`n_chan_bin` is a required|"
        r"Unrecognized extension for probe|Missing required key: \w+ after loading probe|"
        r"All probe variables must have the same length|pre-computed universal templates|"
        r"Array-valued probe entries|no probe_name or probe_path",
        evidence={"field": "sorter.sorter_params"},
        example="Largest value of chanMap exceeds channel count of data, make sure chanMap is "
        "0-indexed.",
        example_type="ValueError",
    ),
)
