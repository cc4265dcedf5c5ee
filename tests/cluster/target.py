"""Which cluster the suite may use, and what it finds there. Told by `make test-cluster` alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "TEST_CLUSTER_"


@dataclass(frozen=True)
class Target:
    """A cluster somebody has given for this test, by a kubeconfig.

    ``images_are_present`` says that every node has the images and pulls none. ``restart_api`` is a
    command of the tester that restarts the API server; without it that test is skipped.
    """

    kubeconfig: Path
    registry: str
    tag: str
    s3_image: str
    s3_key: str
    postgres_image: str
    images_are_present: bool = False
    restart_api: str = ""

    @property
    def pull_policy(self) -> str:
        """What pods say about their images."""
        return "Never" if self.images_are_present else "IfNotPresent"

    @staticmethod
    def told(variables: Mapping[str, str] = os.environ) -> Target | None:
        """Return the cluster the variables of `make test-cluster` name; None without one.

        A developer's own KUBECONFIG is not looked at: it may lead to a cluster in use.
        """
        given = {
            name.removeprefix(_PREFIX).lower(): value
            for name, value in variables.items()
            if name.startswith(_PREFIX)
        }
        if not given.get("kubeconfig"):
            return None
        return Target(
            kubeconfig=Path(given["kubeconfig"]).expanduser().absolute(),
            registry=given.get("registry", ""),
            tag=given.get("tag", ""),
            s3_image=given.get("s3_image", ""),
            s3_key=given.get("s3_key", ""),
            postgres_image=given.get("postgres_image", ""),
            images_are_present=given.get("images", "") == "present",
            restart_api=given.get("restart_api", ""),
        )
