"""What healthy sorts did, second by second: recorded from real ones, replayed to guards.

``python -m tests.support.sort_traces <backend> <trace.json> [seconds] [channels]`` sorts a
simulated recording with the real child and notes, ten times a second, the log's length, the step,
CPU time, bytes moved and threads that wait for a disk.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikefleet.core.attempts import AttemptSpec, InputFile, RunFolder
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.files import write_json
from spikefleet.core.guards.sources import TreeSample
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.infra.system.process_tree import ProcessTree
from spikefleet.runner.guards.quiet import is_quiet
from spikefleet.runner.progress import ProgressParser
from spikefleet.signal.simulation import SimulationRequest, simulate

EVERY_S = 0.1


@dataclass(frozen=True)
class Moment:
    """One look at a sort, times since its start."""

    at_s: float
    log_bytes: int
    step: str
    cpu_s: float
    moved_bytes: int
    n_waiting: int


@dataclass(frozen=True)
class Trace:
    """A healthy sort's moments; only those are kept in which something had changed."""

    backend: str
    about: dict[str, Any]
    moments: tuple[Moment, ...]

    @classmethod
    def read(cls, path: Path) -> "Trace":
        document = json.loads(path.read_text())
        moments = tuple(Moment(*values) for values in document["moments"])
        return cls(document["backend"], document["about"], moments)

    def stretched(self, quiet: float, loud: float = 1.0) -> "Trace":
        """The same sort on more data: steps that may be silent take ``quiet`` times as long.

        Loud steps speak at every piece of the recording: more data is more lines there, and
        ``loud`` is only how much slower the machine is.
        """
        now_s = cpu_s = 0.0
        before = self.moments[0]
        out = []
        for moment in self.moments:
            factor = quiet if is_quiet(before.step) else loud
            now_s += factor * (moment.at_s - before.at_s)
            cpu_s += factor * max(0.0, moment.cpu_s - before.cpu_s)
            out.append(
                Moment(
                    now_s,
                    moment.log_bytes,
                    moment.step,
                    cpu_s,
                    moment.moved_bytes,
                    moment.n_waiting,
                )
            )
            before = moment
        return Trace(self.backend, self.about, tuple(out))

    def cut(self, step: str, *, cpu_cores: float = 0.0, for_s: float = 1e6) -> "Trace":
        """The same sort hung at the first moment of ``step``: no word, no byte any more."""
        index = next(i for i, moment in enumerate(self.moments) if moment.step == step)
        last = self.moments[index]
        end = Moment(
            last.at_s + for_s,
            last.log_bytes,
            step,
            last.cpu_s + cpu_cores * for_s,
            last.moved_bytes,
            0,
        )
        return Trace(self.backend, self.about, (*self.moments[: index + 1], end))


class Replay:
    """Plays a trace to guards: the log grows, the step changes, the processes work.

    It stands where the process tree stands, and hands out the step.
    """

    def __init__(self, trace: Trace, log: Path) -> None:
        self._moments, self._log = trace.moments, log
        self._index = 0
        self._now_s = 0.0
        self._written = 0
        log.write_bytes(b"")

    @property
    def step(self) -> str:
        return self._moments[self._index].step

    def ticks(self, every_s: float) -> Iterator[float]:
        """Go through the trace; time, log and processes are those of each tick."""
        while self._now_s <= self._moments[-1].at_s:
            self._go_on()
            yield self._now_s
            self._now_s += every_s

    def read(self) -> TreeSample:
        """What the processes have done by now; between two moments they work evenly.

        Waiting for a disk was seen at a moment, and is no longer than that in a stretched trace.
        """
        here = self._moments[self._index]
        after = self._moments[min(self._index + 1, len(self._moments) - 1)]
        span_s = after.at_s - here.at_s
        share = (self._now_s - here.at_s) / span_s if span_s else 0.0
        cpu_s = here.cpu_s + share * (after.cpu_s - here.cpu_s)
        moved = here.moved_bytes + int(share * max(0, after.moved_bytes - here.moved_bytes))
        is_now = self._now_s - here.at_s < EVERY_S
        return TreeSample(1, cpu_s, moved, here.n_waiting if is_now else 0)

    def _go_on(self) -> None:
        last = len(self._moments) - 1
        while self._index < last and self._moments[self._index + 1].at_s <= self._now_s:
            self._index += 1
        due = self._moments[self._index].log_bytes
        if due > self._written:
            with self._log.open("ab") as handle:
                handle.write(b"." * (due - self._written))
            self._written = due


def record(backend: str, seconds: float, channels: int, root: Path) -> Trace:
    """Sort once and watch."""
    folder = RunFolder(root)
    folder.inputs.mkdir(parents=True)
    request = SimulationRequest(
        format="binary",
        path=folder.inputs / "recording",
        n_channels=channels,
        duration_s=seconds,
        n_units=max(4, channels // 2),
    )
    path = simulate(request).path
    config = SortingConfig().override(sorter=backend, n_jobs=1)
    spec = AttemptSpec(
        run_id="trace",
        attempt_id="trace/trace-sort-1",
        name="trace",
        number=1,
        backend=backend,
        recording=path.name,
        stream="",
        inputs=(InputFile(path.name, str(path), 0),),
        config=config.to_document(),
        artifacts_url="file:///nowhere",
        artifacts_prefix="runs/trace/attempts/sort-1",
    )
    write_json(folder.spec, spec.to_json())
    command = [sys.executable, "-P", "-m", "spikefleet.runner.child", str(root)]
    with folder.child_log.open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, cwd=root)
    moments = list(_watch(child, folder.child_log, backend))
    if child.returncode != 0:
        sys.exit(f"{backend} failed: {folder.child_log.read_text()[-2000:]}")
    about = {"seconds": seconds, "channels": channels, "wall_s": round(moments[-1].at_s, 1)}
    return Trace(backend, about, tuple(moments))


def _watch(child: subprocess.Popen[bytes], log: Path, backend: str) -> Iterator[Moment]:
    parser, tree = ProgressParser(BACKENDS[backend]), ProcessTree()
    started_s, read, step = time.monotonic(), 0, ""
    last: Moment | None = None
    while True:
        is_over = child.poll() is not None
        with log.open("rb") as handle:
            handle.seek(read)
            text = handle.read()
        read += len(text)
        for update in parser.feed(text.decode(errors="replace")):
            step = update.step
        sample = tree.read() or TreeSample(0, last.cpu_s if last else 0.0, 0, 0)
        moment = Moment(
            round(time.monotonic() - started_s, 2),
            read,
            step,
            round(sample.cpu_s, 2),
            (sample.moved_bytes or 0) if sample.n_processes else (last.moved_bytes if last else 0),
            sample.n_waiting,
        )
        if last is None or is_over or _differs(moment, last):
            last = moment
            yield moment
        if is_over:
            return
        time.sleep(EVERY_S)


def _differs(moment: Moment, last: Moment) -> bool:
    """Word, step or waiting changed, or so much CPU or data that a line between would mislead."""
    return (moment.log_bytes, moment.step, moment.n_waiting > 0) != (
        last.log_bytes,
        last.step,
        last.n_waiting > 0,
    ) or moment.at_s - last.at_s >= 1.0


def main(backend: str, out: Path, seconds: float = 60.0, channels: int = 16) -> None:
    with tempfile.TemporaryDirectory() as root:
        trace = record(backend, seconds, channels, Path(root))
    moments = [list(vars(moment).values()) for moment in trace.moments]
    lines = ",\n".join(json.dumps(values) for values in moments)
    about = json.dumps(trace.about)
    out.write_text(f'{{"backend": "{backend}", "about": {about}, "moments": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main(
        sys.argv[1],
        Path(sys.argv[2]),
        *(kind(value) for kind, value in zip((float, int), sys.argv[3:], strict=False)),
    )
