"""What the server refuses in a Job, a Pod or a Lease, and the defaults it fills in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.kubefake import refusals
from tests.kubefake.quantities import read_quantity
from tests.kubefake.resources import JOBS, LEASES, PODS, Resource, read_path
from tests.kubefake.store import Document

Cause = tuple[str, str, str]

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_ENV_NAME = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")
#: Parts of a Job's spec that may change: all else is refused.
_JOB_MUTABLE = frozenset(
    {"parallelism", "backoffLimit", "activeDeadlineSeconds", "suspend", "ttlSecondsAfterFinished"}
)


def check_new(resource: Resource, document: Document) -> None:
    """Raises RefusedError 422 (all causes at once)."""
    name = document["metadata"].get("name", "")
    causes = [*_metadata(resource, document["metadata"])]
    if resource is JOBS:
        causes += _job(document)
    elif resource is PODS:
        causes += _pod_spec(document.get("spec") or {}, "spec")
    elif resource is LEASES:
        causes += _lease(document)
    if causes:
        raise refusals.invalid(resource, name, causes)


def check_change(resource: Resource, old: Document, new: Document) -> None:
    """Raises RefusedError 422 for a change of what must not change."""
    causes = [*_metadata(resource, new["metadata"])]
    if resource is JOBS:
        suspended = bool(old["spec"].get("suspend"))
        for field in sorted({*old["spec"], *new["spec"]} - _JOB_MUTABLE):
            before, after = old["spec"].get(field), new["spec"].get(field)
            if before == after or (field == "template" and suspended):
                continue
            told = f"Invalid value: {after!r}: field is immutable"
            causes.append(("FieldValueInvalid", f"spec.{field}", told))
    elif resource is PODS:
        changed = {
            k for k in {*old["spec"], *new["spec"]} if old["spec"].get(k) != new["spec"].get(k)
        }
        if changed - {"activeDeadlineSeconds", "tolerations", "containers", "nodeName"}:
            told = (
                "Forbidden: pod updates may not change fields other than `spec.containers[*].image`"
            )
            causes.append(("FieldValueForbidden", "spec", told))
    elif resource is LEASES:
        causes += _lease(new)
    if causes:
        raise refusals.invalid(resource, new["metadata"]["name"], causes)


def _metadata(resource: Resource, meta: Mapping[str, Any]) -> Iterator[Cause]:
    name = meta.get("name", "")
    if not name:
        yield (
            "FieldValueRequired",
            "metadata.name",
            "Required value: name or generateName is required",
        )
    elif len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        told = f'Invalid value: "{name}": a lowercase RFC 1123 subdomain must consist of …'
        yield ("FieldValueInvalid", "metadata.name", told)
    for kind in ("labels", "annotations"):
        for key, value in (meta.get(kind) or {}).items():
            path = f"metadata.{kind}"
            if not _LABEL_KEY.fullmatch(key):
                yield (
                    "FieldValueInvalid",
                    path,
                    f'Invalid value: "{key}": name part must be valid',
                )
            if kind == "labels" and not _LABEL.fullmatch(value):
                yield (
                    "FieldValueInvalid",
                    path,
                    f'Invalid value: "{value}": a valid label must be …',
                )
    for number, owner in enumerate(meta.get("ownerReferences") or ()):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                path = f"metadata.ownerReferences[{number}].{field}"
                yield ("FieldValueRequired", path, "Required value: must not be empty")


def _lease(document: Document) -> Iterator[Cause]:
    spec = document.get("spec") or {}
    for field in ("leaseDurationSeconds",):
        value = spec.get(field)
        if value is not None and value <= 0:
            yield (
                "FieldValueInvalid",
                f"spec.{field}",
                f"Invalid value: {value}: must be greater than 0",
            )
    for field in ("acquireTime", "renewTime"):
        value = spec.get(field)
        if value is not None and not re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|\+00:00)", value
        ):
            yield (
                "FieldValueInvalid",
                f"spec.{field}",
                f"Invalid value: {value!r}: not RFC 3339 micro",
            )


def _job(document: Document) -> Iterator[Cause]:
    spec = document.get("spec") or {}
    template = spec.get("template") or {}
    pod = template.get("spec") or {}
    name = document["metadata"].get("name", "")
    if len(name) > 63:
        told = f'Invalid value: "{name}": must be no more than 63 bytes'
        yield ("FieldValueInvalid", "spec.template.labels", told)
    if pod.get("restartPolicy") not in ("Never", "OnFailure"):
        told = (
            f'Required value: valid values: "OnFailure", "Never" (is {pod.get("restartPolicy")!r})'
        )
        yield ("FieldValueRequired", "spec.template.spec.restartPolicy", told)
    for field in (
        "backoffLimit",
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
    ):
        if spec.get(field) is not None and spec[field] < 0:
            told = f"Invalid value: {spec[field]}: must be greater than or equal to 0"
            yield ("FieldValueInvalid", f"spec.{field}", told)
    policy = spec.get("podFailurePolicy")
    if policy is not None:
        yield from _failure_policy(policy, pod)
        if spec.get("podReplacementPolicy") not in (None, "Failed"):
            yield (
                "FieldValueNotSupported",
                "spec.podReplacementPolicy",
                'Unsupported value: only "Failed"',
            )
    yield from _metadata_of_template(template)
    yield from _pod_spec(pod, "spec.template.spec")


def _metadata_of_template(template: Mapping[str, Any]) -> Iterator[Cause]:
    for key, value in ((template.get("metadata") or {}).get("labels") or {}).items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL.fullmatch(value):
            yield ("FieldValueInvalid", "spec.template.labels", f'Invalid value: "{key}={value}"')


def _failure_policy(policy: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[Cause]:
    path = "spec.podFailurePolicy.rules"
    if pod.get("restartPolicy") != "Never":
        told = 'Invalid value: only "Never" is supported when podFailurePolicy is specified'
        yield ("FieldValueInvalid", "spec.template.spec.restartPolicy", told)
    rules = policy.get("rules") or []
    if len(rules) > 20:
        yield ("FieldValueTooMany", path, f"Too many: {len(rules)}: must have at most 20 items")
    names = {
        one.get("name") for one in (*pod.get("containers", ()), *pod.get("initContainers", ()))
    }
    for number, rule in enumerate(rules):
        here = f"{path}[{number}]"
        if rule.get("action") not in ("FailJob", "FailIndex", "Ignore", "Count"):
            yield (
                "FieldValueNotSupported",
                f"{here}.action",
                f"Unsupported value: {rule.get('action')!r}",
            )
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
        if bool(codes) == bool(conditions):
            told = "Invalid value: specifying one of OnExitCodes and OnPodConditions is required"
            yield ("FieldValueInvalid", here, told)
        if codes:
            yield from _exit_codes(codes, names, f"{here}.onExitCodes")
        for one, condition in enumerate(conditions or ()):
            if condition.get("status") not in ("True", "False", "Unknown") or not condition.get(
                "type"
            ):
                yield (
                    "FieldValueRequired",
                    f"{here}.onPodConditions[{one}]",
                    "Required value: type and status",
                )


def _exit_codes(codes: Mapping[str, Any], names: set[Any], path: str) -> Iterator[Cause]:
    values = codes.get("values") or []
    if codes.get("operator") not in ("In", "NotIn"):
        yield (
            "FieldValueNotSupported",
            f"{path}.operator",
            f"Unsupported value: {codes.get('operator')!r}",
        )
    if not 1 <= len(values) <= 255 or values != sorted(set(values)):
        yield (
            "FieldValueInvalid",
            f"{path}.values",
            "Invalid value: must be ordered, unique, 1 to 255 values",
        )
    if codes.get("operator") == "In" and 0 in values:
        yield (
            "FieldValueInvalid",
            f"{path}.values",
            "Invalid value: 0: must not be 0 for the In operator",
        )
    if codes.get("containerName") is not None and codes["containerName"] not in names:
        told = f"Invalid value: {codes['containerName']!r}: must be one of the container names"
        yield ("FieldValueInvalid", f"{path}.containerName", told)


def _pod_spec(spec: Mapping[str, Any], path: str) -> Iterator[Cause]:
    containers = spec.get("containers") or []
    if not containers:
        yield ("FieldValueRequired", f"{path}.containers", "Required value")
    volumes = [one.get("name") for one in spec.get("volumes") or ()]
    for name in {one for one in volumes if volumes.count(one) > 1}:
        yield ("FieldValueDuplicate", f"{path}.volumes", f"Duplicate value: {name!r}")
    for number, volume in enumerate(spec.get("volumes") or ()):
        if len(volume) != 2:
            told = "Required value: must specify exactly one volume type"
            yield ("FieldValueRequired", f"{path}.volumes[{number}]", told)
    for kind in ("containers", "initContainers"):
        for number, container in enumerate(spec.get(kind) or ()):
            yield from _container(container, set(volumes), f"{path}.{kind}[{number}]")
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0:
        yield (
            "FieldValueInvalid",
            f"{path}.terminationGracePeriodSeconds",
            "Invalid value: must be >= 0",
        )


def _container(container: Mapping[str, Any], volumes: set[Any], path: str) -> Iterator[Cause]:
    for field in ("name", "image"):
        if not container.get(field):
            yield ("FieldValueRequired", f"{path}.{field}", "Required value")
    mounts = [one.get("mountPath") for one in container.get("volumeMounts") or ()]
    for number, mount in enumerate(container.get("volumeMounts") or ()):
        here = f"{path}.volumeMounts[{number}]"
        if mount.get("name") not in volumes:
            yield ("FieldValueNotFound", f"{here}.name", f"Not found: {mount.get('name')!r}")
        if mounts.count(mount.get("mountPath")) > 1:
            yield ("FieldValueInvalid", f"{here}.mountPath", "Invalid value: must be unique")
    yield from _environment(container, path)
    yield from _resources(container, path)


def _environment(container: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for number, variable in enumerate(container.get("env") or ()):
        here = f"{path}.env[{number}]"
        if not _ENV_NAME.fullmatch(variable.get("name", "")):
            yield ("FieldValueInvalid", f"{here}.name", f"Invalid value: {variable.get('name')!r}")
        if variable.get("value") and variable.get("valueFrom"):
            told = "Invalid value: may not be specified when `value` is not empty"
            yield ("FieldValueInvalid", f"{here}.valueFrom", told)


def _resources(container: Mapping[str, Any], path: str) -> Iterator[Cause]:
    requests = read_path(container, "resources.requests") or {}
    limits = read_path(container, "resources.limits") or {}
    for name, quantity in {**limits, **requests}.items():
        if read_quantity(quantity) is None:
            yield ("FieldValueInvalid", f"{path}.resources.{name}", f"Invalid value: {quantity!r}")
    for name, quantity in requests.items():
        asked, most = read_quantity(quantity), read_quantity(limits.get(name))
        if asked is not None and most is not None and asked > most:
            told = f'Invalid value: "{quantity}": must be less than or equal to {name} limit'
            yield ("FieldValueInvalid", f"{path}.resources.requests", told)
    for name in limits:
        if "/" in name and name in requests and requests[name] != limits[name]:
            told = "Invalid value: must be equal to the limit of an extended resource"
            yield ("FieldValueInvalid", f"{path}.resources.requests", told)
