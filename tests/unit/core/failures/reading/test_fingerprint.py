import random
import string

import pytest

from spikefleet.core.failures.classify import Evidence, classify
from spikefleet.core.failures.reading.fingerprint import fingerprint, normalise


def test_numbers_addresses_paths_and_quoted_values_do_not_matter():
    one = normalise("unit 17 at 0x7ffe in '/tmp/a/b.bin' took 1.5e-3 s, see /data/x/y.log")
    two = normalise("unit 4 at 0xdead in '/tmp/c/d.bin' took 2 s, see /home/me/z.log")
    assert one == two


def test_the_words_of_a_message_matter():
    assert normalise("too few spikes") != normalise("too many spikes")


def test_the_same_failure_has_the_same_name_on_every_machine_and_another_one_has_not():
    frames = ("kilosort/run_kilosort.py:_sort", "kilosort/io.py:load")
    first = fingerprint("ValueError", frames, "bad 3")
    assert first == fingerprint("ValueError", frames, "bad 4")
    assert len(first) == 16
    assert first != fingerprint("KeyError", frames, "bad 3")
    assert first != fingerprint("ValueError", frames[:1], "bad 3")


REPEATS = {
    "numbers": ("batch 17 of 300 gave 1.5e-3", "batch 4711 of 9 gave -2"),
    "a shape": ("shape (0, 61) is odd", "shape (12, 4) is odd"),
    "an address": ("<Recording at 0x7f3a12> failed", "<Recording at 0xDEADBEEF> failed"),
    "a run's id": (
        "run 4be0643f-1d98-573b-97cd-ca98a65347dd is odd",
        "run 6ba7b810-9dad-11d1-80b4-00c04fd430c8 is odd",
    ),
    "a digest": (
        "sha256 9f86d081884c7d659a2feaa0c55ad015 differs",
        "sha256 60303ae22b998861bce3b28f33eec1be differs",
    ),
    "a folder made for once": ("in tmpab12cd_x now", "in tmpzz99qq_y now"),
    "a path": ("cannot map /scratch/a/rec.dat", "cannot map /mnt/fast/b/c.rec"),
    "a path of another system": (
        "cannot map /scratch/a/rec.dat",
        "cannot map C:\\data\\b\\rec.dat",
    ),
    "a relative path": ("cannot map runs/a1/rec.dat", "cannot map runs/b/c/rec2.dat"),
    "a quoted value": ("no channel 'AP17' here", "no channel 'LFP, left' here"),
    "a time": ("at 2026-11-20 18:16:08 it broke", "at 2027-01-02 03:04:05 it broke"),
    "a progress bar": (
        " 10%|#         | 1/10 [00:01<00:09]",
        " 90%|######### | 9/10 [00:09<00:01]",
    ),
    "a network address": ("no answer from 10.0.0.17:5000", "no answer from 192.168.1.2:80"),
}


@pytest.mark.parametrize("what", REPEATS)
def test_repeats_that_differ_in_one_thing_are_one_failure(what):
    one, two = REPEATS[what]
    assert fingerprint("ValueError", (), one) == fingerprint("ValueError", (), two)


def unknown(rng):
    """The same unknown failure on another machine, at another time, with other values."""
    venv = "".join(rng.choices(string.ascii_lowercase, k=6))
    digest = "".join(rng.choices("0123456789abcdef", k=32))
    frames = [
        {"file": f"/opt/{venv}/lib/python3.11/site-packages/kilosort/{file}", "function": function}
        for file, function in (("run_kilosort.py", "_sort"), ("template_matching.py", "extract"))
    ]
    message = (
        f"batch {rng.randint(0, 999)} at 0x{rng.getrandbits(40):x} of '/data/{venv}/r{digest}.dat' "
        f"({digest}) has {rng.random() * 100:.3f} too many"
    )
    return {
        "exception_type": "ValueError",
        "module": "builtins",
        "message": message,
        "frames": frames,
        "trace_tail": [f"line {rng.randint(1, 99)}"],
    }


def test_a_thousand_repeats_of_an_unknown_failure_have_one_fingerprint():
    rng = random.Random(4)
    found = [
        classify(
            Evidence(
                "kilosort4", exit_code=1, child_failure=unknown(rng), log_tail=f"{rng.random()}\n"
            )
        )
        for _ in range(1000)
    ]
    assert {failure.code for failure in found} == {"unclassified"}
    assert len({failure.evidence["fingerprint"] for failure in found}) == 1


def test_failures_without_an_exception_are_grouped_by_their_last_words():
    def mark(*lines):
        log = "".join(f"{line}\n" for line in lines)
        failure = classify(Evidence("lupin", exit_code=1, log_tail=log))
        return failure.evidence["fingerprint"]

    assert mark("start", "giving up after 3 of 7 tries") == mark("giving up after 12 of 99 tries")
    assert mark("giving up after 3 tries") != mark("stopping after 3 tries")


def test_other_functions_and_other_types_are_other_failures():
    document = unknown(random.Random(1))
    marks = set()
    for changed in (
        {},
        {"exception_type": "KeyError"},
        {"frames": document["frames"][:1]},
        {"message": "something else"},
    ):
        failure = classify(
            Evidence("kilosort4", exit_code=1, child_failure={**document, **changed})
        )
        marks.add(failure.evidence["fingerprint"])
    assert len(marks) == 4


def test_a_message_of_megabytes_is_normalised_quickly():
    assert len(normalise("a1 " * 1_000_000)) <= 300
