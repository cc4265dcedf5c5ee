"""Which rule of a Job's podFailurePolicy a failed pod meets, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.kubefake.store import Document


@dataclass
class Verdict:
    """What one sync found: pods to be counted, and why the Job has failed, if it has."""

    succeeded: list[Document] = field(default_factory=list)
    failed: list[Document] = field(default_factory=list)
    ignored: list[Document] = field(default_factory=list)
    failed_for: tuple[str, str] | None = None

    @property
    def uncounted(self) -> list[Document]:
        """Every pod whose finalizer is to come off."""
        return [*self.succeeded, *self.failed, *self.ignored]

    def fail(self, reason: str, message: str) -> None:
        """The first reason stays."""
        self.failed_for = self.failed_for or (reason, message)


def judge(job: Document, pod: Document, verdict: Verdict) -> None:
    """Apply the first rule that matches; without one the failure is counted."""
    for number, rule in enumerate(job["spec"].get("podFailurePolicy", {}).get("rules", ())):
        met = _met(rule, pod, number)
        if met is None:
            continue
        if rule["action"] == "Ignore":
            verdict.ignored.append(pod)
            return
        verdict.failed.append(pod)
        if rule["action"] == "FailJob":
            verdict.fail("PodFailurePolicy", met)
        return
    verdict.failed.append(pod)


def _met(rule: Mapping[str, Any], pod: Document, number: int) -> str | None:
    title = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    if codes := rule.get("onExitCodes"):
        for one in _ended(pod):
            if codes.get("containerName") not in (None, one["name"]):
                continue
            code = one["state"]["terminated"]["exitCode"]
            if code != 0 and (code in codes["values"]) is (codes["operator"] == "In"):
                return (
                    f"Container {one['name']} for pod {title} failed with exit code {code} "
                    f"matching {rule['action']} rule at index {number}"
                )
    for wanted in rule.get("onPodConditions") or ():
        for condition in pod["status"].get("conditions", ()):
            if (condition["type"], condition["status"]) == (wanted["type"], wanted["status"]):
                return (
                    f"Pod {title} has condition {wanted['type']} matching {rule['action']} rule at "
                    f"index {number}"
                )
    return None


def _ended(pod: Document) -> list[Document]:
    status = pod["status"]
    both = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    return [one for one in both if "terminated" in one["state"]]
