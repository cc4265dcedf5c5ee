"""The evidence of every row: what is measured, under which name, in which unit."""

from __future__ import annotations

from typing import Any, ClassVar

from spikefleet.core.failures.evidence import FailureEvidence, evidence_row, says


@evidence_row
class SortCounts(FailureEvidence):
    """Counts that a sorter's log, or our own search for spikes, gives."""

    threshold_crossings: int | None = says("threshold crossings found in the recording")
    crossings_of_noise: int | None = says("how many of them noise alone would give")
    counted_s: float | None = says("seconds of the recording in which they were counted")
    units_at_failure: int | None = says("units, or spikes to build them from, at the end")
    nspks_at_failure: float | None = says("spikes at the end")
    progress_batch: int | None = says("the batch of the sorter's last progress line")
    bad_channels: int | None = says("channels found bad")
    total_channels: int | None = says("channels of the recording")


@evidence_row
class InsufficientActivityEvidence(SortCounts):
    """Of ``insufficient_activity``."""

    log_path: str | None = says("the sorter's log")
    samples: int | None = says("spikes the sorter had to learn from")
    n_clusters: int | None = says("templates it wanted to build from them")
    noise_uv: float | None = says("the channels' median noise")
    peak_to_peak_uv: float | None = says("the channels' median span")
    duration_s: float | None = says("length of what was to be sorted")
    next_step: str | None = says("what helps, where that is known")


@evidence_row
class NoGoodChannelsEvidence(SortCounts):
    """Of ``no_good_channels``."""

    log_path: str | None = says("the sorter's log")


@evidence_row
class SaturatedSignalEvidence(FailureEvidence):
    """Of ``saturated_signal``."""

    channels_saturated: int | None = says("channels at the rail")
    total_channels: int | None = says("channels of the recording")
    rail_fraction: float | None = says("share of the samples at the rail")


@evidence_row
class EmptyWaveformMetricsEvidence(FailureEvidence):
    """Of ``empty_waveform_metrics``."""

    metric_name: str | None = says("the first metric that no unit has")
    n_units: int | None = says("units that were sorted")
    n_spikes: int | None = says("their spikes")


@evidence_row
class InputMissingEvidence(FailureEvidence):
    """Of ``input_missing``."""

    path: str | None = says("the file or folder that is not there")
    next_step: str | None = says("what helps, where that is known")


@evidence_row
class RecordingDoubts(FailureEvidence):
    """The numbers behind a doubt about a recording (docs/preflight.md)."""

    at_s: float | None = says("where in the recording")
    channel: str | None = says("the channel")
    channels: list[Any] | int | None = says("the channels, or their number")
    n_channels: int | None = says("how many channels")
    n_samples: int | None = says("how many samples")
    n_gaps: int | None = says("how many gaps")
    n_frames: int | None = says("how many frames it is about")
    n_missing_frames: int | None = says("frames missing in all gaps")
    missing_frames: int | None = says("frames missing in the first gap")
    middle_code: float | None = says("the middle of an unsigned signal, in codes")
    gain_to_uv: float | None = says("the gain the file gives")
    dtype: str | None = says("the type the header states")
    stated: int | None = says("channels the header states")
    likely: int | None = says("channels the samples look like")
    batch_size: int | None = says("samples of one batch of the sorter")
    recording: str | None = says("the recording of several that it is about")
    rate_hz: float | None = says("its sampling rate")
    nominal_hz: float | None = says("the rate the file states")
    measured_hz: float | None = says("the rate its time stamps give")
    ppm: float | None = says("how far two rates are apart, in parts per million")
    n_stamps: int | None = says("time stamps that repeat the one before")
    n_probes: int | None = says("probes that were laid apart")


@evidence_row
class InputCorruptEvidence(RecordingDoubts):
    """Of ``input_corrupt``."""

    path: str | None = says("the damaged file")
    next_step: str | None = says("what its owner can do, where that is known")
    finite_fraction: float | None = says("share of the samples that are numbers")
    first_at_s: float | None = says("where the first sample that is not a number is")
    sampling_rate_hz: float | None = says("the rate the file states")
    size_bytes: int | None = says("size of the file")
    registered_bytes: int | None = says("its size when it was registered")
    expected_bytes: int | None = says("the size it should have")
    sha256: str | None = says("digest of the bytes there are")
    expected_sha256: str | None = says("digest of the bytes that were submitted")


@evidence_row
class EnvironmentEvidence(FailureEvidence):
    """Of ``environment_other``."""

    device: str | None = says("the device the sorter was to use")
    library: str | None = says("the library that is missing")
    driver: str | None = says("version of the GPU's driver")
    cuda: str | None = says("the CUDA version it can serve")
    torch: str | None = says("version of torch")
    error: str | None = says("what the system answered")


@evidence_row
class Hdf5PluginEvidence(FailureEvidence):
    """Of ``hdf5_plugin_missing``."""

    configured_path: str | None = says("where plugins are looked for")
    filter: int | str | None = says("the filter the file asks for")


@evidence_row
class DockerEvidence(FailureEvidence):
    """Of ``docker_environment``."""

    reason: str | None = says(
        "daemon_down, client_missing, image_pull_failed, permission_denied or config_error"
    )
    expected: str | None = says("digest of the image that was asked for")
    found: str | None = says("digest of the image there is")


@evidence_row
class ModelLoadingEvidence(FailureEvidence):
    """Of ``model_loading``."""

    model_path: str | None = says("the model's folder")
    module: str | None = says("the Python package that cannot be imported")


@evidence_row
class ConcurrentSortEvidence(FailureEvidence):
    """Of ``concurrent_sort``."""

    lock_path: str | None = says("the claim file beside the result, where another process wrote it")
    holder: str | None = says("who holds it: host/pid/start")
    holder_pid: int | None = says("its process")
    holder_hostname: str | None = says("its machine")
    started_at: str | None = says("since when it is held, UTC")
    token: int | None = says("the attempt that holds it")
    wait_s: float | None = says("how long the lease lasts")


@evidence_row
class LicenseEvidence(FailureEvidence):
    """Of ``license_unavailable``."""

    license_manager_error: int | None = says("the licence manager's number")


@evidence_row
class StorageEvidence(FailureEvidence):
    """Of ``storage_unavailable``."""

    store: str | None = says("the store")
    operation: str | None = says("read, write, ...")
    host: str | None = says("the host that could not be found")
    error: str | None = says("what it answered")


@evidence_row
class InvalidConfigurationEvidence(RecordingDoubts):
    """Of ``invalid_configuration``."""

    field: str | None = says("the setting, dotted")
    fields: list[str] | None = says("every setting that was refused")
    value: Any = says("what was given")
    known: list[str] | None = says("what there is to choose from")
    nearest: str | None = says("the known name closest to the one given")
    duration_s: float | None = says("length of the recording")
    noise_uv: float | None = says("the channels' median noise")
    distinct_locations: int | None = says("places that differ")
    total_channels: int | None = says("channels of the recording")
    threshold_crossings: int | None = says("threshold crossings found in the recording")


@evidence_row
class ResourceEvidence(FailureEvidence):
    """Of ``resource_other``."""

    reason: str | None = says("what ran out")


@evidence_row
class GpuOutOfMemoryEvidence(FailureEvidence):
    """Of ``gpu_out_of_memory``."""

    requested_bytes: int | None = says("what was asked for when it failed")
    capacity_bytes: int | None = says("memory of the GPU")
    free_bytes: int | None = says("what of it was free")
    log_path: str | None = says("the sorter's log")


@evidence_row
class GpuMemoryEvidence(FailureEvidence):
    """Of ``gpu_memory_watchdog``."""

    old_names: ClassVar = {"used_pct": "used_pct_at_trip", "device": "device_uuid"}

    device_index: int | None = says("the GPU's number, as CUDA shows it to the attempt")
    device_uuid: str | None = says("the GPU")
    used_pct_at_trip: float | None = says("per cent of its memory when the sorter was stopped")
    abort_pct: float | None = says("per cent at which it is stopped")
    used_bytes: int | None = says("everyone's memory on it")
    own_bytes: int | None = says("the attempt's own")
    total_bytes: int | None = says("all it has")
    sharing: str | None = says("exclusive, shared or unknown")


@evidence_row
class GpuThermalEvidence(FailureEvidence):
    """Of ``gpu_thermal_watchdog``."""

    old_names: ClassVar = {"temperature_c": "temperature_c_at_trip", "device": "device_uuid"}

    device_index: int | None = says("the GPU's number, as CUDA shows it to the attempt")
    device_uuid: str | None = says("the GPU")
    temperature_c_at_trip: float | None = says("°C when the sorter was stopped")
    abort_temp_c: float | None = says("°C at which it is stopped")
    slowdowns: list[str] | None = says("why the GPU's clock was held down")


@evidence_row
class GpuFaultEvidence(FailureEvidence):
    """Of ``gpu_fault``."""

    fault: str | None = says("the fault, in the driver's words")
    uncorrected_errors: int | None = says("memory errors the GPU has counted")


@evidence_row
class MemoryReadings(FailureEvidence):
    """Memory as the guard saw it."""

    source: str | None = says("cgroup or node")
    working_set_bytes: int | None = says("memory in use without page cache that can be dropped")
    held_bytes: int | None = says("memory that cannot be dropped")
    limit_bytes: int | None = says("the limit")
    stalled_ratio: float | None = says("share of the last 10 s in which every task waited for it")


@evidence_row
class HostMemoryEvidence(MemoryReadings):
    """Of ``host_memory_watchdog``."""

    old_names: ClassVar = {"used_pct": "percent_at_trip"}

    percent_at_trip: float | None = says("per cent of the limit when the sorter was stopped")
    abort_pct: float | None = says("per cent at which it is stopped")


@evidence_row
class HostOutOfMemoryEvidence(MemoryReadings):
    """Of ``host_out_of_memory``."""

    old_names: ClassVar = {"used_pct": "percent_at_trip"}

    requested_bytes: int | None = says("what was asked for when it failed")
    oom_kills: int | None = says("processes the kernel killed for memory")
    percent_at_trip: float | None = says("per cent of the limit when the guard last looked")
    abort_pct: float | None = says("per cent at which a sorter is stopped")


@evidence_row
class DiskExhaustionEvidence(FailureEvidence):
    """Of ``disk_exhaustion``."""

    folder: str | None = says("the folder whose disk is full")
    free_gb_at_trip: float | None = says("GiB free when the sorter was stopped")
    abort_threshold_gb: float | None = says("GiB free at which it is stopped")
    free_bytes: int | None = says("the same in bytes")
    abort_free_bytes: int | None = says("the same in bytes")
    limit_bytes: int | None = says("size limit of the volume, 0 where there is none")
    projected_need_gb: float | None = says("GiB that were projected for the attempt")
    consumed_bytes: int | None = says("what the disk has lost since the attempt began")
    top_consumers: list[dict[str, Any]] | None = says(
        "files and folders that hold 3 per cent or more, the largest first"
    )
    report: dict[str, Any] | None = says("disk_exhaustion_report.json, for programs")
    next_step: str | None = says("what helps, where that is known")


@evidence_row
class IOStallEvidence(FailureEvidence):
    """Of ``io_stall``."""

    device: str | None = says("the block device, where it was counted")
    stall_s: float | None = says("how long no byte moved")
    allowed_s: float | None = says("how long that may last")
    counted: str | None = says("whose bytes: processes, or a device")
    waiting: int | None = says("threads or requests that wait for the disk")
    waiting_share: float | None = says("share of the looks in which something waited")
    moved_bytes: int | None = says("bytes moved before")


@evidence_row
class SorterTimeoutEvidence(FailureEvidence):
    """Of ``sorter_timeout``."""

    inactivity_s: float | None = says("how long no line was written")
    idle_s: float | None = says("how long nothing showed life")
    timeout_s: float | None = says("how long that may last")
    deadline_s: float | None = says("the attempt's deadline, where that was passed")
    log_path: str | None = says("the log that was watched")


@evidence_row
class SorterCrashEvidence(SortCounts):
    """Of ``sorter_crash``."""

    signal: str | None = says("the signal that ended it")
    exit_code: int | None = says("of the sorter's process")
    missing: list[str] | None = says("what of the result is not there")


@evidence_row
class ParameterSensitiveEvidence(SortCounts):
    """Of ``parameter_sensitive``."""

    parameter: str | None = says("the parameter to change")
    cause: str | None = says("what the sorter said")
    n_samples: int | None = says("samples of the recording")
    batch_size: int | None = says("samples of one batch of the sorter")


@evidence_row
class UnclassifiedEvidence(SortCounts):
    """Of ``unclassified``."""

    fingerprint: str | None = says("the same whenever the same thing happens")
    exception_type: str | None = says("module and class of the exception")
    log_tail: list[str] | None = says("the log's last 50 lines")
    trace_tail: list[str] | None = says("the traceback's last lines")


@evidence_row
class InterruptedEvidence(FailureEvidence):
    """Of ``attempt_interrupted``."""

    signal: str | None = says("the signal, or the request to stop")


@evidence_row
class OutsideEvidence(FailureEvidence):
    """Of causes that only an observer outside sees."""

    reason: str | None = says("the cluster's reason, or the launcher's words")
    said: str | None = says("the cluster's own words")


@evidence_row
class LostEvidence(OutsideEvidence):
    """Of ``lost``."""

    last_progress: dict[str, Any] | None = says("how far it was when last heard of")


@evidence_row
class IncompleteEvidence(FailureEvidence):
    """Of ``incomplete``."""

    missing: str | None = says("what of the result is not there")
    next_step: str | None = says("what helps, where that is known")


@evidence_row
class DeadlineEvidence(OutsideEvidence):
    """Of ``deadline``."""

    deadline_s: float | None = says("the deadline")
