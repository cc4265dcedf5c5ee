"""How the CPU sorters and RT-Sort meet silence and bad settings."""

from __future__ import annotations

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.rules.base import Rule, Source

_QUIET = "Too few spikes for the sorter to build templates from."
_SI = ("lupin", "spykingcircus2", "tridesclous2", "simple")

RULES = (
    Rule(
        "tridesclous2.no_peaks",
        Source.TYPE,
        FailureCode.INSUFFICIENT_ACTIVITY,
        _QUIET,
        sorter=("tridesclous2",),
        exception=r"^ZeroDivisionError$",
        frame=r"^spikeinterface/sorters/internal/tridesclous2\.py:|"
        r"^spikeinterface/sortingcomponents/peak_detection/locally_exclusive\.py:",
        example="division by zero",
        example_type="ZeroDivisionError",
        example_frame="spikeinterface/sorters/internal/tridesclous2.py:_run_from_folder",
    ),
    Rule(
        "tridesclous2.no_templates",
        Source.TYPE,
        FailureCode.INSUFFICIENT_ACTIVITY,
        _QUIET,
        sorter=_SI,
        exception=r"^UnboundLocalError$",
        pattern=r"'node0'",
        example="cannot access local variable 'node0' where it is not associated with a value",
        example_type="UnboundLocalError",
    ),
    Rule(
        "sorting_components.no_prototype",
        Source.MESSAGE,
        FailureCode.INSUFFICIENT_ACTIVITY,
        _QUIET,
        sorter=_SI,
        exception=r"^AssertionError$",
        pattern=r"Prototype should have a negative peak",
        example="Prototype should have a negative peak",
        example_type="AssertionError",
    ),
    Rule(
        "sorting_components.too_few_spikes",
        Source.MESSAGE,
        FailureCode.INSUFFICIENT_ACTIVITY,
        _QUIET,
        sorter=(*_SI, "mountainsort5"),
        pattern=r"(?s)Found array with (?P<samples>\d+) sample\(s\)|"
        r"n_samples=(?P<units_at_failure>\d+).{0,200}n_clusters=(?P<n_clusters>\d+)|"
        r"k must be less than or equal to the number of training points",
        example="Found array with 0 sample(s) (shape=(0, 75)) while a minimum of 1 is required by "
        "TruncatedSVD.",
        example_type="ValueError",
    ),
    Rule(
        "sorting_components.no_probe",
        Source.MESSAGE,
        FailureCode.INVALID_CONFIGURATION,
        "The recording says nothing of where its electrodes are, and the sorter needs to know.",
        pattern=r"(?i)there is no probe|needs a probe|no channel locations|"
        r"requires a probe|has no location",
        evidence={"field": "recording"},
        example="get_channel_locations(..) needs a probe: there is no Probe attached to this "
        "recording",
        example_type="ValueError",
    ),
    Rule(
        "linear_algebra.no_convergence",
        Source.TYPE,
        FailureCode.PARAMETER_SENSITIVE,
        "The sorter hit a numerical dead end that depends on its parameters.",
        exception=r"(^|\.)_?LinAlgError$",
        pattern=r"did not converge|failed to converge|[Ss]ingular matrix",
        priority=70,
        example="SVD did not converge",
        example_type="numpy.linalg.LinAlgError",
    ),
    Rule(
        "filter.band",
        Source.MESSAGE,
        FailureCode.INVALID_CONFIGURATION,
        "The band-pass does not fit the recording's sampling rate.",
        pattern=r"Digital filter critical frequencies",
        evidence={"field": "recording.freq_max"},
        example="Digital filter critical frequencies must be 0 < Wn < fs/2 (fs=0.0 -> fs/2=0.0)",
        example_type="ValueError",
        priority=60,
    ),
    Rule(
        "rt_sort.no_sequences",
        Source.LOG,
        FailureCode.INSUFFICIENT_ACTIVITY,
        _QUIET,
        sorter=("rt_sort",),
        marks=("0 preliminary propagation", "0 sequences remain"),
        beside_exception=True,
        pattern=r"(?<!\d)0 preliminary propagation sequences|(?<!\d)0 sequences remain",
        evidence={"units_at_failure": 0},
        example="Detected 0 preliminary propagation sequences",
    ),
    Rule(
        "rt_sort.nothing_to_assign",
        Source.MESSAGE,
        FailureCode.INSUFFICIENT_ACTIVITY,
        _QUIET,
        sorter=("rt_sort",),
        exception=r"^AttributeError$",
        pattern=r"'NoneType' object has no attribute 'sort_offline'",
        evidence={"units_at_failure": 0},
        example="'NoneType' object has no attribute 'sort_offline'",
        example_type="AttributeError",
    ),
    Rule(
        "rt_sort.model",
        Source.MESSAGE,
        FailureCode.MODEL_LOADING,
        "The detection model cannot be loaded.",
        sorter=("rt_sort",),
        pattern=r"The folder (?P<model_path>\S+) does not contain init_dict|"
        r"Error\(s\) in loading state_dict|Invalid architecture parameter|PyTorch is required",
        example="The folder /models/mea does not contain init_dict.json and state_dict.pt",
        example_type="ValueError",
    ),
)
