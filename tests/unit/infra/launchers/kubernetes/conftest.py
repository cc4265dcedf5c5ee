"""A launcher before a scripted API server; its answers are each file's own ``script``."""

import pytest
from tests.support.attempt_documents import Documents
from tests.support.runner_profiles import runners
from tests.support.scripted_api import Script

from spikefleet.infra.launchers.kubernetes.launcher import KubernetesLauncher
from spikefleet.infra.launchers.kubernetes.opening import open_kubernetes


@pytest.fixture
def documents() -> Documents:
    return Documents()


@pytest.fixture
def launcher(script: Script, documents: Documents) -> KubernetesLauncher:
    return open_kubernetes(runners(), documents, url=script.url)
