"""One controller of an installation at a time: waits for the cluster's lease, acts while it holds.

Asked for only where sorts are Jobs. What the rest of the process sees of it is one question
(``may_act``), put before every write to the database and to the cluster, and ``stop``, which is set
when the lease is lost: then the process ends, and Kubernetes starts another.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable

from spikefleet.deploy.cluster_engine import read_runners
from spikefleet.deploy.settings import Settings
from spikefleet.infra.launchers.kubernetes.api import connect
from spikefleet.infra.launchers.kubernetes.leader import Leader, LeaderTerms
from spikefleet.infra.launchers.kubernetes.manifests import selector
from spikefleet.infra.launchers.kubernetes.watch import ClusterWatch

log = logging.getLogger(__name__)

_LOOK_S = 0.2
_PART = "controller"
_LONGEST_RELEASE = 40  # as the chart cuts it


class Leadership:
    """This process's claim to be the controller. Made inside the event loop that serves.

    Raises RunnersFileError, LauncherUnreachableError where no cluster is to be found.
    """

    def __init__(self, settings: Settings, stop: asyncio.Event) -> None:
        runners = read_runners(settings)
        self._api = connect(kubeconfig=settings.kubeconfig, namespace=runners.namespace)
        self._selector = selector(runners)
        self._stop, self._events = stop, asyncio.get_running_loop()
        self._watch: ClusterWatch | None = None
        self.was_lost = False
        holder = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        terms = LeaderTerms(lease_name(runners.instance), holder, owner=runners.owner)
        self._leader = Leader(self._api, terms, on_lost=self._lose)

    def may_act(self) -> bool:
        """Whether this process is the controller now; needs no answer of anybody."""
        return self._leader.is_leading

    async def win(self) -> bool:
        """Wait until this process leads, or is told to stop. Returns whether it leads."""
        self._leader.start()
        while not self._stop.is_set():
            if self._leader.is_leading:
                return True
            await asyncio.sleep(_LOOK_S)
        return False

    def watch(self, wake: Callable[[], None]) -> None:
        """Have ``wake`` called soon after a Job or a pod has changed."""
        self._watch = ClusterWatch(self._api, self._selector, wake)
        self._watch.start()

    def close(self) -> None:
        """Stop watching and give the lease back."""
        if self._watch is not None:
            self._watch.close()
        self._leader.close()

    def _lose(self) -> None:
        self.was_lost = True
        self._events.call_soon_threadsafe(self._stop.set)


def lease_name(instance: str) -> str:
    """The name of the installation's lease, which its Role names too."""
    return f"{instance[:_LONGEST_RELEASE].removesuffix('-')}-{_PART}"
