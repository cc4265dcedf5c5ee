"""The one door to the cluster's API: plain JSON in and out, bounded in time, errors of our own.

Every call has a limit for connecting and for answering. What may be said twice is said at most
three times, with growing, random pauses; what remains is an error that tells whether anything is
known. This module decides nothing about attempts.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException

from spikefleet.infra.launchers.base import LauncherUnreachableError

AGENT = "spikefleet-controller"  #: what the audit log of a cluster reads of whoever asked
CONNECT_S, ANSWER_S = 3.0, 20.0
PAGE = 500  #: objects of one LIST answer
_TRIES = 3
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_UNKNOWN_CALLER = 401
_FORBIDDEN, _MISSING, _CONFLICT, _GONE, _BUSY = 403, 404, 409, 410, 429
_PASSING = frozenset({_BUSY, 500, 502, 503, 504})

Json = dict[str, Any]


class ClusterRefusedError(RuntimeError):
    """The API server understood the request and refuses it; ``status`` is its HTTP code."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message or f"the API server answered {status} {reason}")
        self.status, self.reason = status, reason

    @property
    def is_quota(self) -> bool:
        """Whether a quota is used up, which passes by itself."""
        return self.status == _FORBIDDEN and "exceeded quota" in str(self)

    @property
    def is_of_the_moment(self) -> bool:
        """Whether it says nothing of the object: a quota, a right, a policy of the namespace."""
        return self.status in (_UNKNOWN_CALLER, _FORBIDDEN)


class ClusterMissingError(ClusterRefusedError):
    """There is no such object."""


class ClusterConflictError(ClusterRefusedError):
    """An object of that name is there, or it is not the one that was meant."""


class ClusterUnreachableError(LauncherUnreachableError):
    """No answer, or one that says nothing: the request may have been carried out, or not."""


class ClusterApi:
    """The objects of one namespace. Safe to call from several threads.

    ``pause`` is how retries wait (seconds). While ``may_act`` says no, Jobs and Secrets are neither
    made nor changed: those calls raise ClusterUnreachableError and ask nothing.
    """

    def __init__(self, connection: client.ApiClient, namespace: str) -> None:
        self.namespace = namespace
        connection.user_agent = AGENT
        self.pause: Callable[[float], None] = time.sleep
        self.may_act: Callable[[], bool] = lambda: True
        self._batch, self._core = client.BatchV1Api(connection), client.CoreV1Api(connection)
        self._custom = client.CustomObjectsApi(connection)
        self._coordination = client.CoordinationV1Api(connection)

    def list_jobs(self, selector: str) -> list[Json]:
        """Return the Jobs with these labels, all pages of one moment."""
        return self._list(self._batch.list_namespaced_job, label_selector=selector)

    def list_pods(self, selector: str) -> list[Json]:
        """Return the pods with these labels."""
        return self._list(self._core.list_namespaced_pod, label_selector=selector)

    def list_warnings(self) -> list[Json]:
        """Return the events of the namespace that warn."""
        return self._list(self._core.list_namespaced_event, field_selector="type=Warning")

    def list_workloads(self) -> list[Json]:
        """Return Kueue's objects of the namespace; [] where it is absent or may not be read."""
        kind = {"group": "kueue.x-k8s.io", "version": "v1beta2", "plural": "workloads"}
        try:
            answer = self.ask(
                self._custom.list_namespaced_custom_object, namespace=self.namespace, **kind
            )
        except ClusterRefusedError:
            return []
        return [each for each in answer.get("items") or [] if isinstance(each, dict)]

    def get_job(self, name: str) -> Json:
        """Return a Job. Raises ClusterMissingError."""
        return self.ask(self._batch.read_namespaced_job, name, self.namespace)

    def get_config_map(self, name: str) -> Json:
        """Return a ConfigMap. Raises ClusterMissingError."""
        return self.ask(self._core.read_namespaced_config_map, name, self.namespace)

    def create_job(self, manifest: Mapping[str, Any]) -> Json:
        """Make a Job, once. Raises ClusterConflictError where its name is taken."""
        self._need_leave()
        call = self._batch.create_namespaced_job
        return self.tell(call, self.namespace, dict(manifest), field_validation="Strict")

    def create_secret(self, manifest: Mapping[str, Any]) -> Json:
        """Make a Secret, once. Raises ClusterConflictError where its name is taken."""
        self._need_leave()
        call = self._core.create_namespaced_secret
        return self.tell(call, self.namespace, dict(manifest), field_validation="Strict")

    def patch_job(self, name: str, change: Mapping[str, Any]) -> Json:
        """Merge ``change`` into a Job. Raises ClusterMissingError."""
        self._need_leave()
        call = self._batch.patch_namespaced_job
        merge = "application/merge-patch+json"
        return self.ask(call, name, self.namespace, dict(change), _content_type=merge)

    def delete_job(self, name: str, uid: str, *, policy: str) -> None:
        """Delete the Job with this uid. ``policy`` is always said: without it the pod stays.

        Raises ClusterMissingError, ClusterConflictError for another Job of that name.
        """
        self._need_leave()
        body = {"propagationPolicy": policy, "preconditions": {"uid": uid}}
        self.ask(self._batch.delete_namespaced_job, name, self.namespace, body=body)

    def get_lease(self, name: str, *, within_s: float) -> Json:
        """Return a Lease, asked once. Raises ClusterMissingError."""
        return self._soon(within_s, self._coordination.read_namespaced_lease, name)

    def create_lease(self, manifest: Mapping[str, Any], *, within_s: float) -> Json:
        """Make a Lease, once. Raises ClusterConflictError where another was quicker."""
        call = self._coordination.create_namespaced_lease
        return self._soon(within_s, call, body=dict(manifest))

    def replace_lease(self, manifest: Mapping[str, Any], *, within_s: float) -> Json:
        """Write a Lease that was read, once. Raises ClusterConflictError where it has changed."""
        call, name = self._coordination.replace_namespaced_lease, manifest["metadata"]["name"]
        return self._soon(within_s, call, name, body=dict(manifest))

    def version_of(self, kind: str, selector: str) -> str:
        """Return the version that a watch of these ``jobs`` or ``pods`` can begin from."""
        call = self._lists()[kind]
        answer = self.tell(call, self.namespace, label_selector=selector, limit=1)
        return str((answer.get("metadata") or {}).get("resourceVersion") or "")

    def watch(
        self, kind: str, selector: str, version: str, *, lasts_s: int, silent_s: float
    ) -> Iterator[Json]:
        """Yield the changes of these ``jobs`` or ``pods`` since a version, bookmarks included.

        Ends after ``lasts_s``. Raises ClusterUnreachableError when nothing at all came for
        ``silent_s``, ClusterRefusedError.
        """
        asked = {
            "label_selector": selector,
            "resource_version": version,
            "watch": True,
            "allow_watch_bookmarks": True,
            "timeout_seconds": lasts_s,
        }
        response = self._once(self._lists()[kind], (self.namespace,), asked, answer_s=silent_s)
        try:
            with _translated():
                yield from _read_lines(response)
        finally:
            response.close()

    def read_log(self, pod: str, container: str) -> Iterator[bytes]:
        """Yield the log of a container as far as its node keeps it. Raises ClusterRefusedError."""
        call = self._core.read_namespaced_pod_log
        response = self._once(call, (pod, self.namespace), {"container": container})
        with _translated():
            yield from response.stream(1 << 16)

    def ask(self, call: Callable[..., Any], *args: Any, **more: Any) -> Json:
        """Make a call that may be repeated, and return its JSON object."""
        for attempt in range(_TRIES):
            try:
                return self.tell(call, *args, **more)
            except ClusterUnreachableError:
                # Who leads no more is about to end, and keeps nobody waiting.
                if attempt + 1 == _TRIES or not self.may_act():
                    raise
                self.pause(_pause_s(attempt))
        raise AssertionError("the last try returns or raises")

    def tell(self, call: Callable[..., Any], *args: Any, **more: Any) -> Json:
        """Make a call once, and return its JSON object."""
        response = self._once(call, args, more)
        with _translated():
            answer = json.loads(response.data)
        if not isinstance(answer, dict):
            raise ClusterUnreachableError("the API server's answer is no object")
        return answer

    def _need_leave(self) -> None:
        if not self.may_act():
            raise ClusterUnreachableError("this process is no longer the controller: nothing asked")

    def _list(self, call: Callable[..., Any], **more: Any) -> list[Json]:
        """All pages; one that has grown too old is begun again, once."""
        for _ in range(2):
            items: list[Json] = []
            token = ""
            try:
                while True:
                    paged = {**more, **({"_continue": token} if token else {})}
                    answer = self.ask(call, self.namespace, limit=PAGE, **paged)
                    found = answer.get("items")
                    if not isinstance(found, list):
                        raise ClusterUnreachableError("the API server's answer is no list")
                    items += found
                    token = str((answer.get("metadata") or {}).get("continue") or "")
                    if not token:
                        return items
            except ClusterRefusedError as error:
                if error.status != _GONE:
                    raise
        raise ClusterUnreachableError("the list changed too fast to be read")

    def _lists(self) -> dict[str, Callable[..., Any]]:
        return {"jobs": self._batch.list_namespaced_job, "pods": self._core.list_namespaced_pod}

    def _soon(self, within_s: float, call: Callable[..., Any], *args: Any, **more: Any) -> Json:
        response = self._once(call, (*args, self.namespace), more, answer_s=within_s)
        with _translated():
            answer: Json = json.loads(response.data)
        return answer

    def _once(
        self,
        call: Callable[..., Any],
        args: tuple[Any, ...],
        more: Json,
        *,
        answer_s: float = ANSWER_S,
    ) -> Any:
        limits = (min(CONNECT_S, answer_s), answer_s)
        with _translated():
            return call(*args, **more, _preload_content=False, _request_timeout=limits)


class _translated:  # noqa: N801 - read as a verb in ``with``
    """Turns what the library and the network raise into errors of ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ApiException):
            raise _refusal(error) from error
        if isinstance(error, urllib3.exceptions.HTTPError | OSError | ValueError):
            said = f"{type(error).__name__}: {error}"
            raise ClusterUnreachableError(f"the API server did not answer ({said})") from error


def _read_lines(response: Any) -> Iterator[Json]:
    """One JSON object a line. Raises ValueError where a line is none."""
    rest = b""
    for piece in response.stream(None):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.strip():
                found = json.loads(line)
                if not isinstance(found, dict):
                    raise ValueError("a line of the watch is no object")
                yield found


def _refusal(error: ApiException) -> Exception:
    status = int(error.status or 0)
    reason, message = _read_status(error.body)
    if status == 0 or status in _PASSING:
        return ClusterUnreachableError(f"the API server answered {status} {reason}: {message}")
    kinds = {_MISSING: ClusterMissingError, _CONFLICT: ClusterConflictError}
    return kinds.get(status, ClusterRefusedError)(status, reason, message)


def _read_status(body: object) -> tuple[str, str]:
    """Reason and message of a Status object; the text itself where it is none."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    try:
        document = json.loads(text)
    except ValueError:
        return "", text[:500]
    if not isinstance(document, dict):
        return "", text[:500]
    return str(document.get("reason") or ""), str(document.get("message") or "")


def _pause_s(attempt: int) -> float:
    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 4.0**attempt)
    return random.uniform(longest / 2, longest)


def connect(*, url: str = "", kubeconfig: Path | None = None, namespace: str = "") -> ClusterApi:
    """Open the API of the cluster this process runs in, of a kubeconfig, or at a plain ``url``.

    ``namespace`` "" is that of the pod or of the kubeconfig's context. Raises
    ClusterUnreachableError when there is no cluster to be found.
    """
    settings = client.Configuration()
    settings.retries = False  # ours are bounded and spread
    found = ""
    try:
        if url:
            settings.host = url
        elif kubeconfig is not None:
            config.load_kube_config(str(kubeconfig), client_configuration=settings)
            _, active = config.list_kube_config_contexts(str(kubeconfig))
            found = str(active["context"].get("namespace") or "")
        else:
            config.load_incluster_config(client_configuration=settings)
            found = _NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except (ConfigException, OSError) as error:
        raise ClusterUnreachableError(
            f"there is no cluster to start sorts in: {error}; "
            "run the controller in one, or name a kubeconfig"
        ) from error
    return ClusterApi(client.ApiClient(settings), namespace or found or "default")
