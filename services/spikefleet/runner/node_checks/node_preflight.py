"""The machine's own preflight: does this node have what the sort needs, before the sorter starts?

A finding that fails ends the attempt with its own class; a warning is recorded. It imports
neither torch nor SpikeInterface: what needs torch runs in a short-lived process of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikefleet.core.attempts import AttemptSpec
from spikefleet.core.config.sorting import execution_of
from spikefleet.core.failures.errors import Failure
from spikefleet.core.findings.checks import decide
from spikefleet.core.findings.finding import Finding
from spikefleet.core.sorters.catalogue import backend_of
from spikefleet.infra.gpus import GpuIdentity
from spikefleet.infra.system.memory_reader import MemoryReader
from spikefleet.runner.canary.memory import TrialMachine
from spikefleet.runner.node_checks.checks import NODE_CHECKS
from spikefleet.runner.node_checks.facts import Given, NodeFacts, Wanted, gather_facts

STEP = "node_preflight"


@dataclass(frozen=True)
class NodeReport:
    """What was found, worst first, and what was read. ``failure`` ends the attempt."""

    facts: NodeFacts
    findings: tuple[Finding, ...]
    failure: Failure | None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON-ready record."""
        findings = [finding.to_json() for finding in self.findings]
        return {"findings": findings, "facts": self.facts.to_json()}

    @property
    def machine(self) -> TrialMachine:
        """What of this machine can break a sorter."""
        return machine_of(self.facts)


def run_node_preflight(
    spec: AttemptSpec, scratch: Path, given: Given, memory: MemoryReader
) -> NodeReport:
    """Look at this machine for one attempt. With ``execution.preflight`` off nothing is judged."""
    wanted = wanted_by(spec)
    facts = gather_facts(wanted, scratch, given, memory)
    if not wanted.execution.preflight:
        return NodeReport(facts, (), None)
    findings = NODE_CHECKS.run(facts, strict=wanted.execution.preflight_strict)
    return NodeReport(facts, findings, decide(findings, stage=STEP))


def wanted_by(spec: AttemptSpec) -> Wanted:
    """What an attempt asks of its machine, by its spec and preflight's projection."""
    projection = spec.preflight.get("estimate") or {}
    return Wanted(
        backend=backend_of(spec.backend),
        execution=execution_of(spec.config),
        gpu=spec.gpu,
        entry=spec.parts[0].path if spec.parts else spec.recording,
        hdf5_plugin_path=str((spec.config.get("recording") or {}).get("hdf5_plugin_path") or ""),
        scratch_limit_bytes=spec.scratch_limit_bytes,
        memory_limit_bytes=spec.memory_limit_bytes,
        scratch_bytes=int(projection.get("scratch_bytes") or 0),
        memory_bytes=int(projection.get("memory_bytes") or 0),
        gpu_memory_bytes=int(projection.get("gpu_memory_bytes") or 0),
    )


def machine_of(facts: NodeFacts) -> TrialMachine:
    """Name what a trial that passed here is remembered under."""
    gpu = facts.gpu
    if not isinstance(gpu, GpuIdentity):
        return TrialMachine(image_digest=facts.image_digest)
    return TrialMachine(facts.image_digest, gpu.name, gpu.driver_version)
