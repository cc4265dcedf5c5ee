"""What a client asks of the curations of a run: one more, all of them, which is given out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spikefleet.api.v1 import controller_pb2
from spikefleet.client.names import person
from spikefleet.core.ids import RunId
from spikefleet.core.rooms.curation import CurationWish, RunCuration
from spikefleet.infra.rpc.convert.curations import from_run_curation, to_curate_run
from spikefleet.infra.rpc.errors import ServiceError, answering

_DEADLINE_S = 1800.0


class CurationCalls:
    """The part of ``SortingClient`` that is about curations beside a run's own."""

    address: str
    _controller: Any

    def curate(
        self,
        run_id: str,
        *,
        name: str = "",
        by_hand: Mapping[str, Any] | None = None,
        **overrides: Any,
    ) -> tuple[RunCuration, bool]:
        """Curate a run's stored sort again with other settings, beside its own curation.

        No sorter, no GPU and no recording is needed. Returns the curation and whether it was there
        before: the same settings on the same sort are the same curation. With ``by_hand``, what a
        person decided in another tool, no threshold is applied. ServiceError tells a
        setting that is none of curation, a name that is taken, and a sort that cannot be curated.
        """
        wish = CurationWish(RunId(run_id), overrides, name, person(), by_hand=by_hand or {})
        request = to_curate_run(wish)
        with answering(self.address):
            answer = self._controller.CurateRun(request, timeout=_DEADLINE_S)
        return from_run_curation(answer.curation), bool(answer.existed)

    def curations(self, run_id: str) -> tuple[RunCuration, ...]:
        """Return a run's curations, its own first; the chosen one is what ``fetch`` gives."""
        request = controller_pb2.ListCurationsRequest(run_id=run_id)
        with answering(self.address):
            answer = self._controller.ListCurations(request)
        return tuple(map(from_run_curation, answer.curations))

    def choose_curation(self, run_id: str, name: str) -> RunCuration:
        """Have this curation given out when none is named; "first" is the run's own."""
        request = controller_pb2.ChooseCurationRequest(run_id=run_id, name=name)
        with answering(self.address):
            answer = self._controller.ChooseCuration(request)
        return from_run_curation(answer.curation)

    def curation_named(self, run_id: str, name: str = "") -> RunCuration | None:
        """Return the curation of this name or id, "" the chosen one; None where there is none.

        Raises ServiceError CURATION_NOT_FOUND, CURATION_OUTDATED.
        """
        try:
            listed = self.curations(run_id)
        except ServiceError as error:
            if error.reason != "UNIMPLEMENTED" or name:
                raise
            return None  # a service of an earlier version
        found = next((one for one in listed if _is_named(one, name)), None)
        if found is None and name:
            raise ServiceError(
                "CURATION_NOT_FOUND",
                f"Run {run_id} has no curation called {name!r}; it has: {_names(listed)}.",
                next_step=f"List them with: spikefleet curations {run_id}",
            )
        if found is not None and found.is_outdated:
            raise ServiceError(
                "CURATION_OUTDATED",
                f"The curation {found.name} is of an earlier sort of run {run_id}.",
                next_step="Curate the run again with the same settings.",
            )
        return found


def _is_named(curation: RunCuration, name: str) -> bool:
    return name in (curation.name, curation.curation_id) if name else curation.is_chosen


def _names(curations: Sequence[RunCuration]) -> str:
    return ", ".join(curation.name for curation in curations[:20]) or "none"
