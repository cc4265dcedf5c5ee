"""One active controller: a Lease of the cluster, held by whoever renews it in time.

Time is this process's monotonic clock throughout: clocks of machines are never compared. What
counts as the beginning of a renewal is the moment it was asked for, so that a late answer never
lengthens the lease. Whether this process leads is a question of time alone: when the API hangs, it
has stopped leading before anybody else may begin, without a single answer. The lease keeps apart
who acts; that late writes change nothing is the database's part (its epoch).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from spikefleet.infra.launchers.base import LauncherUnreachableError
from spikefleet.infra.launchers.kubernetes.api import (
    ClusterConflictError,
    ClusterMissingError,
    ClusterRefusedError,
    Json,
)
from spikefleet.infra.launchers.kubernetes.manifests import owner_reference

log = logging.getLogger(__name__)

_TICK_S = 0.05


class Leases(Protocol):
    """The part of the cluster's API that leases need (``ClusterApi``)."""

    def get_config_map(self, name: str) -> Json:
        """Raises ClusterMissingError."""
        ...

    def get_lease(self, name: str, *, within_s: float) -> Json:
        """Raises ClusterMissingError."""
        ...

    def create_lease(self, manifest: Json, *, within_s: float) -> Json:
        """Raises ClusterConflictError."""
        ...

    def replace_lease(self, manifest: Json, *, within_s: float) -> Json:
        """Raises ClusterConflictError."""
        ...


@dataclass(frozen=True)
class LeaderTerms:
    """The lease's name and who asks for it; seconds.

    Others take over ``duration_s`` after the last renewal they saw; this process stops
    ``deadline_s`` after its own last one, which must be sooner. It renews every ``retry_s``.
    ``owner`` is the ConfigMap with which the lease goes; "" is none.
    """

    name: str
    holder: str
    duration_s: int = 15
    deadline_s: float = 10.0
    retry_s: float = 2.0
    owner: str = ""

    def __post_init__(self) -> None:
        if not self.retry_s < self.deadline_s < self.duration_s:
            raise ValueError("a leader's times are retry < deadline < duration")


class Leader:
    """Takes the lease, keeps it, and says when it is lost. ``clock`` is monotonic seconds.

    ``on_lost`` is called once, from a thread of its own, when leading has ended other than by
    ``close``: the process has to end then.
    """

    def __init__(
        self,
        leases: Leases,
        terms: LeaderTerms,
        *,
        on_lost: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases, self._terms = leases, terms
        self._on_lost, self._clock = on_lost, clock
        self._renewed: float | None = None
        self._held: Json = {}
        self._seen: tuple[str, float] = ("", 0.0)
        self._leading, self._stopped = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._keep, name="leader-renews", daemon=True),
            threading.Thread(target=self._guard, name="leader-guards", daemon=True),
        ]

    def start(self) -> None:
        """Begin to ask for the lease."""
        for thread in self._threads:
            thread.start()

    @property
    def is_leading(self) -> bool:
        """Whether this process may act now. False from the deadline on, whatever the API does."""
        renewed = self._renewed
        return renewed is not None and self._clock() < renewed + self._terms.deadline_s

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until this process leads, or for so long. Returns whether it does."""
        self._leading.wait(timeout_s)
        return self.is_leading

    def close(self) -> None:
        """Stop leading, and give the lease back so that a successor need not wait for its end."""
        self._stopped.set()
        self._leading.set()
        with self._lock:
            if self.is_leading:
                self._release()
            self._renewed = None
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(self._terms.retry_s)

    def _keep(self) -> None:
        while not self._stopped.is_set():
            with self._lock:
                if self._renewed is not None and not self.is_leading:
                    return  # lost: the guard has said so; nothing is taken back behind its back
                try:
                    self._try()
                except (LauncherUnreachableError, ClusterRefusedError) as error:
                    log.warning("leader.lease_not_renewed", extra={"why": str(error)})
            self._stopped.wait(self._terms.retry_s)

    def _try(self) -> None:
        if self._stopped.is_set():
            return
        asked_at = self._clock()
        within_s = max(0.1, self._terms.deadline_s / 2)
        if self._renewed is not None:
            self._renew(asked_at, within_s)
            return
        owners = self._owners()
        try:
            found = self._leases.get_lease(self._terms.name, within_s=within_s)
        except ClusterMissingError:
            named = {"name": self._terms.name, **owners}
            made = {"metadata": named, "spec": self._spec({}, taking=True)}
            try:
                self._won(self._leases.create_lease(made, within_s=within_s), asked_at)
            except ClusterConflictError:
                return
            return
        if self._may_take(found):
            taken = {
                **found,
                "metadata": {**found["metadata"], **owners},
                "spec": self._spec(found.get("spec") or {}, taking=True),
            }
            try:
                self._won(self._leases.replace_lease(taken, within_s=within_s), asked_at)
            except ClusterConflictError:
                return

    def _owners(self) -> Json:
        """What of the lease's metadata says with which object it goes."""
        if not self._terms.owner:
            return {}
        try:
            uid = self._leases.get_config_map(self._terms.owner)["metadata"]["uid"]
        except ClusterMissingError:
            return {}
        return {"ownerReferences": [owner_reference("v1", "ConfigMap", self._terms.owner, uid)]}

    def _renew(self, asked_at: float, within_s: float) -> None:
        renewed = {**self._held, "spec": self._spec(self._held["spec"], taking=False)}
        try:
            answer = self._leases.replace_lease(renewed, within_s=within_s)
        except ClusterConflictError:
            # Ours, written by a renewal whose answer was lost? Or another's: then it runs out.
            found = self._leases.get_lease(self._terms.name, within_s=within_s)
            if (found.get("spec") or {}).get("holderIdentity") == self._terms.holder:
                self._held = found
            return
        if self.is_leading:
            self._held, self._renewed = answer, asked_at

    def _won(self, answer: Json, asked_at: float) -> None:
        self._held, self._renewed = answer, asked_at
        if self.is_leading:
            self._leading.set()
            log.info("leader.leads", extra={"lease": self._terms.name})
        else:
            self._renewed = None  # the answer came too late to be worth anything

    def _may_take(self, found: Json) -> bool:
        """Free, or unchanged for as long as it lasts by our own clock since we saw it first."""
        spec = found.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if not holder:
            return True
        version = str(found["metadata"]["resourceVersion"])
        if version != self._seen[0]:
            self._seen = (version, self._clock())
            return False
        lasts_s = float(spec.get("leaseDurationSeconds") or self._terms.duration_s)
        return self._clock() >= self._seen[1] + lasts_s

    def _spec(self, before: Json, *, taking: bool) -> Json:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: dict[str, Any] = {
            **before,
            "holderIdentity": self._terms.holder,
            "leaseDurationSeconds": self._terms.duration_s,
            "renewTime": now,
        }
        if taking:
            spec["acquireTime"] = now
            times = before.get("leaseTransitions")
            spec["leaseTransitions"] = 0 if times is None else int(times) + 1
        return spec

    def _release(self) -> None:
        spec = {**self._held["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            self._leases.replace_lease(
                {**self._held, "spec": spec}, within_s=min(3.0, self._terms.retry_s)
            )
        except (LauncherUnreachableError, ClusterRefusedError) as error:
            log.warning("leader.lease_not_released", extra={"why": str(error)})

    def _guard(self) -> None:
        """Watches the clock, not the API: it speaks even while a renewal hangs."""
        while not self._stopped.wait(_TICK_S):
            if self._leading.is_set() and not self.is_leading:
                if self._stopped.is_set():
                    return
                log.error("leader.lost", extra={"lease": self._terms.name})
                self._on_lost()
                return
