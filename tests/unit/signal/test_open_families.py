"""Which test holds each kind of trouble that people's recordings bring, format by format.

A cell names the file and the test whose recording has the genuine layout; or
it begins with "none:" and says why the trouble cannot occur. A new format fills a row.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

from spikefleet.signal.open import FAMILIES

TESTS = Path(__file__).parents[2]
UNIT = TESTS / "unit"
KINDS = {
    "clock": "seconds from doubtful clocks",
    "takes": "blocks and takes that are one recording or several",
    "lost": "parts lost without a word",
    "places": "places from a wrong source, doubtful or missing ones",
    "foreign": "exceptions of foreign readers that become tracebacks",
    "next": "next steps that cannot be taken",
    "no spikes": "streams that hold no spikes",
    "settings": "values of settings, the chosen reader among them",
    "hidden": "files of the system",
}
# These take a genuine recording of every layout.
EVERY = {
    "foreign": "attacks/test_fuzz.py::test_damaged_recordings_are_refused_by_name",
    "next": "test_reader_errors::test_a_copy_from_the_rig_is_advised_only_where_it_can_help",
    "no spikes": "test_spike_bands::test_a_signal_without_spikes_is_refused_though_it_lies_alone",
    "settings": "test_open::test_the_reader_that_was_chosen_before_opens_the_same",
    "hidden": "test_open_hidden_files::test_a_recording_is_read_as_without_the_files_of_the_system",
}
HELD = {
    "maxwell": {
        "clock": "test_maxwell::test_a_gap_is_told_with_its_place_and_length",
        "takes": "test_maxwell::test_frame_numbers_that_are_set_back_part_takes",
        "lost": "test_maxwell::test_fewer_samples_than_numbered_frames_are_truncated",
        "places": "test_maxwell::test_a_channel_mapped_twice_keeps_its_first_electrode",
    },
    "nwb": {
        "clock": "test_nwb::test_the_rate_of_a_series_with_stamps_is_that_of_all_of_them",
        "takes": "test_nwb::test_time_stamps_that_are_set_back_part_takes",
        "lost": "test_nwb::test_a_lost_zarr_chunk_is_truncated_not_zero",
        "places": "test_nwb::test_two_probes_on_the_same_places_are_laid_apart_and_told",
        "no spikes": "test_nwb::"
        "test_a_slow_or_field_potential_series_is_another_stream_and_refused_by_name",
    },
    "spikeinterface": {
        "clock": "none: it stores one rate and counts no frames",
        "takes": "test_open::test_two_segments_are_refused",
        "lost": "test_spikeinterface_folder::"
        "test_a_folder_cut_between_frames_is_truncated_where_its_length_is_known",
        "places": "test_open::test_a_recording_without_geometry_is_refused",
    },
    "spikeglx": {
        "clock": "test_spikeglx::test_a_header_older_than_its_samples_gives_their_own_length",
        "takes": "test_spikeglx::test_the_triggers_of_a_run_are_one_stream_with_gaps",
        "lost": "test_spikeglx::"
        "test_probes_in_folders_of_their_own_with_one_file_name_are_streams_of_their_own",
        "places": "test_spikeglx::test_real_headers_open_bit_exact_with_their_probe",
        "no spikes": "test_spikeglx::test_lfp_streams_are_named_but_refused",
    },
    "openephys": {
        "clock": "test_openephys::test_time_stamps_of_no_use_do_not_matter_beside_sample_numbers",
        "takes": "test_openephys::test_sample_numbers_that_start_again_part_takes",
        "lost": "test_openephys::test_frames_beyond_the_last_number_are_left_out_and_told",
        "places": "test_openephys_places::"
        "test_each_record_node_has_the_places_of_the_electrodes_it_saved",
    },
    "openephys_legacy": {
        "clock": "test_openephys_legacy::test_lost_records_are_located_and_not_filled",
        "takes": "test_openephys_legacy::test_record_numbers_that_are_set_back_part_takes",
        "lost": "test_openephys_legacy::test_a_cut_channel_is_truncated_and_named",
        "places": "test_openephys_legacy::test_without_a_probe_it_has_no_geometry",
    },
    "intan": {
        "clock": "test_intan::test_time_stamps_count_on_through_the_end_of_32_bits",
        "takes": "test_intan::test_time_stamps_that_are_set_back_part_takes",
        "lost": "test_intan::test_a_file_lost_from_a_series_is_a_gap_with_place_and_length",
        "places": "test_intan::test_without_a_probe_it_has_no_geometry",
    },
    "blackrock": {
        "clock": "test_blackrock::test_blocks_on_a_nanosecond_clock_are_one_timeline",
        "takes": "test_blackrock::test_a_clock_that_is_set_back_parts_takes_with_their_starts",
        "lost": "test_blackrock::test_blocks_on_one_clock_are_one_recording_with_its_gaps",
        "places": "test_blackrock::test_without_a_probe_it_has_no_geometry",
    },
    "neuralynx": {
        "clock": "test_neuralynx::test_a_rounded_rate_in_the_header_yields_to_the_clock",
        "takes": "test_neuralynx::test_a_clock_that_is_set_back_parts_takes",
        "lost": "test_neuralynx::test_lost_records_and_short_records_are_located",
        "places": "test_neuralynx::test_without_a_probe_it_has_no_geometry",
        "no spikes": "test_neuralynx::test_slow_and_filtered_channels_are_named_but_refused",
    },
    "biocam": {
        "clock": "none: it stores one rate and counts no frames",
        "takes": "none: a file holds one unbroken recording of each well",
        "lost": "test_biocam::test_a_short_file_is_truncated",
        "places": "test_biocam::test_places_follow_the_stored_channels",
    },
    "mcs": {
        "clock": "test_mcs::test_a_pause_between_blocks_is_a_gap_with_place_and_length",
        "takes": "test_mcs::test_blocks_whose_clock_is_set_back_part_takes",
        "lost": "test_mcs::test_fewer_samples_than_the_header_counts_are_truncated",
        "places": "test_mcs::test_an_array_of_unknown_pitch_has_no_geometry",
    },
    "raw_binary": {
        "clock": "none: it stores one rate and counts no frames",
        "takes": "test_raw_binary::test_two_readable_pairs_in_a_folder_are_listed",
        "lost": "test_raw_binary::test_a_file_cut_short_is_truncated",
        "places": "test_raw_binary::test_a_probe_for_other_channels_is_refused",
    },
    "archive": {
        "clock": "archive/test_write::test_times_of_a_recording_that_started_late_are_kept",
        "takes": "none: it keeps the streams of its source, takes among them",
        "lost": "archive/test_reading::test_a_missing_chunk_is_refused_at_once",
        "places": "archive/test_reading::test_gains_that_no_longer_match_the_manifest_are_refused",
    },
}


@cache
def functions_of(path: Path) -> frozenset[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(
        node.name for node in ast.parse(path.read_text()).body if isinstance(node, kinds)
    )


def test_every_format_has_a_row():
    assert {family.format for family in FAMILIES} == set(HELD)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("format", HELD)
def test_every_cell_names_a_test_that_is_there_or_says_why_there_is_none(format, kind):
    said = HELD[format].get(kind) or EVERY[kind]
    if said.startswith("none: "):
        return
    file, _, function = said.partition("::")
    read = (path for path in UNIT.rglob(f"{file}.py") if path.parent.name != "exports")
    (path,) = [TESTS / file] if file.endswith(".py") else read
    assert function in functions_of(path), f"{path.name} has no {function}"
