"""Sequences of mixed failures of Kilosort 4, and exactly what each next attempt runs with.

A row is written as it is read: the causes in order; then for every answer its action, with what the
next attempt differs in. ``*`` marks an attempt whose spikes may differ, which is stamped.
"""

from dataclasses import replace

import pytest

from spikefleet.core.config import preset
from spikefleet.core.failures.codes import Disposition, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.policy.decide import DecisionContext, PastAttempt, Policy, decide
from spikefleet.core.policy.sizes import SizeRange
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.core.text import GIB

F = FailureCode
CAUSES = {
    "oom": F.GPU_OUT_OF_MEMORY,
    "vram": F.GPU_MEMORY_WATCHDOG,
    "disrupted": F.DISRUPTED,
    "lost": F.LOST,
    "ram": F.HOST_OUT_OF_MEMORY,
    "crash": F.SORTER_CRASH,
    "fault": F.GPU_FAULT,
    "hot": F.GPU_THERMAL_WATCHDOG,
    "eig": F.PARAMETER_SENSITIVE,
    "disk": F.DISK_EXHAUSTION,
    "stall": F.IO_STALL,
    "slow": F.SORTER_TIMEOUT,
    "quiet": F.INSUFFICIENT_ACTIVITY,
    "model": F.MODEL_LOADING,
    "torn": F.INCOMPLETE,
    "lease": F.CONCURRENT_SORT,
}
THRICE = Policy(oom_retry_max=3)
CONSENT = Policy(allow_result_affecting=True)
MACHINE = SizeRange(8 * GIB, 20 * GIB, 10 * GIB, 30 * GIB)
TWO_GPUS = SizeRange(gpu_classes=("small", "large"))
_AGAIN = {d for d in Disposition if d.startswith("retry") or d is Disposition.REQUEUE}


def told(changes, is_stamped):
    """The next attempt in few words."""
    words = [f"{name}={value}" for name, value in sorted(changes.get("sorter_params", {}).items())]
    words += [
        f"{name.partition('_')[0]}={changes[name] / GIB:g}"
        for name in ("memory_limit_bytes", "scratch_bytes")
        if name in changes
    ]
    words += [f"{n}={changes[n]}" for n in ("n_jobs", "gpu_class") if n in changes]
    words += [f"not {node}" for node in changes.get("exclude_nodes", ())]
    return " ".join(words) + ("*" if is_stamped else "")


def answers(causes, policy, allowed):
    """What follows each cause, until the run ends or is held."""
    history, params, found = [], {}, []
    for index, cause in enumerate(causes.split()):
        context = DecisionContext(
            config=preset("kilosort4").to_document(),
            params=params,
            ladder=BACKENDS["kilosort4"].ladder,
            node=f"n{index}",
            allowed=allowed,
            memory_limit_bytes=params.get("memory_limit_bytes", allowed.memory_bytes),
            scratch_bytes=params.get("scratch_bytes", allowed.scratch_bytes),
        )
        decision = decide(Failure(CAUSES[cause], "It broke."), history, policy, context)
        if decision.action not in _AGAIN:
            found.append(str(decision.action))
            break
        history.append(PastAttempt("sort", CAUSES[cause], params))
        params = dict(decision.changes)
        found.append(told(params, decision.result_affecting))
    return found


ROWS = (
    (
        "oom disrupted oom disrupted",
        THRICE,
        SizeRange(),
        [
            "batch_size=30000 clear_cache=True*",
            "batch_size=30000 clear_cache=True*",
            "batch_size=15000 clear_cache=True*",
            "batch_size=15000 clear_cache=True*",
        ],
    ),
    (
        "disrupted oom lost oom oom oom",
        THRICE,
        SizeRange(),
        [
            "",
            "batch_size=30000 clear_cache=True*",
            "batch_size=30000 clear_cache=True*",
            "batch_size=15000 clear_cache=True*",
            "batch_size=7500 clear_cache=True*",
            "fail",
        ],
    ),
    ("oom oom", Policy(), SizeRange(), ["batch_size=30000 clear_cache=True*", "fail"]),
    (
        "oom disrupted oom",
        Policy(),
        TWO_GPUS,
        [
            "batch_size=30000 clear_cache=True*",
            "batch_size=30000 clear_cache=True*",
            "batch_size=30000 clear_cache=True gpu_class=large*",
        ],
    ),
    (
        "oom oom oom oom oom",
        THRICE,
        TWO_GPUS,
        [
            "batch_size=30000 clear_cache=True*",
            "batch_size=15000 clear_cache=True*",
            "batch_size=7500 clear_cache=True*",
            "batch_size=7500 clear_cache=True gpu_class=large*",
            "fail",
        ],
    ),
    (
        "vram oom disrupted vram",
        THRICE,
        SizeRange(),
        [
            "batch_size=30000 clear_cache=True*",
            "batch_size=15000 clear_cache=True*",
            "batch_size=15000 clear_cache=True*",
            "batch_size=7500 clear_cache=True*",
        ],
    ),
    ("oom", Policy(oom_retry_max=0), SizeRange(), ["fail"]),
    ("oom", Policy(oom_retry_max=0), TWO_GPUS, ["gpu_class=large"]),
    ("ram disrupted ram ram", Policy(), MACHINE, ["memory=12", "memory=12", "memory=18", "fail"]),
    (
        "ram oom ram oom",
        THRICE,
        MACHINE,
        [
            "memory=12",
            "batch_size=30000 clear_cache=True memory=12*",
            "batch_size=30000 clear_cache=True memory=18*",
            "batch_size=15000 clear_cache=True memory=18*",
        ],
    ),
    ("ram ram ram", Policy(), SizeRange(), ["n_jobs=4", "n_jobs=2", "fail"]),
    (
        "disk disrupted disk disk",
        Policy(),
        MACHINE,
        ["scratch=20", "scratch=20", "scratch=30", "hold"],
    ),
    (
        "disk oom disk",
        Policy(),
        MACHINE,
        [
            "scratch=20",
            "batch_size=30000 clear_cache=True scratch=20*",
            "batch_size=30000 clear_cache=True scratch=30*",
        ],
    ),
    ("crash disrupted crash", Policy(), SizeRange(), ["", "", "fail"]),
    ("crash oom crash", Policy(), SizeRange(), ["", "batch_size=30000 clear_cache=True*", "fail"]),
    (
        "fault fault fault",
        Policy(),
        SizeRange(),
        ["not n0", "batch_size=30000 clear_cache=True not n0 not n1*", "fail"],
    ),
    (
        "fault oom fault disrupted",
        THRICE,
        SizeRange(),
        [
            "not n0",
            "batch_size=30000 clear_cache=True not n0*",
            "batch_size=15000 clear_cache=True not n0 not n2*",
            "batch_size=15000 clear_cache=True not n0 not n2*",
        ],
    ),
    ("hot disrupted hot hot", Policy(), SizeRange(), ["not n0", "not n0", "not n0 not n2", "fail"]),
    ("eig", Policy(), SizeRange(), ["fail"]),
    (
        "eig disrupted eig eig",
        CONSENT,
        SizeRange(),
        ["batch_size=15000*", "batch_size=15000*", "Th_single_ch=5 batch_size=15000*", "fail"],
    ),
    (
        "oom eig oom",
        replace(CONSENT, oom_retry_max=3),
        SizeRange(),
        [
            "batch_size=30000 clear_cache=True*",
            "batch_size=15000 clear_cache=True*",
            "batch_size=7500 clear_cache=True*",
        ],
    ),
    ("stall lost stall", Policy(), SizeRange(), ["not n0", "not n0", "fail"]),
    ("slow disrupted slow", Policy(), SizeRange(), ["not n0", "not n0", "skip"]),
    ("oom quiet", Policy(), SizeRange(), ["batch_size=30000 clear_cache=True*", "skip"]),
    ("oom model", Policy(), SizeRange(), ["batch_size=30000 clear_cache=True*", "hold"]),
    (
        "lost lost disrupted lost disrupted lost",
        Policy(),
        SizeRange(),
        ["", "", "", "", "", "fail"],
    ),
    ("torn lease torn", Policy(), SizeRange(), ["", "", "fail"]),
    (
        "oom lease disrupted oom ram",
        THRICE,
        MACHINE,
        [
            "batch_size=30000 clear_cache=True*",
            "batch_size=30000 clear_cache=True*",
            "batch_size=30000 clear_cache=True*",
            "batch_size=15000 clear_cache=True*",
            "batch_size=15000 clear_cache=True memory=12*",
        ],
    ),
)


@pytest.mark.parametrize(("causes", "policy", "allowed", "expected"), ROWS)
def test_a_sequence_of_causes_gives_exactly_these_attempts(
    causes: str, policy: Policy, allowed: SizeRange, expected: list[str]
) -> None:
    assert answers(causes, policy, allowed) == expected


def test_there_are_at_least_twenty_five_sequences() -> None:
    assert len({row[0] + str(row[1:3]) for row in ROWS}) >= 25
