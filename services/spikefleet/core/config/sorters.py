"""Which backend sorts, with which of its own parameters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from spikefleet.core.config.group import ConfigGroup, Params, Positive, PositiveCount
from spikefleet.core.sorters.catalogue import DEFAULT_SORTER


def _sorter_name(value: object) -> object:
    if not isinstance(value, str):
        return value
    name = value.strip().lower().replace("-", "_")
    return "rt_sort" if name == "rtsort" else name


SorterName = Annotated[
    str, BeforeValidator(_sorter_name), Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)
]


class SorterConfig(ConfigGroup):
    """The backend and its parameters."""

    sorter_name: SorterName = Field(
        default=DEFAULT_SORTER,
        description="Backend that sorts; case does not matter, '-' and '_' are equal.",
    )
    sorter_path: str | None = Field(
        default=None,
        description="Folder of a MATLAB sorter's sources (kilosort2); no effect on sorters that "
        "are Python packages.",
    )
    sorter_params: Params = Field(
        default=None,
        description="The sorter's own parameters, laid over its defaults; null: its defaults. "
        "An override merges into what is there. Whole numbers are integers.",
    )
    use_docker: bool | str = Field(
        default=False,
        description="Run the sorter in a container; the operator chooses the image.",
    )


class RtSortConfig(ConfigGroup):
    """Parameters of the RT-Sort backend; other backends ignore the group."""

    model_path: str | None = Field(
        default=None, description="Folder of the detection model; null: the model of `probe`."
    )
    probe: Literal["mea", "mea_published", "neuropixels"] = Field(
        default="mea",
        description="Which built-in detection model and limits to start from; `mea_published` has "
        "its authors' own, wider limits.",
    )
    device: Literal["auto", "cuda", "cpu"] = Field(
        default="cuda",
        description="Where the detection model runs; without a GPU it is the CPU, and the log says "
        "so.",
    )
    num_processes: PositiveCount | None = Field(
        default=None,
        description="Workers that share electrodes and time (count); null: as `execution.n_jobs`.",
    )
    recording_window_ms: tuple[float, float] | None = Field(
        default=None, description="Window [start, end) of the recording to sort (ms); null: all."
    )
    save_rt_sort_pickle: bool = Field(
        default=True,
        description="Keep the trained sequences (`sequences.npz`, no pickle), so that other "
        "recordings of the same electrodes can be sorted by them.",
    )
    verbose: bool = Field(
        default=True,
        description="Write counts of sequences to the attempt's log, not progress alone.",
    )
    params: Params = Field(
        default=None,
        description="RT-Sort's detection parameters, laid over its defaults; an override merges.",
    )
    detection_window_s: Positive | None = Field(
        default=None,
        description="Length of the window that sequences are learnt from (s); null: all.",
    )
