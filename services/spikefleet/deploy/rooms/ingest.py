"""Builds the ingest room."""

from __future__ import annotations

from dataclasses import replace

from spikefleet.deploy.rooms.wiring import Wiring
from spikefleet.infra import telemetry
from spikefleet.infra.metrics import Measured
from spikefleet.infra.rpc.server import Registration
from spikefleet.ingest import servicer as door
from spikefleet.ingest.direct_uploads import DirectLimits
from spikefleet.ingest.places import RecordingRoots


def build_ingest(wiring: Wiring) -> list[Registration]:
    """Return the ingest room's service; abandoned uploads are dropped in the chores."""
    settings = wiring.settings
    parts = door.IngestParts(
        wiring.recordings,
        wiring.uploads,
        wiring.artifacts,
        settings.data_dir / "staging",
        wiring.preflight_room(),
        wiring.controller_room(),
        meter=wiring.metrics,
        places=RecordingRoots(settings.recording_root),
        direct=DirectLimits(settings.direct_part_bytes, open_bytes=settings.direct_open_bytes),
    )
    if settings.upload_idle_s:
        parts = replace(parts, upload_idle_s=settings.upload_idle_s)
    room, drop_abandoned_uploads = door.open_room(parts)
    if settings.upload_idle_s:
        wiring.chore(drop_abandoned_uploads)
    for path in telemetry.INGEST_PATHS:
        wiring.metrics.begin(telemetry.INGESTED_BYTES, path=path)
    wiring.metrics.collect_from(
        lambda: [Measured(telemetry.UPLOADS_OPEN, wiring.uploads.open_count())]
    )
    return [room]
