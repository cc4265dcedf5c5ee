"""A fake cluster for each test, and a Job that is small."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kubefake.cluster import KubeFake


def make_job(name: str = "attempt", **spec: Any) -> dict[str, Any]:
    """A Job with one container named ``sorter`` and no retries; ``spec`` is put over it."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {"app": "probe"}},
        "spec": {
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": {"app": "probe"}},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 5,
                    "containers": [
                        {
                            "name": "sorter",
                            "image": "localhost/probe:1",
                            "resources": {
                                "requests": {"cpu": "10m", "memory": "16Mi"},
                                "limits": {"memory": "128Mi"},
                            },
                        }
                    ],
                },
            },
            **spec,
        },
    }


@pytest.fixture
def fake() -> Iterator[KubeFake]:
    """Time stands still until the test lets it pass."""
    with KubeFake() as cluster:
        yield cluster
