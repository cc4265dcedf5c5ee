"""Names of the reference pipeline that mean nothing here, each with the reason.

One table. Such a name is accepted, so that settings people have still work; it is told, never
stored, and changes nothing, no digest either. Names that only moved stand in ``names.RENAMED``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from spikefleet.core.failures.errors import InvalidConfigurationError

ACCEPTED: Mapping[str, str] = {
    "rt_sort.delete_inter": "scratch is always removed once the results are stored",
    "waveform.streaming": "waveforms are always read in bounded chunks of time",
    "execution.total_memory": "reading and writing is always in small chunks; an attempt's memory "
    "is the operator's setting",
    "execution.save_script": "the resolved configuration is always kept",
    "execution.out_file": "every attempt's log is kept with its results",
    "execution.recompute_recording": "every attempt starts from the stored recording",
    "execution.reextract_waveforms": "waveforms belong to the sort and are made with it",
    "execution.recurate_first": "curation is never cached between runs",
    "execution.recurate_second": "curation is never cached between runs",
    "execution.recompile_single_recording": "exports are made again by every run",
    "execution.sorter_inactivity_in_process_grace_s": "the sorter never runs inside the process "
    "that watches it, which can therefore always stop it",
    "execution.cleanup_temp_files": "temporary files go with the scratch folder",
    "execution.prevent_system_sleep": "servers and pods do not go to sleep",
    "execution.tee_log_policy": "logs are always kept",
}
# ``delete_inter`` alone is the execution group's, which has an effect.
_FLAT: Mapping[str, str] = {
    dotted.partition(".")[2]: dotted for dotted in ACCEPTED if dotted != "rt_sort.delete_inter"
} | {"streaming_waveforms": "waveform.streaming", "rt_sort_delete_inter": "rt_sort.delete_inter"}


def without_effect(name: str) -> str:
    """Return the dotted name of a setting that is accepted and does nothing; "" for any other."""
    return name if name in ACCEPTED else _FLAT.get(name, "")


def require_plausible(name: str, value: object) -> None:
    """Refuse a value that the setting never had, although it does nothing here.

    Whoever writes it has mistaken something. Raises InvalidConfigurationError.
    """
    dotted = without_effect(name)
    wanted, holds = _VALUES.get(dotted, ("true or false", _is_flag))
    if not (value is None or holds(value)):
        raise InvalidConfigurationError(
            f"{name} must be {wanted}, not {value!r:.60}; it has no effect here in any case: "
            f"{ACCEPTED[dotted]}.",
            field=dotted,
            value=str(value)[:60],
        )


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_size(value: object) -> bool:
    if isinstance(value, str):
        found = _SIZE.fullmatch(value.strip())
        return found is not None and float(found["number"]) > 0
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


_SIZE = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?) ?([kKMGT]i?)?B?")
_VALUES: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "execution.total_memory": ('an amount of memory, such as "16G"', _is_size),
    "execution.out_file": ("the name of a file", lambda value: isinstance(value, str)),
    "execution.tee_log_policy": ("a word", lambda value: isinstance(value, str)),
    "execution.sorter_inactivity_in_process_grace_s": ("seconds", _is_seconds),
}


def told(names: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence for each given name that does nothing here."""
    return tuple(
        f"{name} is accepted and has no effect here: {ACCEPTED[dotted]}."
        for name in names
        if (dotted := without_effect(name))
    )
