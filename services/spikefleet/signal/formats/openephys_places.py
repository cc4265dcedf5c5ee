"""Where the channels of an Open Ephys Neuropixels stream are, by the electrode each was read from.

``structure.oebin`` says of every recorded channel which electrode of the probe it is
(``electrode_index``, Neuropix-PXI 0.5 and later). ``settings.xml`` says which probe that is, and
what was selected; it describes all nodes and chains of the GUI, so its order of channels is that of
one of them at best. Decides: the electrode of each channel; else, where nothing in the settings
could have reordered the channels, the settings. A ``probe.json`` comes before both.
Refuses to guess: what disagrees is ``geometry``, what cannot be known stays without a place.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np
import probeinterface
from probeinterface import Probe
from probeinterface.neuropixels_tools import build_neuropixels_probe

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.formats.header_fields import MOST_CHANNELS
from spikefleet.signal.formats.reader_errors import corrupt, reading

PLACES_UNKNOWN = "places_unknown"
"""Annotation: why a Neuropixels stream has no places, in words."""

_SETTLE_IT = (
    "Copy the settings.xml written with this recording, or put a probe.json beside it: it decides."
)
_SETTINGS_LIMIT_BYTES = 64 << 20
_DEEPEST_SETTINGS = 100
_ONIX_PROBE = "NEUROPIXELSV"
_CHANNEL_KEY = re.compile(r"CH(\d+)")
# Before, places of many-shank probes were written with the shank's distance added to the depth.
_FIRST_TRUE_PLACES = (0, 6)


@dataclass(frozen=True)
class _Settings:
    """What ``settings.xml`` says of one probe; places and electrodes by channel ("CH0")."""

    file: Path
    version: tuple[int, ...]
    part_number: str
    electrodes: dict[str, int]
    places_um: dict[str, tuple[float, float]]
    shanks: dict[str, str]
    n_selected: int
    n_record_nodes: int
    has_channel_map: bool


def find_settings(recording_folder: Path) -> Path | None:
    """Return the settings of the experiment a recording folder belongs to; None without."""
    experiment = recording_folder.parent.name.removeprefix("experiment")
    name = "settings.xml" if experiment in ("", "1") else f"settings_{experiment}.xml"
    file = recording_folder.parents[1] / name
    return file if file.is_file() else None


def describes_probe(structure: Path, channels: Sequence[dict[str, Any]]) -> bool:
    """Say whether the acquisition system itself names electrodes or a Neuropixels probe."""
    file = find_settings(structure.parent)
    if _electrode_indices(channels) is not None or file is None:
        return file is not None
    with reading(file):
        return file.stat().st_size < _SETTINGS_LIMIT_BYTES and b"NP_PROBE" in file.read_bytes()


def read_places(
    structure: Path, folder_name: str, channels: Sequence[dict[str, Any]]
) -> Probe | str | None:
    """Return the probe of one stream's channels, wired in their order; None for no Neuropixels.

    ``structure`` is the recording's ``structure.oebin``, ``channels`` its entries of the electrode
    channels. Text instead of a probe says why the places cannot be known.

    Raises:
        InputCorruptError: ``geometry``: ``structure.oebin`` and ``settings.xml`` disagree;
            ``unreadable``, ``unsafe``: the settings cannot be read.
    """
    electrodes = _electrode_indices(channels)
    file = find_settings(structure.parent)
    settings = _read_settings(file, folder_name) if file is not None else None
    if settings is None:
        if electrodes is None:
            return None
        where = "has no settings.xml" if file is None else "has a settings.xml of another probe"
        return (
            f"it {where}, so that nothing says which probe its electrodes are of. "
            "Copy the settings.xml of its Record Node along."
        )
    if electrodes is not None:
        return _place_by_electrodes(structure, settings, channels, electrodes)
    return _place_by_settings(settings, folder_name, channels)


def _electrode_indices(channels: Sequence[dict[str, Any]]) -> list[int] | None:
    """Return the electrode of every channel; None unless each has one."""
    found = [_electrode_index(channel) for channel in channels]
    known = [index for index in found if index is not None]
    return known if known and len(known) == len(found) else None


def _electrode_index(channel: dict[str, Any]) -> int | None:
    metadata = channel.get("channel_metadata")
    for entry in metadata if isinstance(metadata, list) else []:
        if not isinstance(entry, dict) or entry.get("name") != "electrode_index":
            continue
        value = entry.get("value")
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def _place_by_electrodes(
    structure: Path,
    settings: _Settings,
    channels: Sequence[dict[str, Any]],
    electrodes: Sequence[int],
) -> Probe | str:
    known = _catalogue_probe(settings)
    if known is None:
        return (
            f"settings.xml names the probe {settings.part_number[:40]!r}, whose electrodes are not "
            "known here."
        )
    n_electrodes = known.get_contact_count()
    if len(set(electrodes)) != len(electrodes) or max(electrodes) >= n_electrodes:
        raise corrupt(
            structure,
            "geometry",
            f"its channels name electrode {max(electrodes)} or one twice; a probe "
            f"{settings.part_number} has 0 to {n_electrodes - 1}.",
            _SETTLE_IT,
        )
    names = [str(channel["channel_name"]) for channel in channels]
    by_name = settings.electrodes if set(names) <= set(settings.electrodes) else {}
    selected = set(settings.electrodes.values())
    for name, electrode in zip(names, electrodes, strict=True):
        said = by_name.get(name, electrode if not selected or electrode in selected else None)
        if said != electrode:
            other = "none of that number" if said is None else f"electrode {said}"
            raise corrupt(
                structure,
                "geometry",
                f"channel {name} was read from electrode {electrode}; "
                f"settings.xml selects {other}: the two are not of one recording.",
                _SETTLE_IT,
            )
    return _wired(known.get_slice(np.asarray(electrodes)))


def _place_by_settings(
    settings: _Settings, folder_name: str, channels: Sequence[dict[str, Any]]
) -> Probe | str:
    """Place channels that name no electrode by the settings, where those leave no choice."""
    if settings.has_channel_map:
        return "settings.xml remaps channels, and no channel names its electrode."
    try:
        with reading(settings.file), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            probe = probeinterface.read_openephys_neuropixels(
                settings.file, stream_name=folder_name
            )
    except InputCorruptError as error:
        return _by_own_places(settings, channels) or f"{_said_by(error)}"
    n_contacts, n_channels = probe.get_contact_count(), len(channels)
    whole = n_contacts == settings.n_selected
    if n_contacts == n_channels and (whole or settings.n_record_nodes == 1):
        return _wired(probe)
    return (
        f"settings.xml places {n_contacts} channels, {n_channels} were recorded, and these do "
        f"not name their electrodes."
    )


def _by_own_places(settings: _Settings, channels: Sequence[dict[str, Any]]) -> Probe | None:
    """Return a probe of the settings' own x and y, by name; None unless all channels have one."""
    names = [str(channel["channel_name"]) for channel in channels]
    places_um = settings.places_um
    if settings.version < _FIRST_TRUE_PLACES or set(names) != set(places_um):
        return None
    if len({places_um[name] for name in names}) != len(names):
        return None
    probe = Probe(ndim=2, si_units="um")
    probe.set_contacts(
        positions=np.array([places_um[name] for name in names]),
        shapes="square",
        shape_params={"width": 12.0},
        shank_ids=[settings.shanks.get(name, "0") for name in names],
    )
    return _wired(probe)


def _said_by(error: InputCorruptError) -> str:
    said = re.search(r"\(\w+: (.*?)\.?\)\.", error.message)
    return f"settings.xml gives no places that can be used ({said[1] if said else 'unreadable'})."


def _wired(probe: Probe) -> Probe:
    probe.set_device_channel_indices(np.arange(probe.get_contact_count()))
    return probe


def _catalogue_probe(settings: _Settings) -> Probe | None:
    """Return all contacts of the probe the settings name; None for one that is not known."""
    try:
        with reading(settings.file):
            return build_neuropixels_probe(settings.part_number)
    except InputCorruptError:
        return None


def _read_settings(file: Path, folder_name: str) -> _Settings | None:
    """Read what the settings say of the probe of one stream; None where they name none for it."""
    if file.stat().st_size > _SETTINGS_LIMIT_BYTES:
        raise corrupt(file, "absurd", "it is larger than any settings the GUI writes.")
    with reading(file):
        content = file.read_bytes()
    if not any(tag in content for tag in (b"NP_PROBE", _ONIX_PROBE.encode())):
        return None
    _require_plain_xml(content, file)
    with reading(file):
        root = ElementTree.fromstring(content)
        onix = _ONIX_PROBE.encode() in content and probeinterface.has_neuropixels_probes(
            file, stream_name=folder_name
        )
    # ONIX lists nothing that is checked here: the settings are believed only as a whole.
    probe = ElementTree.Element(_ONIX_PROBE) if onix else _find_probe(root, folder_name)
    if probe is None:
        return None
    version = re.findall(r"\d+", root.findtext("INFO/VERSION") or "")[:3]
    names = [str(entry.get("name")) for entry in root.iter("PROCESSOR")]
    selected = _numbers(probe.find("SELECTED_ELECTRODES"))
    listed = probe.find("CHANNELS")
    shanks = {
        key: value.partition(":")[2] or "0"
        for key, value in (listed.attrib if listed is not None else {}).items()
    }
    x_um, y_um = _numbers(probe.find("ELECTRODE_XPOS")), _numbers(probe.find("ELECTRODE_YPOS"))
    settings = _Settings(
        file=file,
        version=tuple(int(digits) for digits in version),
        part_number=probe.get("probe_part_number") or probe.get("probePartNumber") or "",
        electrodes={key: int(value) for key, value in selected.items()},
        places_um={key: (x_um[key], y_um[key]) for key in x_um if key in y_um},
        shanks=shanks,
        n_selected=len(selected) or len(shanks),
        n_record_nodes=sum("Record Node" in name for name in names),
        has_channel_map=any("Channel Map" in name for name in names),
    )
    return settings if selected else replace(settings, electrodes=_electrodes_at_places(settings))


def _require_plain_xml(content: bytes, file: Path) -> None:
    """Refuse XML that defines entities, in whatever encoding, or is nested beyond any settings.

    Nothing is expanded: the parser stops where a document type begins.
    """
    parser = expat.ParserCreate()
    depth = 0

    def refuse(*_: Any) -> None:
        raise corrupt(file, "unsafe", "it defines XML entities, which are not expanded.")

    def enter(*_: Any) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST_SETTINGS:
            raise corrupt(file, "absurd", "it is nested deeper than any settings the GUI writes.")

    def leave(*_: Any) -> None:
        nonlocal depth
        depth -= 1

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = enter, leave
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:  # raised in C, so that it would look like a bug of ours
        raise corrupt(file, "unreadable", f"it is not XML ({error}).") from error


def _find_probe(root: ElementTree.Element, folder_name: str) -> ElementTree.Element | None:
    """Return the enabled probe that a stream's folder is named after; None unless there is one."""
    found: list[ElementTree.Element] = []
    for processor in root.iter("PROCESSOR"):
        probes = [one for one in processor.iter("NP_PROBE") if one.get("isEnabled", "1") == "1"]
        node = processor.get("nodeId") or processor.get("NodeId") or ""
        streams = [_band_less(str(entry.get("name"))) for entry in processor.findall("STREAM")]
        streams = list(dict.fromkeys(name for name in streams if "ADC" not in name))
        head, _, tail = folder_name.partition(".")
        if not probes or (node and not head.endswith(f"-{node}")):
            continue
        # Before 0.6 a probe's streams are numbered: two per probe where it has an LFP band.
        named = streams or [str(number) for number in range(len(probes))]
        found += [
            probe
            for probe, name in zip(probes, named, strict=False)
            if _band_less(tail) in (name, probe.get("custom_probe_name"))
        ]
    return found[0] if len(found) == 1 else None


def _band_less(stream: str) -> str:
    return stream.removesuffix("-AP").removesuffix("-LFP")


def _numbers(element: ElementTree.Element | None) -> dict[str, float]:
    """Return an element's attributes "CH0", "CH1", ... as numbers; none where one is none."""
    attributes = {} if element is None else element.attrib
    if len(attributes) > MOST_CHANNELS or not all(map(_CHANNEL_KEY.fullmatch, attributes)):
        return {}
    try:
        found = {key: float(value) for key, value in attributes.items()}
    except ValueError:
        return {}
    return found if all(map(math.isfinite, found.values())) else {}


def _electrodes_at_places(settings: _Settings) -> dict[str, int]:
    """Return each channel's electrode, found by its place; none where not all of them match."""
    known = _catalogue_probe(settings)
    if known is None or not settings.places_um or settings.version < _FIRST_TRUE_PLACES:
        return {}
    places_um = np.round(known.contact_positions, 2).tolist()
    several = known.shank_ids is not None and len(set(known.shank_ids)) > 1
    on_shank = [str(s) for s in known.shank_ids] if several else ["0"] * len(places_um)
    at = {(s, x, y): row for row, (s, (x, y)) in enumerate(zip(on_shank, places_um, strict=True))}
    keys = list(settings.places_um)
    shanks = [settings.shanks.get(key, "0") if several else "0" for key in keys]
    x_um, y_um = settings.places_um[keys[0]]
    # The plugin counts x from the shank's edge: one offset must bring all of them onto contacts.
    for offset_um in {x_um - x for s, x, y in at if s == shanks[0] and y == y_um}:
        found = [
            at.get((shank, round(x - offset_um, 2), y))
            for shank, (x, y) in zip(shanks, settings.places_um.values(), strict=True)
        ]
        if None not in found:
            return {key: row for key, row in zip(keys, found, strict=True) if row is not None}
    return {}
