"""A list of plugin folders is read the same by whoever reads it."""

import pytest

from spikefleet.signal.formats.plugin_folders import list_plugin_folders


@pytest.mark.parametrize(
    ("text", "folders"),
    [
        (None, ()),
        ("", ()),
        ("/a", ("/a",)),
        ("/a:/b", ("/a", "/b")),
        (":/a: /b :", ("/a", "/b")),
        (" : ", ()),
    ],
)
def test_folders_are_separated_as_in_path(text, folders):
    assert list_plugin_folders(text) == folders
