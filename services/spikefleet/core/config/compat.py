"""Names of the reference pipeline that mean nothing here, each with the reason.

One table. Such a name is accepted, so that settings people have still work; it is told, never
stored, and changes nothing, no digest either. Names that only moved stand in ``names.RENAMED``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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


def told(names: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence for each given name that does nothing here."""
    return tuple(
        f"{name} is accepted and has no effect here: {ACCEPTED[dotted]}."
        for name in names
        if (dotted := without_effect(name))
    )
