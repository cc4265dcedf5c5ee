"""From an attempt and its sorter's profile to the Job and the Secret of it. Pure: asks no cluster.

One Job has one pod and is one attempt, because a run's lease and an attempt's prefix in the store
belong to one process; what comes next is another Job, and the controller alone decides it. The
rules of ``podFailurePolicy`` therefore all fail the Job. They are there because the Job then keeps
exit code or disruption in its condition, where a pod that was drained is soon gone; and because a
Job with rules waits for the end of its pod before it is over.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikefleet.core.attempts import AttemptSpec
from spikefleet.core.failures.codes import BY_EXIT_CODE, FailureCode
from spikefleet.infra.launchers.kubernetes.pod_template import (
    SECRET_KEY,
    SORTER,
    PodOrder,
    pod_template,
)
from spikefleet.infra.launchers.kubernetes.profiles import RunnerProfile, Runners

NAME_CHARACTERS = 52  #: the Job controller adds to it for the name of the pod
DOMAIN = "spikefleet.dev"
MANAGED_BY = "app.kubernetes.io/managed-by"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
RECORDED = f"{DOMAIN}/recorded"  #: label: the outcome is on record, the Job may go
ATTEMPT_ID = f"{DOMAIN}/attempt-id"
ATTEMPT_NAME = f"{DOMAIN}/attempt-name"
ATTEMPT_PREFIX = f"{DOMAIN}/attempt-prefix"
ATTEMPT_SECRET = f"{DOMAIN}/attempt-secret"  #: annotation: the name of its Secret
RUN_ID = f"{DOMAIN}/run-id"
WANTS_GPU = f"{DOMAIN}/gpu"
LAUNCHED = f"{DOMAIN}/launched"  #: annotation: its Secret is there too, the start is complete
RECORDED_AT = f"{DOMAIN}/recorded-at"
UNKNOWN_SINCE = f"{DOMAIN}/unknown-since"  #: annotation: no record knows this Job
QUEUE = "kueue.x-k8s.io/queue-name"
QUEUE_PRIORITY = "kueue.x-k8s.io/priority-class"

_DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_DIGEST_CHARACTERS = 8


@dataclass(frozen=True)
class Order:
    """An attempt to start: its spec, where that is stored, and who will own its Job.

    ``spec_key`` and ``spec_sha256`` name spec.json in the artifact store; ``owner_uid`` is that of
    the ConfigMap that owns every Job of this installation ("" is no owner). ``secret`` is what the
    pod shows the controller; only the name of its Secret follows from it.
    """

    spec: AttemptSpec
    spec_key: str
    spec_sha256: str
    runners: Runners
    owner_uid: str = ""
    secret: str = ""

    @property
    def secret_name(self) -> str:
        """The name of its Secret: another secret has another name, so none is ever mistaken."""
        digest = hashlib.sha256(self.secret.encode()).hexdigest()[:_DIGEST_CHARACTERS]
        return f"{job_name(self.spec.name)}-{digest}"

    @property
    def profile(self) -> RunnerProfile:
        """The profile of its sorter."""
        return self.runners.profile(self.spec.backend)


def job_name(attempt_name: str) -> str:
    """Return the name of an attempt's Job: DNS-1123, at most 52 characters, always the same.

    A name that fits is kept. Any other is shortened and ends in a digest of the whole, so that two
    attempts never share a Job.
    """
    if len(attempt_name) <= NAME_CHARACTERS and _DNS_1123.fullmatch(attempt_name):
        return attempt_name
    digest = hashlib.sha256(attempt_name.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    plain = re.sub(r"[^a-z0-9]+", "-", attempt_name.lower()).strip("-")
    kept = plain[: NAME_CHARACTERS - _DIGEST_CHARACTERS - 1].rstrip("-")
    return f"{kept}-{digest}" if kept else f"a-{digest}"


def selector(runners: Runners) -> str:
    """Return the label selector of this installation's Jobs and pods."""
    return ",".join(f"{name}={value}" for name, value in identity_labels(runners).items())


def identity_labels(runners: Runners) -> dict[str, str]:
    """Return the labels by which this installation knows its own."""
    return {MANAGED_BY: "spikefleet", INSTANCE: runners.instance, COMPONENT: "runner"}


def job_manifest(order: Order) -> dict[str, Any]:
    """Return the Job of an attempt. Raises RunnersFileError where its sorter has no profile."""
    spec, runners, profile = order.spec, order.runners, order.profile
    name = job_name(spec.name)
    labels = _labels(order)
    pod = PodOrder(
        spec=spec,
        profile=profile,
        labels=labels,
        spec_key=order.spec_key,
        spec_sha256=order.spec_sha256,
        secret_name=order.secret_name,
        s3_secret=runners.s3_secret,
        service_account=runners.service_account,
        recordings=runners.recordings,
    )
    metadata: dict[str, Any] = {
        "name": name,
        "labels": {**labels, **_queue_labels(order)},
        "annotations": {
            ATTEMPT_ID: spec.attempt_id,
            ATTEMPT_NAME: spec.name,
            ATTEMPT_PREFIX: spec.artifacts_prefix,
            RUN_ID: spec.run_id,
            ATTEMPT_SECRET: order.secret_name,
            WANTS_GPU: "true" if spec.gpu else "false",
        },
    }
    if order.owner_uid:
        owner = owner_reference("v1", "ConfigMap", runners.owner, order.owner_uid)
        metadata["ownerReferences"] = [owner]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": failure_rules()},
            "template": pod_template(pod),
        },
    }


def secret_manifest(order: Order, job_uid: str) -> dict[str, Any]:
    """Return the Secret that tells the pod its attempt's secret; it goes with the Job."""
    owner = owner_reference("batch/v1", "Job", job_name(order.spec.name), job_uid)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": order.secret_name,
            "labels": identity_labels(order.runners),
            "ownerReferences": [owner],
        },
        "immutable": True,
        "stringData": {SECRET_KEY: order.secret},
    }


def failure_rules() -> list[dict[str, Any]]:
    """Return the rules of every Job, in order; the first that matches is kept in its condition.

    A code of the failure table says what happened, even under a disruption. Being told to stop is
    no cause of its own, so its code is left to the rules after it.
    """
    told = sorted(
        code for code, row in BY_EXIT_CODE.items() if row.code != FailureCode.ATTEMPT_INTERRUPTED
    )
    return [
        _on_codes("In", told),
        {
            "action": "FailJob",
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
        },
        _on_codes("NotIn", [0]),
    ]


def _on_codes(operator: str, values: list[int]) -> dict[str, Any]:
    codes = {"containerName": SORTER, "operator": operator, "values": values}
    return {"action": "FailJob", "onExitCodes": codes}


def _labels(order: Order) -> dict[str, str]:
    own = {RUN_ID: order.spec.run_id, f"{DOMAIN}/backend": order.spec.backend}
    fitting = {name: value for name, value in own.items() if _LABEL_VALUE.fullmatch(value)}
    return {"app.kubernetes.io/name": "spikefleet", **identity_labels(order.runners), **fitting}


def _queue_labels(order: Order) -> Mapping[str, str]:
    """Kueue knows a Job by its label; a retry may get a class that keeps its place."""
    runners = order.runners
    if not runners.queue:
        return {}
    labels = {QUEUE: runners.queue}
    if runners.retry_priority_class and order.spec.number > 1:
        labels[QUEUE_PRIORITY] = runners.retry_priority_class
    return labels


def owner_reference(api_version: str, kind: str, name: str, uid: str) -> dict[str, Any]:
    """Name the object with which another one goes."""
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid}
