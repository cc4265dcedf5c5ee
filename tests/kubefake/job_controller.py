"""The Job controller: pods for Jobs, counters, conditions, deadlines, suspension and policies.

Level-triggered like the original: every change of a Job or one of its pods asks for a sync a little
later, and a sync looks at everything anew. Order and delays are those of the recordings.
"""

from __future__ import annotations

import copy
from functools import partial

from tests.kubefake import defaults
from tests.kubefake.clock import VirtualClock
from tests.kubefake.defaults import TRACKING
from tests.kubefake.failure_policy import Verdict, judge
from tests.kubefake.news import News
from tests.kubefake.pod_status import has_condition, set_condition
from tests.kubefake.refusals import RefusedError
from tests.kubefake.resources import JOBS, PODS
from tests.kubefake.store import Change, Document, ObjectStore

_JOB_SYNC_S = 0.05
_POD_SYNC_S = 1.0
_BACKOFF_S = 10.0
_MAX_BACKOFF_S = 600.0
_BY = "job-controller"


class JobController:
    """Syncs every Job of the store. ``admit`` and ``delete_pod`` are those of the API."""

    def __init__(self, store: ObjectStore, news: News, pods: PodDoor) -> None:
        self._store = store
        self._clock: VirtualClock = store.clock
        self._news = news
        self._pods = pods
        self._planned: dict[tuple[str, str], float] = {}
        self._not_before: dict[str, float] = {}
        self._refused: dict[str, int] = {}
        self.away = False
        store.listeners.append(self._heard)

    def _heard(self, change: Change) -> None:
        meta = change.document["metadata"]
        if change.resource is JOBS and change.kind != "DELETED":
            self.plan(meta["namespace"], meta["name"], _JOB_SYNC_S)
        elif change.resource is PODS:
            for owner in meta.get("ownerReferences", ()):
                if owner["kind"] == "Job":
                    self.plan(meta["namespace"], owner["name"], _POD_SYNC_S)
                    if change.kind != "DELETED" and not self._store.has_uid(owner["uid"]):
                        self._clock.after(
                            0.1, partial(self._untrack, meta["namespace"], meta["name"])
                        )

    def plan(self, namespace: str, name: str, delay_s: float) -> None:
        """Sync a Job that much later, unless one is planned before that."""
        key = (namespace, name)
        due_s = self._clock.now_s + delay_s
        if self._planned.get(key, float("inf")) <= due_s:
            return
        self._planned[key] = due_s

        def act() -> None:
            if self._planned.get(key) == due_s:
                del self._planned[key]
                self._sync(*key)

        self._clock.after(delay_s, act)

    def _sync(self, namespace: str, name: str) -> None:
        job = self._store.find(JOBS, namespace, name)
        if job is None:
            return
        if self.away:
            self.plan(namespace, name, 1.0)
            return
        pods = self._store.owned(PODS, job["metadata"]["uid"])
        status = job["status"]
        if job["metadata"].get("deletionTimestamp") or _finished(status):
            for pod in pods:
                self._untrack(namespace, pod["metadata"]["name"])
            self._refresh(job, self._store.owned(PODS, job["metadata"]["uid"]))
            return
        if job["spec"].get("suspend"):
            self._suspend(job, pods)
            return
        if any(
            one["type"] == "Suspended" and one["status"] == "True"
            for one in status.get("conditions", ())
        ):
            self._resume(job)
            return
        self._run(job, pods)

    def _run(self, job: Document, pods: list[Document]) -> None:
        status, spec = job["status"], job["spec"]
        now = self._clock.stamp()
        status.setdefault("startTime", now)
        verdict = self._judge(job, pods)
        ending = has_condition(status, "FailureTarget") or has_condition(
            status, "SuccessCriteriaMet"
        )
        if not ending and self._overdue(job):
            verdict.fail("DeadlineExceeded", "Job was active longer than specified deadline")
        if not ending and verdict.failed_for:
            reason, message = verdict.failed_for
            set_condition(status, "FailureTarget", "True", now, reason=reason, message=message)
            _date(status)
            ending = True
        succeeded = status.get("succeeded", 0) + len(verdict.succeeded)
        if not ending and succeeded >= spec["completions"]:
            words = {
                "reason": "CompletionsReached",
                "message": "Reached expected number of succeeded pods",
            }
            set_condition(status, "SuccessCriteriaMet", "True", now, **words)
            _date(status)
            ending = True
        if has_condition(status, "FailureTarget"):
            self._end_active(job, pods, verdict)
            pods = self._store.owned(PODS, job["metadata"]["uid"])
        if verdict.uncounted:
            self._count(job, pods, verdict)
            return
        if not ending:
            self._fill(job, pods)
            pods = self._store.owned(PODS, job["metadata"]["uid"])
        if ending:
            self._conclude(job, pods)
        else:
            self._refresh(job, pods)

    def _judge(self, job: Document, pods: list[Document]) -> Verdict:
        verdict = Verdict()
        with_policy = "podFailurePolicy" in job["spec"]
        suspended = job["spec"].get("suspend", False)
        for pod in pods:
            if TRACKING not in pod["metadata"].get("finalizers", ()):
                continue
            phase = pod["status"]["phase"]
            deleting = bool(pod["metadata"].get("deletionTimestamp"))
            if phase == "Succeeded" and (with_policy or not deleting):
                verdict.succeeded.append(pod)
            elif phase == "Failed" or (deleting and not with_policy and not suspended):
                judge(job, pod, verdict)
        counted = job["status"].get("failed", 0) + len(verdict.failed)
        if verdict.failed_for is None and counted > job["spec"]["backoffLimit"]:
            verdict.fail("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        return verdict

    def _count(self, job: Document, pods: list[Document], verdict: Verdict) -> None:
        """The two steps of counting: written down as uncounted, finalizer off, counted."""
        status = job["status"]
        uncounted: Document = {}
        for kind, ended in (("succeeded", verdict.succeeded), ("failed", verdict.failed)):
            if ended:
                uncounted[kind] = [pod["metadata"]["uid"] for pod in ended]
        self._refresh(job, pods, uncounted=uncounted)
        for pod in verdict.uncounted:
            self._untrack(pod["metadata"]["namespace"], pod["metadata"]["name"])
        held = self._store.find(JOBS, job["metadata"]["namespace"], job["metadata"]["name"])
        if held is None:
            return
        status = held["status"]
        for kind, ended in (("succeeded", verdict.succeeded), ("failed", verdict.failed)):
            if ended:
                status[kind] = status.get(kind, 0) + len(ended)
        if verdict.failed or verdict.ignored:
            tries = max(1, status.get("failed", 0))
            wait_s = min(_MAX_BACKOFF_S, _BACKOFF_S * 2 ** (tries - 1))
            self._not_before[held["metadata"]["uid"]] = self._clock.now_s + wait_s - 1
        left = self._store.owned(PODS, held["metadata"]["uid"])
        if has_condition(status, "FailureTarget") or has_condition(status, "SuccessCriteriaMet"):
            self._conclude(held, left)
        else:
            self._refresh(held, left)

    def _conclude(self, job: Document, pods: list[Document]) -> None:
        """Write the status, with its last condition once every pod has ended."""
        status, now = job["status"], self._clock.stamp()
        target = next(
            one
            for one in status["conditions"]
            if one["type"] in ("FailureTarget", "SuccessCriteriaMet")
        )
        good = target["type"] == "SuccessCriteriaMet"
        words = {"reason": target["reason"], "message": target["message"]}
        over = all(pod["status"]["phase"] in ("Succeeded", "Failed") for pod in pods)
        if over:
            set_condition(status, "Complete" if good else "Failed", "True", now, **words)
            _date(status)
            if good:
                status["completionTime"] = now
        self._refresh(job, pods)
        if over and good:
            self._news.tell(job, JOBS, _BY, ("Normal", "Completed", "Job completed"))
        elif over:
            self._news.tell(job, JOBS, _BY, ("Warning", words["reason"], words["message"]))

    def _fill(self, job: Document, pods: list[Document]) -> None:
        spec, meta = job["spec"], job["metadata"]
        live = [pod for pod in pods if pod["status"]["phase"] in ("Pending", "Running", "Unknown")]
        waits_for = (
            live
            if spec["podReplacementPolicy"] == "Failed"
            else [pod for pod in live if not pod["metadata"].get("deletionTimestamp")]
        )
        left = spec["completions"] - job["status"].get("succeeded", 0)
        missing = min(spec["parallelism"], left) - len(waits_for)
        if missing <= 0:
            return
        wait_s = self._not_before.get(meta["uid"], 0.0) - self._clock.now_s
        if wait_s > 0:
            self.plan(meta["namespace"], meta["name"], wait_s)
            return
        for _ in range(missing):
            if not self._create_pod(job):
                return

    def _create_pod(self, job: Document) -> bool:
        meta = job["metadata"]
        template = copy.deepcopy(job["spec"]["template"])
        pod: Document = {"kind": "Pod", "apiVersion": "v1", **template}
        pod["metadata"] = {
            "generateName": f"{meta['name']}-",
            **template.get("metadata", {}),
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "name": meta["name"],
                    "uid": meta["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
            "finalizers": [TRACKING],
        }
        try:
            made = self._pods.create(meta["namespace"], pod)
        except RefusedError as refusal:
            tries = self._refused[meta["uid"]] = self._refused.get(meta["uid"], 0) + 1
            said = f"Error creating: {refusal.body['message']}"
            self._news.tell(job, JOBS, _BY, ("Warning", "FailedCreate", said))
            self._not_before[meta["uid"]] = self._clock.now_s + min(2.0**tries, 360.0)
            self.plan(meta["namespace"], meta["name"], min(2.0**tries, 360.0))
            return False
        said = f"Created pod: {made['metadata']['name']}"
        self._news.tell(job, JOBS, _BY, ("Normal", "SuccessfulCreate", said))
        return True

    def _end_active(self, job: Document, pods: list[Document], verdict: Verdict) -> None:
        """The Job has failed: whatever still runs is deleted, and counted as failed with it."""
        for pod in pods:
            deleting = pod["metadata"].get("deletionTimestamp")
            if pod["status"]["phase"] in ("Pending", "Running") and not deleting:
                self._pods.delete(pod, None)
                name = pod["metadata"]["name"]
                self._news.tell(
                    job, JOBS, _BY, ("Normal", "SuccessfulDelete", f"Deleted pod: {name}")
                )
                if pod not in verdict.failed and "podFailurePolicy" not in job["spec"]:
                    verdict.failed.append(pod)

    def _suspend(self, job: Document, pods: list[Document]) -> None:
        for pod in pods:
            self._untrack(pod["metadata"]["namespace"], pod["metadata"]["name"])
            if not pod["metadata"].get("deletionTimestamp"):
                self._pods.delete(pod, None)
        status = job["status"]
        new = not has_condition(status, "Suspended")
        words = {"reason": "JobSuspended", "message": "Job suspended"}
        set_condition(status, "Suspended", "True", self._clock.stamp(), **words)
        _date(status)
        status.pop("startTime", None)
        self._refresh(job, self._store.owned(PODS, job["metadata"]["uid"]))
        if new:
            self._news.tell(job, JOBS, _BY, ("Normal", "Suspended", "Job suspended"))

    def _resume(self, job: Document) -> None:
        status, now = job["status"], self._clock.stamp()
        words = {"reason": "JobResumed", "message": "Job resumed"}
        set_condition(status, "Suspended", "False", now, **words)
        _date(status)
        status["startTime"] = now
        self._refresh(job, [])
        self._news.tell(job, JOBS, _BY, ("Normal", "Resumed", "Job resumed"))
        self.plan(job["metadata"]["namespace"], job["metadata"]["name"], _JOB_SYNC_S)

    def _refresh(
        self, job: Document, pods: list[Document], *, uncounted: Document | None = None
    ) -> None:
        """Write the status: conditions as they are, counters as the pods stand."""
        held = job["status"]
        live = [pod for pod in pods if pod["status"]["phase"] not in ("Succeeded", "Failed")]
        ending = [pod for pod in live if pod["metadata"].get("deletionTimestamp")]
        active = [pod for pod in live if not pod["metadata"].get("deletionTimestamp")]
        done = set((uncounted or {}).get("failed", ())) | set(
            (uncounted or {}).get("succeeded", ())
        )
        active = [pod for pod in active if pod["metadata"]["uid"] not in done]
        status: Document = {}
        for name in ("conditions", "startTime", "completionTime"):
            if held.get(name):
                status[name] = held[name]
        if active:
            status["active"] = len(active)
        for name in ("succeeded", "failed"):
            if held.get(name):
                status[name] = held[name]
        status["terminating"] = len(ending)
        status["uncountedTerminatedPods"] = uncounted or {}
        status["ready"] = sum(has_condition(pod["status"], "Ready") for pod in active)
        job["status"] = status
        meta = job["metadata"]

        def write(document: Document) -> None:
            document["status"] = status

        self._store.change(JOBS, meta["namespace"], meta["name"], write)

    def _overdue(self, job: Document) -> bool:
        limit_s = job["spec"].get("activeDeadlineSeconds")
        if limit_s is None:
            return False
        left_s = self._clock.seconds_of(job["status"]["startTime"]) + limit_s - self._clock.now_s
        if left_s > 0:
            self.plan(job["metadata"]["namespace"], job["metadata"]["name"], left_s + 0.01)
        return left_s <= 0

    def _untrack(self, namespace: str, name: str) -> None:
        def edit(pod: Document) -> None:
            left = [one for one in pod["metadata"].get("finalizers", ()) if one != TRACKING]
            pod["metadata"].pop("finalizers", None)
            if left:
                pod["metadata"]["finalizers"] = left

        self._store.change(PODS, namespace, name, edit)


class PodDoor:
    """How the controllers make and delete pods; put together by the cluster."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def create(self, namespace: str, pod: Document) -> Document:
        """Raises RefusedError where admission says no."""
        made = self._store.prepare(PODS, namespace, pod)
        defaults.pod(made)
        return self._store.create(PODS, namespace, made)

    def delete(self, pod: Document, grace_s: int | None) -> Document:
        """Begin to delete a pod; at once where it never ran or has ended."""
        return delete_pod(self._store, pod, grace_s)


def delete_pod(store: ObjectStore, pod: Document, grace_s: int | None) -> Document:
    """What DELETE does to a pod. Returns it as it then is."""
    meta, spec = pod["metadata"], pod["spec"]
    wanted = spec["terminationGracePeriodSeconds"] if grace_s is None else grace_s
    ended = pod["status"]["phase"] in ("Succeeded", "Failed")
    if ended or not spec.get("nodeName"):
        wanted = 0

    def edit(document: Document) -> None:
        new = document["metadata"]
        if new.get("deletionTimestamp"):
            if wanted >= new["deletionGracePeriodSeconds"]:
                return
        else:
            new["generation"] += 1
        new["deletionTimestamp"] = store.clock.stamp(wanted)
        new["deletionGracePeriodSeconds"] = wanted

    return store.change(PODS, meta["namespace"], meta["name"], edit) or pod


def _finished(status: Document) -> bool:
    return has_condition(status, "Complete") or has_condition(status, "Failed")


def _date(status: Document) -> None:
    """A Job's conditions carry the time of their probe."""
    for one in status["conditions"]:
        if one["lastProbeTime"] is None:
            one["lastProbeTime"] = one["lastTransitionTime"]
