"""Sorts as Jobs of a Kubernetes cluster, as the runners' document says."""

from __future__ import annotations

from spikefleet.controller.attempt_documents import StoredDocuments
from spikefleet.controller.sort_spec import SortLimits
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.deploy.rooms.controller import Engine
from spikefleet.deploy.rooms.wiring import RoomName, Wiring
from spikefleet.deploy.settings import Settings, unreadable
from spikefleet.infra.launchers.base import Slots
from spikefleet.infra.launchers.kubernetes.launcher import NO_LIMIT, LauncherTerms
from spikefleet.infra.launchers.kubernetes.opening import open_kubernetes
from spikefleet.infra.launchers.kubernetes.profiles import Runners


def cluster_engine(wiring: Wiring) -> Engine:
    """Return the engine of this cluster.

    Raises InvalidConfigurationError or RunnersFileError for a document that cannot be used,
    LauncherUnreachableError where no cluster is to be found.
    """
    settings = wiring.settings
    runners = read_runners(settings)
    launcher = open_kubernetes(
        runners,
        StoredDocuments(wiring.artifacts),
        terms=LauncherTerms(slots=_slots(settings)),
        kubeconfig=settings.kubeconfig,
        may_act=wiring.may_act,
    )
    return Engine(
        launcher,
        SortLimits(
            deadline_s=settings.attempt_deadline_s, image_digest=settings.expected_image_digest
        ),
        runners.report_address or wiring.addresses[RoomName.CONTROLLER],
        machine_of=runners.machine,
        offered=tuple(name for name in BACKENDS if runners.offers(name)),
    )


def read_runners(settings: Settings) -> Runners:
    """Read the runners' document that the settings name.

    Raises InvalidConfigurationError for a file that cannot be read, RunnersFileError.
    """
    if settings.runners_file is None:
        raise ValueError("runners_file is not set: it says how sorts are run on the cluster")
    try:
        return Runners.read(settings.runners_file)
    except OSError as error:
        raise unreadable("runners_file", error) from error


def _slots(settings: Settings) -> Slots:
    """How many Jobs there may be at once; what is not set, the cluster alone limits."""
    return Slots(
        cpu=settings.cpu_slots or NO_LIMIT,
        gpu=settings.gpu_slots if settings.gpu_slots >= 0 else NO_LIMIT,
    )
