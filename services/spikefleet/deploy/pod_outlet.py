"""Brings what an attempt's pod knows to where it outlives the pod, while the attempt runs.

The last readings go to the artifact store, because the kernel may kill the runner together with its
sorter; the sorter's log goes to standard output, where the cluster keeps it. Best effort: a store
that is away or an output that nobody reads disturbs no sort.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import BinaryIO

from spikefleet.core.attempts import RunFolder
from spikefleet.core.files import read_json
from spikefleet.deploy.pod_outflow import Outflow
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore, live_key

_log = logging.getLogger(__name__)

_EVERY_S = 1.0
_STORED_EVERY_S = 15.0
_LAST_WRITE_S = 5.0
_READ_BYTES = 1 << 18
_LOOK_BYTES = 4 << 20  # of one look: a log that grows faster loses its middle here
_LEFT_OUT = b"\n[spikefleet: %d bytes of the log are left out here; the stored log has more]\n"


class PodOutlet:
    """Follows one run folder until it is closed."""

    def __init__(
        self,
        folder: RunFolder,
        artifacts: ArtifactStore,
        prefix: str,
        *,
        out: BinaryIO | None = None,
        stored_every_s: float = _STORED_EVERY_S,
    ) -> None:
        self._folder, self._artifacts, self._prefix = folder, artifacts, prefix
        self._out = Outflow(out or sys.stdout.buffer)
        self._stored_every_s = stored_every_s
        self._offset = 0
        self._told: object = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="pod-outlet", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def close(self) -> None:
        """Write what is left of the log, as far as somebody reads it, and end."""
        self._closing.set()
        self._thread.join(timeout=_STORED_EVERY_S)
        if not self._thread.is_alive():
            self._pass_log_on()
        if not self._out.drain(_LAST_WRITE_S):
            _log.warning("pod.output_unread")

    def _follow(self) -> None:
        waited_s = self._stored_every_s
        while not self._closing.wait(_EVERY_S):
            self._pass_log_on()
            waited_s += _EVERY_S
            if waited_s >= self._stored_every_s and self._store_readings():
                waited_s = 0.0

    def _pass_log_on(self) -> None:
        """Pass on what was added to the log, as far as the output takes it; a long piece's end."""
        try:
            with self._folder.child_log.open("rb") as log:
                size = log.seek(0, 2)
                self._skip_to(size)
                log.seek(self._offset)
                while self._offset < size and self._out.room >= _READ_BYTES:
                    data = log.read(min(_READ_BYTES, size - self._offset))
                    if not data or not self._out.offer(data):
                        return
                    self._offset += len(data)
        except OSError:
            return  # no log yet

    def _skip_to(self, size: int) -> None:
        """Leave out what is too much for one look, and what the log has lost since the last."""
        start = self._offset if self._offset <= size else size
        skipped = max(0, size - start - _LOOK_BYTES)
        if skipped and not self._out.offer(_LEFT_OUT % skipped):
            return
        self._offset = start + skipped

    def _store_readings(self) -> bool:
        """Store the heartbeat if it is a new one. False when there is none to store."""
        heartbeat = read_json(self._folder.heartbeat)
        if heartbeat is None or heartbeat == self._told:
            return False
        document = {"started": read_json(self._folder.started) or {}, "heartbeat": heartbeat}
        try:
            self._artifacts.swap_pointer(live_key(self._prefix), document)
        except (OSError, ValueError) as error:
            _log.warning("pod.readings_not_stored", extra={"error": str(error)})
        self._told = heartbeat
        return True
