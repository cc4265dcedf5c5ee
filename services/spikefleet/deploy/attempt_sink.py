"""Where the news of one attempt goes: to the controller, from a thread of its own, or nowhere."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from spikefleet.client.run_reports import RunReports
from spikefleet.core.attempts import AttemptSpec
from spikefleet.core.runs import LeaseAnswer
from spikefleet.runner.lease import process_name
from spikefleet.runner.reporting import AttemptProgress, ProgressSink, SilentSink

_LAST_CALL_S = 3.0
_GUESSABLE_FRACTION = 0.05


class ControllerSink:
    """Passes an attempt's news to the controller from a thread of its own.

    Only the newest progress is kept while a call is under way: a slow or absent controller costs
    the sort nothing. A request to stop is seen with the next report.
    """

    def __init__(self, reports: RunReports) -> None:
        self._reports = reports
        self._wake = threading.Condition()
        self._pending: tuple[AttemptSpec, AttemptProgress] | None = None
        self._stop_requested = False
        self._closed = False
        self._thread = threading.Thread(target=self._pass_on, name="run-reports", daemon=True)
        self._thread.start()

    def report_progress(self, spec: AttemptSpec, progress: AttemptProgress) -> bool:
        """Hand over progress; True when an earlier report was answered with a request to stop."""
        with self._wake:
            self._pending = (spec, progress)
            self._wake.notify()
            return self._stop_requested

    def report_end(self, spec: AttemptSpec) -> None:
        """Tell the end, after the report under way; gives up after a few seconds."""
        with self._wake:
            self._pending, self._closed = None, True
            self._wake.notify()
        self._thread.join(timeout=_LAST_CALL_S)
        self._reports.end(spec.attempt_id)

    def take_lease(self, spec: AttemptSpec) -> LeaseAnswer:
        """Ask the controller; it answers at once, refuses the connection, or is given up on."""
        return self._reports.take_lease(spec.attempt_id, process_name())

    def _pass_on(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._pending is not None or self._closed)
                pending, self._pending = self._pending, None
            if pending is None:
                return
            spec, progress = pending
            document = make_progress_document(progress)
            heard = self._reports.progress(spec.attempt_id, document, process_name())
            if heard.stop_requested or (heard.lease and heard.lease.refusal):
                with self._wake:
                    self._stop_requested = True


def make_progress_document(progress: AttemptProgress) -> dict[str, object]:
    """Return progress under the names the wire knows; the time left only once it can be guessed."""
    fraction, elapsed_s = progress.fraction, progress.elapsed_s
    can_guess = fraction > _GUESSABLE_FRACTION
    return {
        "step": progress.step,
        "fraction": fraction,
        "spike_count": progress.spikes,
        "memory_bytes": progress.memory_bytes,
        "eta_s": round(elapsed_s * (1 - fraction) / fraction, 1) if can_guess else None,
        "updated_at": datetime.now(UTC).isoformat(),
    }


def make_sink(address: str, secret: str) -> ProgressSink:
    """Return where news goes: the controller at ``address``, or nowhere when it is empty.

    ``secret`` tells the controller that this process was started for the attempt.
    """
    return ControllerSink(RunReports(address, secret)) if address else SilentSink()
