from spikefleet.core.failures.fingerprint import fingerprint, normalise


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
