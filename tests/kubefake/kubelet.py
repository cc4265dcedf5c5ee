"""The kubelets: they start what is bound to their node, end what is to end, and report.

What a container does comes from a ``Runtime``: a script, or a real process. A kubelet whose node is
silent goes on in secret, and reports when it is back.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

from tests.kubefake.clock import VirtualClock
from tests.kubefake.lives import Life, Runtime, ScriptedRuntime
from tests.kubefake.news import News
from tests.kubefake.nodes import Node
from tests.kubefake.pod_status import kubelet_status, set_condition
from tests.kubefake.resources import PODS
from tests.kubefake.script import Eviction, Exit, Scripts
from tests.kubefake.store import Change, Document, ObjectStore

_SETUP_S = 0.3
_START_S = 0.2
_REPORT_S = 1.0
_OWN_LIMIT_GRACE_S = 2.0
_LEAST_GRACE_S = 2.0  # of the kubelet, whatever the deletion said
_NEVER_FOUND = (
    "The container could not be located when the pod was deleted.  The container used to be Running"
)
_LAST_BYTES = 4096
_POD_BYTES = 12288


class Kubelet:
    """All kubelets of the fake in one."""

    def __init__(
        self, store: ObjectStore, news: News, nodes: Mapping[str, Node], scripts: Scripts
    ) -> None:
        self._store = store
        self._clock: VirtualClock = store.clock
        self._news = news
        self._nodes = nodes
        self._scripts = scripts
        self._lives: dict[str, Life] = {}
        self.runtime: Runtime = ScriptedRuntime(self._clock, self._lives)
        store.listeners.append(self._heard)

    def log(self, pod: Document) -> bytes:
        """A container's output so far."""
        return self.runtime.log(pod)

    def report_all(self, node: str) -> None:
        """The node is back: tell everything that happened meanwhile."""
        for life in list(self._lives.values()):
            if life.pod["spec"].get("nodeName") == node:
                self._report(life)
                if life.dead:
                    self._clock.after(_REPORT_S, lambda life=life: self._finish(life))  # type: ignore[misc]
                elif self._deleting(life):
                    self._stop(life, self._grace_s(life))

    def _heard(self, change: Change) -> None:
        if change.resource is not PODS:
            return
        uid = change.document["metadata"]["uid"]
        life = self._lives.get(uid)
        if change.kind == "DELETED":
            if life is not None and not life.dead and self._present(life):
                life.stopping = True
                self.runtime.kill(life.pod)
            return
        if life is None:
            if (
                change.document["spec"].get("nodeName")
                and change.document["status"]["phase"] == "Pending"
            ):
                made = Life(copy.deepcopy(change.document), self._scripts(change.document))
                self._lives[uid] = made
                self._clock.after(0.1, lambda: self._admit(made))
            return
        if change.document["metadata"].get("deletionTimestamp") and not life.stopping:
            grace_s = change.document["metadata"]["deletionGracePeriodSeconds"]
            if self._present(life):
                self._clock.after(0.02, lambda: self._stop(life, grace_s))

    # --- the beginning ---------------------------------------------------------------------

    def _admit(self, life: Life) -> None:
        if life.script.rejected is not None:
            reason, message = life.script.rejected
            life.dead = True

            def reject(document: Document) -> None:
                status = document["status"]
                document["status"] = {
                    "observedGeneration": document["metadata"]["generation"],
                    "phase": "Failed",
                    **({"conditions": status["conditions"]} if "conditions" in status else {}),
                    "message": message,
                    "reason": reason,
                    "startTime": self._clock.stamp(),
                    "qosClass": status["qosClass"],
                }

            self._edit(life, reject)
            return
        self._report(life)
        self._clock.after(_SETUP_S, lambda: self._try_start(life))

    def _try_start(self, life: Life) -> None:
        if life.stopping or life.dead:
            return
        blocked = self.runtime.blocked(life.pod)
        if blocked is not None:
            kind = "FailedMount" if blocked.reason == "ContainerCreating" else "Failed"
            self._tell(life, "Warning", kind, blocked.message)
            life.sandbox = True
            words = {"reason": blocked.reason}
            if blocked.message and kind == "Failed":
                words["message"] = blocked.message
            life.state = {"waiting": words}
            self._report(life)
            self._clock.after(_REPORT_S, lambda: self._try_start(life))
            return
        life.sandbox = True
        life.state = {"waiting": {"reason": "ContainerCreating"}}
        self._report(life)
        self._tell(life, "Normal", "Created", "Container created")
        self._clock.after(_START_S, lambda: self._start(life))

    def _start(self, life: Life) -> None:
        if life.stopping or life.dead:
            return
        life.started_s = self._clock.now_s
        life.state = {"running": {"startedAt": self._clock.stamp()}}
        life.phase = "Running"
        error = self.runtime.start(life.pod, lambda how: self._ended(life, how))
        if error:
            life.phase = "Pending"
            self._tell(life, "Warning", "Failed", f"Error: {error}")
            self._ended(life, Exit(128, error, "StartError"))
            return
        self._tell(life, "Normal", "Started", "Container started")
        self._report(life)
        if life.script.eviction is not None:
            self._clock.after(life.script.eviction.at_s, lambda: self._evict(life))
        limit_s = life.pod["spec"].get("activeDeadlineSeconds")
        if limit_s is not None:
            self._clock.after(limit_s, lambda: self._deadline(life))

    # --- the end -----------------------------------------------------------------------------

    def _evict(self, life: Life) -> None:
        wanted: Eviction | None = life.script.eviction
        if wanted is None or life.dead or life.stopping:
            return
        life.why = ("Evicted", wanted.message)
        life.disrupted = wanted.message if wanted.pressure else ""
        self._tell(life, "Warning", "Evicted", wanted.message)
        own_s = float(life.pod["spec"]["terminationGracePeriodSeconds"])
        self._stop(life, own_s if wanted.pressure else _OWN_LIMIT_GRACE_S)

    def _deadline(self, life: Life) -> None:
        if life.dead or life.stopping:
            return
        message = "Pod was active on the node longer than the specified deadline"
        life.why = ("DeadlineExceeded", message)
        self._tell(life, "Normal", "DeadlineExceeded", message)
        self._stop(life, float(life.pod["spec"]["terminationGracePeriodSeconds"]))

    def _stop(self, life: Life, grace_s: float) -> None:
        if life.stopping:
            return
        life.stopping = True
        if life.dead:
            self._finish(life)
            return
        if "running" not in life.state:
            life.dead = True
            never = Exit(
                137,
                _NEVER_FOUND,
                "ContainerStatusUnknown",
            )
            if self._deleting(life):
                life.state = _terminated(never, None, self._clock.stamp())
            self._finish(life)
            return
        self._tell(life, "Normal", "Killing", f"Stopping container {self._main(life)}")
        if self._deleting(life):
            self._report(life)
        self.runtime.terminate(life.pod)
        self._clock.after(
            max(grace_s, _LEAST_GRACE_S), lambda: None if life.dead else self.runtime.kill(life.pod)
        )

    def _ended(self, life: Life, how: Exit) -> None:
        if life.dead:
            return
        life.dead = True
        began = (
            "1970-01-01T00:00:00Z"
            if how.reason == "StartError"
            else self._clock.stamp((life.started_s or 0.0) - self._clock.now_s)
        )
        count = len(life.pod["spec"]["containers"]) + len(
            life.pod["spec"].get("initContainers", ())
        )
        life.state = _terminated(_cut(how, count), began, self._clock.stamp())
        if life.why is not None or self._deleting(life):
            self._clock.after(0.2, lambda: self._finish(life))
            return
        self._report(life)
        self._clock.after(_REPORT_S, lambda: self._finish(life))

    def _finish(self, life: Life) -> None:
        """The last report: phase Failed or Succeeded; a pod that is being deleted goes."""
        terminated = life.state.get("terminated")
        codes = [one.code for one in life.script.others.values()]
        good = terminated is not None and not any([terminated["exitCode"], *codes])
        life.phase = "Succeeded" if good and life.why is None else "Failed"
        life.sandbox = False
        self._report(life)
        if self._deleting(life) and self._present(life):
            self._clock.after(0.2, lambda: self._let_go(life))

    def _let_go(self, life: Life) -> None:
        def edit(document: Document) -> None:
            document["metadata"]["deletionTimestamp"] = self._clock.stamp()
            document["metadata"]["deletionGracePeriodSeconds"] = 0

        self._edit(life, edit)

    # --- reports -----------------------------------------------------------------------------

    def _report(self, life: Life) -> None:
        if not self._present(life):
            return
        now = self._clock.stamp()
        names = [one["name"] for one in life.pod["spec"]["containers"]]
        states = dict.fromkeys(names, life.state)
        if "terminated" in life.state:
            for name, how in life.script.others.items():
                states[name] = _terminated(how, life.state["terminated"]["startedAt"], now)

        def write(document: Document) -> None:
            if life.phase in ("Pending", "Running") or document["status"]["phase"] in (
                "Pending",
                "Running",
            ):
                document["status"]["phase"] = life.phase
            status = kubelet_status(document, now, sandbox=life.sandbox, states=states)
            if life.disrupted and life.phase == "Failed":
                set_condition(
                    status,
                    "DisruptionTarget",
                    "True",
                    now,
                    reason="TerminationByKubelet",
                    message=life.disrupted,
                    generation=document["metadata"]["generation"],
                )
            if life.why is not None and life.phase == "Failed":
                status = _with_why(status, life.why)
            document["status"] = status

        self._edit(life, write)

    def _edit(self, life: Life, edit: Callable[[Document], None]) -> None:
        if not self._present(life):
            return
        meta = life.pod["metadata"]
        held = self._store.find(PODS, meta["namespace"], meta["name"])
        if held is not None and held["metadata"]["uid"] == meta["uid"]:
            self._store.change(PODS, meta["namespace"], meta["name"], edit)

    def _present(self, life: Life) -> bool:
        node = self._nodes.get(life.pod["spec"].get("nodeName", ""))
        return node is not None and node.present and not node.deleted

    def _deleting(self, life: Life) -> bool:
        meta = life.pod["metadata"]
        held = self._store.find(PODS, meta["namespace"], meta["name"])
        return held is not None and bool(held["metadata"].get("deletionTimestamp"))

    def _grace_s(self, life: Life) -> float:
        meta = life.pod["metadata"]
        held = self._store.get(PODS, meta["namespace"], meta["name"])
        return float(held["metadata"]["deletionGracePeriodSeconds"])

    def _main(self, life: Life) -> str:
        return str(life.pod["spec"]["containers"][0]["name"])

    def _tell(self, life: Life, kind: str, reason: str, message: str) -> None:
        if self._present(life):
            self._news.tell(life.pod, PODS, "kubelet", (kind, reason, message))


def _terminated(how: Exit, began: str | None, now: str) -> Document:
    state: Document = {"exitCode": how.code, "reason": how.said_reason}
    if how.message:
        state["message"] = how.message
    state["startedAt"] = began
    state["finishedAt"] = now if began is not None else None
    if how.said_reason != "ContainerStatusUnknown":
        state["containerID"] = f"containerd://{'a1' * 32}"
    return {"terminated": state}


def _cut(how: Exit, containers: int) -> Exit:
    """A file over 4096 bytes keeps its end; a pod's share of 12 KiB its beginning."""
    raw = how.message.encode()[-_LAST_BYTES:][: _POD_BYTES // containers]
    return Exit(how.code, raw.decode(errors="replace"), how.reason)


def _with_why(status: Document, why: tuple[str, str]) -> Document:
    made: Document = {}
    for key, value in status.items():
        made[key] = value
        if key == "conditions":
            made["message"], made["reason"] = why[1], why[0]
    return made
