"""A sorter of SpikeInterface, run stage by stage in the same order its own runner uses.

SpikeInterface's runner turns every failure into one error that holds the traceback as text. Calling
the stages lets the real exception through, with its type and frames, which is what the failure
rules read. This module knows no particular sorter.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from spikeinterface.core import NumpySorting

from spikefleet.signal.sorters.activity import require_activity, require_units
from spikefleet.signal.sorters.base import SortRequest
from spikefleet.signal.sorters.params import merge_params

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting
    from spikeinterface.sorters import BaseSorter


@dataclass(frozen=True)
class StagedSorter:
    """An adapter for one of SpikeInterface's sorter classes.

    ``ours`` are parameters whose default we set differently. ``seed_param`` takes the request's
    seed unless the user gave one. ``libraries`` are the distributions that decide the result.
    ``job_kwargs_nested`` says whether the class takes its job settings as one dictionary.
    """

    name: str
    sorter_class: type[BaseSorter]
    libraries: tuple[str, ...]
    seed_param: str
    ours: dict[str, Any] = field(default_factory=dict)
    job_kwargs_nested: bool = True
    keeps: tuple[str, ...] = ()

    def default_params(self) -> dict[str, Any]:
        """The sorter's parameters with our defaults; settings of worker processes are left out,
        because the request decides those."""
        defaults = {**self.sorter_class.default_params(), **self.ours}
        return {key: value for key, value in defaults.items() if key not in JOB_KEYS}

    def versions(self) -> dict[str, str]:
        """Versions of SpikeInterface and of the sorter's libraries."""
        found = {library: version(library) for library in ("spikeinterface", *self.libraries)}
        found[self.name] = str(self.sorter_class.get_sorter_version())
        return found

    def resolve(self, request: SortRequest) -> dict[str, Any]:
        """Return the parameters this request will run with.

        Raises InvalidConfigurationError for a name the sorter does not have.
        """
        params = merge_params(self.name, self.default_params(), request.params)
        if self.seed_param not in request.params:
            params[self.seed_param] = request.seed
        return params

    def sort(self, request: SortRequest) -> BaseSorting:
        """Run the sorter in ``folder/run``; raise what it raises."""
        params = self.resolve(request)
        activity = require_activity(request.recording, self.name)
        jobs = {"n_jobs": request.n_jobs, "pool_engine": "thread", "progress_bar": True}
        params |= {"job_kwargs": jobs} if self.job_kwargs_nested else jobs
        sorter = self.sorter_class
        folder = sorter.initialize_folder(
            request.recording, request.folder / "run", verbose=True, remove_existing_folder=False
        )
        params = sorter.set_params_to_folder(request.recording, folder, params, verbose=True)
        sorter.setup_recording(request.recording, folder, verbose=True)
        with seeded_draws(params[self.seed_param]):
            sorter._run_from_folder(folder / "sorter_output", params, True)
        found = sorter._get_result_from_folder(folder / "sorter_output")
        return require_units(_inside(found, request.recording), self.name, activity)


JOB_KEYS = frozenset(
    {
        "job_kwargs",
        "n_jobs",
        "chunk_size",
        "chunk_memory",
        "total_memory",
        "chunk_duration",
        "progress_bar",
        "mp_context",
        "max_threads_per_worker",
        "pool_engine",
    }
)


@contextmanager
def seeded_draws(seed: int | None) -> Iterator[None]:
    """Let every draw of the sorter that asks for no seed start from ``seed``.

    SpikeInterface whitens, selects peaks, measures noise and projects at moments that no parameter
    of a sorter reaches: without this a repeated sort finds other units. Each unseeded generator
    gets the same seed, so the order in which threads ask does not matter. ``None`` changes nothing.
    """
    if seed is None:
        yield
        return
    own, unseeded = seed, np.random.default_rng
    state = np.random.get_state()

    def default_rng(seed: Any = None) -> np.random.Generator:
        return unseeded(own if seed is None else seed)

    np.random.default_rng = default_rng
    np.random.seed(own)
    try:
        yield
    finally:
        np.random.default_rng = unseeded
        np.random.set_state(state)


def _inside(sorting: BaseSorting, recording: BaseRecording) -> NumpySorting:
    """Return the sorting in memory, sorted in time, without spikes beyond either end."""
    last = int(recording.get_num_samples())
    trains = {}
    for unit in sorting.unit_ids:
        train = np.sort(sorting.get_unit_spike_train(unit, segment_index=0).astype(np.int64))
        trains[unit] = train[(train >= 0) & (train < last)]
    return NumpySorting.from_unit_dict([trains], float(recording.get_sampling_frequency()))
