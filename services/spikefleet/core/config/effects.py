"""Which stage reads each setting: what makes a sort another sort, and what has no effect yet.

One table of fields by the stage that reads them. A field that is in none of these sets decides how
a run is carried out. The published page and the schema mark what has no effect yet, preflight warns
when such a setting was changed; a field leaves that set in the change that gives it its effect.
"""

from __future__ import annotations

# Another value gives other spikes, or other waveforms of them in what the sort leaves.
SORT_FIELDS = frozenset(
    {
        "recording.first_n_mins",
        "recording.mea_y_max",
        "recording.gain_to_uv",
        "recording.offset_to_uv",
        "recording.rec_chunks",
        "recording.rec_chunks_s",
        "recording.start_time_s",
        "recording.end_time_s",
        "recording.freq_min",
        "recording.freq_max",
        "recording.common_reference",
        "recording.bad_channels",
        "sorter.sorter_name",
        "sorter.sorter_params",
        "waveform.ms_before",
        "waveform.ms_after",
        "waveform.max_waveforms_per_unit",
        "waveform.save_waveform_files",
        "waveform.principal_components",
        "waveform.save_recording",
        "waveform.save_sorter_output",
        "execution.random_seed",
    }
)
# Left out of the digest where unset: sorts from before there was such a field stay what they are.
LATER_SORT_FIELDS = frozenset(
    {
        "recording.bad_channels",
        "waveform.principal_components",
        "waveform.save_recording",
        "waveform.save_sorter_output",
    }
)
# What decides the spikes of RT-Sort, and of no other sorter.
RT_SORT_FIELDS = frozenset(
    {
        "rt_sort.model_path",
        "rt_sort.probe",
        "rt_sort.recording_window_ms",
        "rt_sort.params",
        "rt_sort.detection_window_s",
    }
)
# Read by curation and its exports only: they never sort again.
CURATION_FIELDS = frozenset(
    {
        "waveform.pos_peak_thresh",
        "waveform.std_at_peak",
        "waveform.std_over_window_ms_before",
        "waveform.std_over_window_ms_after",
    }
)
# Read by nothing but exports, from the record of a run or of a curation.
EXPORT_FIELDS = frozenset(
    {
        "waveform.compiled_ms_before",
        "waveform.compiled_ms_after",
        "waveform.scale_compiled_waveforms",
        "compilation.compile_single_recording",
        "compilation.compile_to_mat",
        "compilation.compile_to_npz",
        "compilation.compile_waveforms",
        "compilation.save_electrodes",
    }
)

MARK = "Not in effect yet."
PENDING_FIELDS = frozenset(
    {
        "sorter.sorter_path",
        "sorter.use_docker",
        "execution.recompute_sorting",
        "execution.delete_inter",
        "execution.use_parallel_processing_for_raw_conversion",
        "execution.generate_sorting_report",
    }
)


def is_pending(group: str, field: str) -> bool:
    """True when the field has no effect yet."""
    return f"{group}.{field}" in PENDING_FIELDS


def described(group: str, field: str, description: str) -> str:
    """Return a field's sentence with the mark, where it has no effect yet."""
    return f"{MARK} {description}" if is_pending(group, field) else description
