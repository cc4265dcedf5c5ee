import traceback

import pytest

from spikefleet.core.failures.reading.exception_chain import (
    Thrown,
    from_document,
    from_text,
    package_path,
)


def really_raised():
    def inner():
        raise KeyError("well007")

    try:
        inner()
    except KeyError as error:
        try:
            raise RuntimeError("loading failed\nsecond line") from error
        except RuntimeError as outer:
            return "".join(traceback.format_exception(outer))


def test_a_real_traceback_is_read_with_its_cause():
    last, cause = from_text(f"some log\n{really_raised()}")
    assert (last.type_name, last.message) == ("RuntimeError", "loading failed\nsecond line")
    assert (cause.type_name, cause.message) == ("KeyError", "'well007'")
    assert cause.frames[-1].endswith("test_exception_chain.py:inner")


def test_the_error_number_is_read_from_the_text():
    text = (
        "Traceback (most recent call last):\n"
        '  File "/x/site-packages/PIL/Image.py", line 5, in save\n'
        "OSError: [Errno 28] No space left on device\n"
    )
    assert from_text(text)[0].errno == 28


@pytest.mark.parametrize(
    "text", ["", "no trace here", "Traceback (most recent call last):\n", "x\n" * 9]
)
def test_text_without_an_exception_gives_none(text):
    assert from_text(text) == []


def test_paths_are_the_same_on_every_machine():
    assert package_path("/a/venv/lib/site-packages/kilosort/io.py") == "kilosort/io.py"
    assert package_path("C:\\env\\site-packages\\kilosort\\io.py") == "kilosort/io.py"
    assert package_path("/srv/tree/a/b/c.py") == "a/b/c.py"


def test_the_innermost_frame_inside_the_sorter_is_found():
    thrown = Thrown("ValueError", "x", ("kilosort/run.py:a", "kilosort/io.py:b", "numpy/x.py:c"))
    assert thrown.innermost(("kilosort/",)) == "kilosort/io.py:b"
    assert thrown.innermost(("mountainsort5/",)) == ""


def test_a_document_without_an_exception_holds_none():
    assert from_document({"step": "load"}) == []
