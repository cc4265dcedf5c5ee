"""Runs one attempt with a toy child: ``attempt_driver.py <run folder> <behaviour>``.

Everything but the sorting is the real thing; the waits are short. ``driver.json`` in the folder may
ask for this machine's own cgroups (``real_cgroup``) and for a GPU with given readings (``gpu``,
and in it ``probe``: what the computation on it says).
"""

import sys
from pathlib import Path

from tests.support.fake_nvml import Device, FakeNvml

from spikefleet.core.attempts import AttemptSpec, RunFolder
from spikefleet.core.files import read_json
from spikefleet.deploy.attempt_secret import read_attempt_secret
from spikefleet.deploy.attempt_sink import make_sink
from spikefleet.infra.stores.bytes.artifacts_open import open_artifacts
from spikefleet.runner.guards.make import CgroupPlaces
from spikefleet.runner.node_checks.gpu_probe import ProbeAnswer
from spikefleet.runner.parent import run_attempt
from spikefleet.runner.place import ParentOptions
from spikefleet.runner.supervise import Timing

TOY_CHILD = Path(__file__).with_name("toy_child.py")


def main(root: Path, behaviour: str) -> int:
    spec = AttemptSpec.from_json(read_json(RunFolder(root).spec) or {})
    asked = read_json(root / "driver.json") or {}
    device = dict(asked.get("gpu") or {})
    computes = device.pop("probe", {"device": "as asked"})
    membership = root / "cgroup-membership"
    membership.write_text("0::/\n")
    places = CgroupPlaces(root / "cgroup", membership)
    options = ParentOptions(
        command=lambda folder: [sys.executable, str(TOY_CHILD), str(folder), behaviour],
        timing=Timing(round_s=0.05, grace_s=1.0),
        upload_pauses_s=(0.05,),
        cgroups=CgroupPlaces() if asked.get("real_cgroup") else places,
        gpu_ids=("all",) if "gpu" in asked else (),
        nvml=FakeNvml(Device(**device)) if asked.get("gpu") else None,
        probe=lambda: ProbeAnswer(**computes),
    )
    sink = make_sink(spec.report_address, read_attempt_secret())
    return run_attempt(root, open_artifacts(spec.artifacts_url), sink=sink, options=options)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
