"""Values that cannot work together are refused when the chart is rendered, with what to change."""

import json
import re

import pytest
from tests.house.charts import CHART, RELEASE, render, run_helm

MINIMAL, POSTGRES = "minimal-values.yaml", "gpu-facility-values.yaml"
INSTITUTE = "external-services-values.yaml"

REFUSED = [
    (MINIMAL, ['artifacts.secret=""'], "artifacts.secret is needed: .*kubectl create secret"),
    (MINIMAL, ['artifacts.url=""'], "artifacts.url is needed"),
    (MINIMAL, ['artifacts.url="s3://bucket/prefix"'], "names no endpoint: write s3://"),
    (MINIMAL, ['artifacts.url="s3://b?endpoint=ftp://host"'], "names no endpoint"),
    (MINIMAL, ['artifacts.url="s3://b?endpoint=https://key:geheim@host"'], "names no endpoint"),
    (MINIMAL, ['runners.defaults.memory="8Gi"'], r"profiles\.default .*memory 8Gi .*maxMemory 4Gi"),
    (POSTGRES, ['runners.profiles.kilosort4.maxMemory="31Gi"'],
     r"profiles\.kilosort4 .*memory 32Gi is more than maxMemory 31Gi"),
    (POSTGRES, ['runners.profiles.lupin={"scratch": {"size": "2000Gi"}}'],
     r"profiles\.lupin .*scratch\.size 2000Gi is more than scratch\.maxSize 1Ti"),
    (INSTITUTE, ["gateway.parentRefs=[]"], "gateway.parentRefs names the Gateway"),
    (POSTGRES, ['ingress.host=""'], "ingress.host is needed"),
    (MINIMAL, ["rooms.reporter.replicas=2"], "rooms.reporter.replicas is 2, but without database"),
    (MINIMAL, ['database.passwordSecret.name="x"'], "SQLite has no password"),
    # The schema has no word for more than one of these.
    (MINIMAL, ["rooms.controller.replicas=2"], "additional propert.*replicas"),
    (POSTGRES, ["rooms.controller.replicas=2"], "additional propert.*replicas"),
    (POSTGRES, ["rooms.ingest.replicas=2"], "additional propert.*replicas"),
    (MINIMAL, ['runners.clusterQueue="gpus"'], "runners.queue names the LocalQueue"),
]  # fmt: skip


@pytest.mark.parametrize(("use", "settings", "words"), REFUSED)
def test_what_cannot_work_is_refused_with_what_to_change(
    use: str, settings: list[str], words: str
) -> None:
    more = [word for value in settings for word in ("--set-json", value)]
    done = run_helm("template", RELEASE, str(CHART), "-f", str(CHART / "ci" / use), *more)
    assert done.returncode != 0
    assert re.search(words, done.stderr.replace("\n", " ")), done.stderr
    # What helm would say of a mistake in the templates.
    assert "nil pointer" not in done.stderr
    assert "wrong type" not in done.stderr


@pytest.mark.parametrize(
    ("memory", "most"),
    [("4Gi", "4Gi"), ("4000M", "4Gi"), ("1.5Gi", "1610612736"), ("950Mi", "1G"), ("1G", "1Ti")],
)
def test_sizes_are_compared_as_amounts_and_not_as_texts(memory: str, most: str) -> None:
    sizes = {"memory": memory, "maxMemory": most}
    assert render(MINIMAL, f"runners.profiles.default={json.dumps(sizes)}")


def test_an_upgrade_that_would_make_up_another_room_secret_is_refused() -> None:
    """The cluster is not asked here, as in a client's dry run: the kept Secret is not seen."""
    words = ("template", RELEASE, str(CHART), "-f", str(CHART / "ci" / MINIMAL), "--is-upgrade")
    done = run_helm(*words)
    assert done.returncode != 0
    assert "name it in roomSecret.name" in done.stderr
    assert run_helm(*words, "--set", "roomSecret.name=ours").returncode == 0
