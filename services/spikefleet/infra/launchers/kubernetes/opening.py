"""Puts a Kubernetes launcher together: the API, the runner profiles and the store's documents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spikefleet.infra.launchers.kubernetes.api import connect
from spikefleet.infra.launchers.kubernetes.launcher import KubernetesLauncher, LauncherTerms
from spikefleet.infra.launchers.kubernetes.looks import AttemptDocuments
from spikefleet.infra.launchers.kubernetes.profiles import Runners


def open_kubernetes(
    runners: Runners,
    documents: AttemptDocuments,
    *,
    terms: LauncherTerms | None = None,
    kubeconfig: Path | None = None,
    url: str = "",
    may_act: Callable[[], bool] = lambda: True,
) -> KubernetesLauncher:
    """Return the launcher of the cluster this process runs in, or of a kubeconfig or plain URL.

    While ``may_act`` says no, it changes nothing. Nothing is asked of the cluster yet. Raises
    LauncherUnreachableError where there is no cluster to be found.
    """
    api = connect(url=url, kubeconfig=kubeconfig, namespace=runners.namespace)
    api.may_act = may_act
    return KubernetesLauncher(api, runners, documents, terms=terms)
