"""The step that sorts: one child in one run folder, watched by its guards. Also the trial's."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from spikefleet.core.attempts import AttemptSpec, RunFolder
from spikefleet.core.failures.errors import Failure
from spikefleet.core.sorters.catalogue import backend_of
from spikefleet.infra.gpus import make_gpu_reader
from spikefleet.infra.launchers import processes
from spikefleet.infra.system.memory_reader import MemoryReader
from spikefleet.runner.audit import AuditTrail
from spikefleet.runner.evidence import KernelKills, judge
from spikefleet.runner.guards.loop import GuardLoop
from spikefleet.runner.guards.make import Watched, make_guards, make_memory_reader
from spikefleet.runner.interruption import STOP_REQUESTED
from spikefleet.runner.lease import RunLease
from spikefleet.runner.place import Place
from spikefleet.runner.progress import ProgressParser
from spikefleet.runner.reach import child_environment
from spikefleet.runner.reporting import Reporter
from spikefleet.runner.supervise import Supervisor


def own_processes() -> list[int]:
    """Pids of everything the attempt started, whose GPU memory is ours."""
    return processes.descendants(os.getpid())


@dataclass(frozen=True)
class Sorting:
    """A child that is ready to start, with what will watch it."""

    place: Place
    spec: AttemptSpec
    folder: RunFolder
    memory: MemoryReader
    guards: GuardLoop
    supervisor: Supervisor

    def run(self, lease: RunLease) -> Failure | None:
        """Run the child to its end; return why it failed. Raises ConcurrentSortError."""
        options = self.place.options
        kills_before = self.memory.oom_kills()
        end = self.supervisor.run(
            options.command(self.folder.root),
            self.place.interruption,
            child_environment(self.folder, options.environment),
            options.warm,
        )
        if end.interrupted == STOP_REQUESTED:
            lease.hold()  # a lost lease is another matter than a run given up
        kills = KernelKills(
            _grown(kills_before, self.memory.oom_kills()),
            is_shared=not self.memory.is_ours_alone(()),
        )
        return judge(self.spec, self.folder, end, kills)


def prepare_sorting(
    place: Place, spec: AttemptSpec, folder: RunFolder, reporter: Reporter, elapsed_s: float
) -> Sorting:
    """Make the guards and the supervisor of the child that will run in ``folder``."""
    info, options = backend_of(spec.backend), place.options
    memory = make_memory_reader(spec, options.cgroups)
    audit = AuditTrail(place.folder.watchdog_events)
    watched = Watched(
        folder=folder,
        memory=memory,
        gpu=make_gpu_reader(options.gpu_ids, own_processes, options.nvml),
        step=lambda: reporter.step,
        log_names=info.log_names,
    )
    guards = GuardLoop(make_guards(spec, watched), audit.keep)
    timing = options.timing
    if spec.deadline_s > 0:
        timing = replace(timing, deadline_s=max(0.001, spec.deadline_s - elapsed_s))
    supervisor = Supervisor(folder, guards, reporter, ProgressParser(info), timing, audit)
    return Sorting(place, spec, folder, memory, guards, supervisor)


def _grown(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else max(0, after - before)
