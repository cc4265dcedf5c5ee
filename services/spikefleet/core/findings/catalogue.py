"""Every finding a preflight can make: code, where it is made, what triggers it, the remedy.

Codes are stable: they are part of the API, the report and the rule of a failure. docs/preflight.md
is rendered from here. What measures and decides is in ``preflight`` (the service) and in
``runner`` (the machine that sorts).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from spikefleet.core.failures.vocabulary import FailureCategory


class FindingPlace(StrEnum):
    """Where a finding is made."""

    RECORDING = "recording"  # by the service, of the recording and its configuration
    SERVICE = "service"  # by the service, of its own disk and memory
    NODE = "node"  # on the machine that sorts, before the sorter starts
    BOTH = "both"  # by the service and again on the machine that sorts


@dataclass(frozen=True)
class FindingRow:
    """One line of the catalogue. ``levels`` is "note", "warn", "fail" or "warn, fail"."""

    code: str
    place: FindingPlace
    levels: str
    category: FailureCategory
    trigger: str
    remediation: str


_B, _I, _E = FailureCategory.BIOLOGICAL, FailureCategory.INPUT, FailureCategory.ENVIRONMENT
_R = FailureCategory.RESOURCE
_REC, _SVC, _NODE, _BOTH = (
    FindingPlace.RECORDING,
    FindingPlace.SERVICE,
    FindingPlace.NODE,
    FindingPlace.BOTH,
)

# A row keeps its keys on one line.
# fmt: off
_OPENING = (
    FindingRow(
        "recording_missing", _REC, "fail", _I, "Nothing is at the recording's place any more.",
        "Check the path and the mount, then submit again.",
    ),
    FindingRow(
        "readable", _REC, "fail", _I, "The recording cannot be opened or read.",
        "Compare it with the copy on the rig and submit that one.",
    ),
    FindingRow(
        "hdf5_plugin_missing", _BOTH, "fail", _E,
        "The vendor's HDF5 plugin is missing, or the folder given for it is not there.",
        "Install the plugin where HDF5_PLUGIN_PATH points.",
    ),
    FindingRow(
        "configuration", _REC, "fail", _E, "The configuration does not fit the recording.",
        "Correct the named field and submit again.",
    ),
    FindingRow(
        "recording_extension_unknown", _REC, "warn", _I,
        "The file's suffix is none of a known format; it was recognised by its content.",
        "Check that this is the file that was meant.",
    ),
    FindingRow(
        "settings_without_effect", _REC, "warn", _I,
        "A setting was changed that has no effect yet.",
        "Leave these settings out; docs/configuration.md marks what is not in effect.",
    ),
    FindingRow(
        "channels", _REC, "fail", _B, "No channels, or fewer than the sorter can work with.",
        "Choose another sorter or another selection of channels.",
    ),
    FindingRow(
        "few_contacts", _REC, "warn", _I,
        "Fewer contacts on a shank (tetrodes, say) than the sorter tells neurons apart with.",
        "Choose mountainsort5 (--sorter mountainsort5), which sorts tetrodes well.",
    ),
    FindingRow(
        "sample_rate_out_of_window", _REC, "warn, fail", _I,
        "The sampling rate is outside what the sorter is made for; none at all fails.",
        "Check the rate in the recording's metadata; if it is right, check the units with care.",
    ),
    FindingRow(
        "window_clipped", _REC, "warn", _I,
        "A window was asked for that ends after the recording.",
        "Check that this is the recording that was meant, and the window.",
    ),
    FindingRow(
        "duration_short", _REC, "warn, fail", _B,
        "Shorter than the sorter needs (or than one of its batches) fails; barely longer warns.",
        "Record longer if more units are expected.",
    ),
)
_SIGNAL = (
    FindingRow(
        "finite", _REC, "fail", _I, "A sample is not a number.",
        "Export the recording again from the original.",
    ),
    FindingRow(
        "saturated", _REC, "fail", _B, "Half of all samples or more sit at the amplifier's rail.",
        "Check the reference and the gain; a saturated recording cannot be repaired.",
    ),
    FindingRow(
        "flat", _REC, "fail", _B, "Nine of ten channels or more never change.",
        "Check the headstage and the cable, then record again.",
    ),
    FindingRow(
        "silent", _REC, "fail", _B, "Every sample is digital zero.",
        "Check that the amplifier was on and this well or probe connected.",
    ),
    FindingRow(
        "noise_only", _REC, "fail", _B,
        "No more threshold crossings than noise alone gives, at any time of the recording.",
        "Check that the culture or probe was active and the reference connected.",
    ),
    FindingRow(
        "units_suspicious", _REC, "warn, fail", _I,
        "The noise is that of no amplifier: volts or raw counts taken for µV. Volts fail.",
        "Set recording.gain_to_uv if the file's own gain is wrong.",
    ),
    FindingRow(
        "signal", _REC, "fail", _I, "The signal proves a failure that has no code of its own.",
        "Read the failure's evidence.",
    ),
    FindingRow(
        "saturated_channels", _REC, "warn", _B, "Some channels sit at the amplifier's rail.",
        "Check their gain and reference, or leave them out (--set bad_channels=detected).",
    ),
    FindingRow(
        "flat_channels", _REC, "warn", _B, "Some channels never change.",
        "Check their connection, or leave them out (--set bad_channels=detected).",
    ),
    FindingRow(
        "dead_channels", _REC, "warn", _B,
        "Some channels have far less noise than the others: not connected to tissue.",
        "Check the connection of these channels, or leave them out.",
    ),
    FindingRow(
        "noisy_channels", _REC, "warn", _B, "Some channels have far more noise than the others.",
        "Check the contact and the reference of these channels, or leave them out.",
    ),
    FindingRow(
        "identical_channels", _REC, "warn", _I, "Two or more channels carry the same samples.",
        "Check the mapping and the export: units there are counted twice.",
    ),
    FindingRow(
        "mains_load", _REC, "warn", _B, "Most of the raw signal's power is mains hum.",
        "Check the earth and the shielding of the rig.",
    ),
    FindingRow(
        "artifact_load", _REC, "warn", _B,
        "A noticeable share of the time holds artifacts common to most channels.",
        "Check the stimulation and its removal; spikes within an artifact are lost.",
    ),
    FindingRow(
        "quiet_start", _REC, "warn", _B,
        "The recording is silent at its start and active later.",
        "Start the window at the activity if the sorter misses units.",
    ),
)
_TRUTH = (
    FindingRow(
        "unsigned", _REC, "note", _I, "The samples are unsigned; reported by inspect alone.",
        "Subtract the centre before reading amplitudes off the stored codes.",
    ),
    FindingRow(
        "frame_gaps", _REC, "warn", _I, "The acquisition lost frames, at known places.",
        "Align with other signals by their own time stamps, not by sample counts.",
    ),
    FindingRow(
        "dropped_frames", _REC, "warn", _I, "The acquisition lost frames, at unknown places.",
        "Align with other signals by their own time stamps, not by sample counts.",
    ),
    FindingRow(
        "duplicate_channels", _REC, "fail", _I, "A channel's id is given twice.",
        "Correct the channel list and export the recording again.",
    ),
    FindingRow(
        "gain_invalid", _REC, "fail", _I, "A gain is zero, or a gain or offset is not a number.",
        "Set recording.gain_to_uv and recording.offset_to_uv.",
    ),
    FindingRow(
        "gain_missing", _REC, "warn", _I, "The file does not say how many µV one count is.",
        "Set recording.gain_to_uv and recording.offset_to_uv.",
    ),
    FindingRow(
        "scaled_twice", _REC, "fail", _I, "Samples in µV still carry a gain.",
        "Set the gains of the scaled recording to 1.",
    ),
    FindingRow(
        "scale_doubtful", _REC, "warn", _I, "Floating-point samples carry a gain.",
        "If the samples are µV already, set recording.gain_to_uv to 1.",
    ),
    FindingRow(
        "wrong_dtype", _REC, "warn", _I, "The samples do not look like their type.",
        "Check the sample type and byte order in the header.",
    ),
    FindingRow(
        "wrong_channel_count", _REC, "warn", _I,
        "The samples run smoother with another number of channels.",
        "Check the channel count in the header.",
    ),
    FindingRow(
        "duplicate_positions", _REC, "warn", _I, "One place holds more than one channel.",
        "Check the mapping: units near such a place are counted twice.",
    ),
    FindingRow(
        "unplaced_channels", _REC, "warn", _I, "Recorded channels have no known contact.",
        "Complete the mapping or the probe file if they matter.",
    ),
    FindingRow(
        "clock_differs", _REC, "warn", _I,
        "The rate in the header is not that of the time stamps, which are believed.",
        "Check which of the two clocks is the acquisition's.",
    ),
    FindingRow(
        "rates_differ", _REC, "warn", _I,
        "Recordings joined as one ran at rates up to 50 ppm apart.",
        "Align with other signals within each recording.",
    ),
    FindingRow(
        "repeated_stamps", _REC, "warn", _I, "Some time stamps repeat the one before.",
        "Nothing to do for sorting; align with other signals by sample counts there.",
    ),
    FindingRow(
        "not_closed", _REC, "warn", _I, "The acquisition did not close the file.",
        "Check that the last seconds are there; the length is taken from the samples.",
    ),
    FindingRow(
        "probes_laid_apart", _REC, "warn", _I,
        "Several probes are given on the same ground; they are sorted side by side.",
        "Give each probe's real place if distances between probes matter.",
    ),
    FindingRow(
        "clock_set_back", _REC, "warn", _I,
        "The clock was set back while recording: the stream is one of several takes.",
        "Name the takes that are meant as streams, or join them (--concatenate).",
    ),
    FindingRow(
        "unnumbered_frames", _REC, "warn", _I,
        "Frames at the end have no sample number; they are left out.",
        "Nothing to do; the acquisition stopped numbering before it stopped writing.",
    ),
    FindingRow(
        "channels_left_out", _REC, "warn", _I,
        "Channels are left out, as recording.bad_channels asks.",
        "Take them out of recording.bad_channels to sort them.",
    ),
    FindingRow(
        "sidecar_decided", _REC, "warn", _I,
        "A probe.json places the channels elsewhere than the acquisition system does.",
        "Take probe.json away if the acquisition system is right.",
    ),
    FindingRow(
        "geometry_suspicious", _REC, "warn", _I,
        "No places, all at one place, or places nearer or farther than any array's.",
        "Give the probe's real map, in µm.",
    ),
)
_MACHINE = (
    FindingRow(
        "low_disk_inter", _BOTH, "warn", _R,
        "Less free scratch space than preflight_min_free_inter_gb, of a disk that others use too.",
        "Free space or move the scratch folder.",
    ),
    FindingRow(
        "low_disk_results", _SVC, "warn", _R,
        "Less free space for results than preflight_min_free_results_gb.",
        "Free space or move the artifact folder.",
    ),
    FindingRow(
        "disk_projection", _BOTH, "warn", _R,
        "The sort is projected to need more scratch space than is free.",
        "Free space, use a larger volume, or sort a shorter window.",
    ),
    FindingRow(
        "rt_sort_disk_projection", _BOTH, "warn", _R,
        "The same for RT-Sort, which keeps its detections beside the prepared copy.",
        "Use a larger volume, or sort a shorter window.",
    ),
    FindingRow(
        "intermediate_readonly", _BOTH, "fail", _E, "The scratch folder cannot be written.",
        "Mount the scratch folder with write access.",
    ),
    FindingRow(
        "results_readonly", _SVC, "fail", _E, "The folder for results cannot be written.",
        "Mount the artifact folder with write access.",
    ),
    FindingRow(
        "ram_unknown", _BOTH, "warn", _R, "The available memory cannot be read.",
        "Install psutil; the memory guard needs it too.",
    ),
    FindingRow(
        "low_ram", _BOTH, "warn", _R,
        "Less memory available than preflight_min_available_ram_gb, on a machine without a limit "
        "for the sort.",
        "Close other programs or sort a shorter window.",
    ),
    FindingRow(
        "ram_projection", _BOTH, "warn", _R,
        "The sort is projected to need more memory than is available.",
        "Give the sort more memory (on a cluster maxMemory in its profile), or fewer channels at a "
        "time.",
    ),
    FindingRow(
        "spikeinterface_version_outside_tested_range", _BOTH, "warn", _E,
        "SpikeInterface is older or newer than what was tested.",
        "Install the pinned version.",
    ),
)
_NODE_ONLY = (
    FindingRow(
        "low_ephemeral", _NODE, "warn", _R,
        "The pod's limit of ephemeral storage is below what the sort is projected to write.",
        "Raise the ephemeral-storage limit, or give the scratch folder a volume of its own.",
    ),
    FindingRow(
        "gpu_device_not_present", _NODE, "fail", _E,
        "The GPU the run asks for is not on the machine.",
        "Choose a GPU that is there, or repair the machine's driver.",
    ),
    FindingRow(
        "vram_unknown", _NODE, "warn", _R, "The GPU's memory cannot be read.",
        "Install nvidia-ml-py; the GPU guard needs it too.",
    ),
    FindingRow(
        "low_vram", _NODE, "warn", _R,
        "Less GPU memory free than preflight_min_free_vram_gb, or than is projected.",
        "Free the GPU, or use smaller batches.",
    ),
    FindingRow(
        "gpu_ecc", _NODE, "warn, fail", _R,
        "The GPU counts memory errors: uncorrected ones fail, rows waiting for repair warn.",
        "Drain the machine and reset or replace the GPU.",
    ),
    FindingRow(
        "gpu_driver_too_old", _NODE, "warn, fail", _E,
        "The driver is older than the CUDA that torch was built for.",
        "Update the driver, or use the image built for it.",
    ),
    FindingRow(
        "cuda_probe_failed", _NODE, "fail", _E,
        "A small computation on the GPU failed in a process of its own.",
        "Read the probe's message; reset the GPU or drain the machine.",
    ),
    FindingRow(
        "sorter_dependency_missing", _NODE, "warn, fail", _E,
        "The sorter, or a library it needs, is not installed.",
        "Install the sorter's extra, or use its image.",
    ),
    FindingRow(
        "kilosort4_version_outside_tested_range", _NODE, "warn", _E,
        "Kilosort 4 is older or newer than what was tested.", "Install the pinned version.",
    ),
    FindingRow(
        "docker_image_digest_unverified", _NODE, "warn", _E,
        "An image digest is asked for, and the image's own is unknown.",
        "Start the pod with its image's digest in the environment.",
    ),
    FindingRow(
        "docker_image_digest_mismatch", _NODE, "fail", _E,
        "The image is not the one that was asked for.",
        "Pull the image again, or correct docker_image_expected_digest.",
    ),
    FindingRow(
        "low_rlimit_nofile", _NODE, "warn", _E, "Fewer than 4096 files may be open.",
        "Raise the limit (ulimit -n 65536).",
    ),
    FindingRow(
        "low_rlimit_nproc", _NODE, "warn", _E,
        "Fewer processes may run than max(256, 4 x n_jobs).", "Raise the limit (ulimit -u).",
    ),
)
# fmt: on

FINDINGS: tuple[FindingRow, ...] = (*_OPENING, *_SIGNAL, *_TRUTH, *_MACHINE, *_NODE_ONLY)
_BY_CODE = {row.code: row for row in FINDINGS}


def row_of(code: str) -> FindingRow:
    """Return the catalogue's row. Raises ValueError for a code it does not have."""
    row = _BY_CODE.get(code)
    if row is None:
        raise ValueError(f"no finding {code!r} is in the catalogue")
    return row
