"""Where a service answers, as people write it."""

import pytest

from spikefleet.infra.rpc.addresses import ServiceAddress


@pytest.mark.parametrize(
    ("text", "target", "is_encrypted"),
    [
        ("127.0.0.1:7311", "127.0.0.1:7311", False),
        ("[::1]:7311", "[::1]:7311", False),
        ("sorter.lab.org:0", "sorter.lab.org:0", False),
        ("https://sorter.lab.org", "sorter.lab.org:443", True),
        ("https://sorter.lab.org/", "sorter.lab.org:443", True),
        ("https://sorter.lab.org:8443", "sorter.lab.org:8443", True),
        ("https://[2001:db8::1]", "[2001:db8::1]:443", True),
        ("https://[2001:db8::1]:7311", "[2001:db8::1]:7311", True),
        ("http://sorter.lab.org", "sorter.lab.org:80", False),
        ("http://sorter.lab.org:7311", "sorter.lab.org:7311", False),
    ],
)
def test_an_address_is_a_place_or_a_url(text: str, target: str, is_encrypted: bool) -> None:
    place = ServiceAddress.parse(text)
    assert (place.target, place.is_encrypted) == (target, is_encrypted)
    assert place.is_url is ("://" in text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sorter",
        ":7311",
        "sorter:port",
        "sorter:99999",
        "sorter:7311/",
        "::1:7311",
        "https://",
        "https://sorter/path",
        "https://user@sorter",
        "https://sorter:x",
        "grpc://sorter:1",
        "https://a b",
    ],
)
def test_what_is_no_address_is_told_how_one_is_written(text: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT, for example .* or https://HOST"):
        ServiceAddress.parse(text)


@pytest.mark.parametrize(
    ("text", "here"),
    [
        ("127.0.0.1:7311", True),
        ("localhost:1", True),
        ("[::1]:5", True),
        ("https://localhost", True),
        ("10.0.0.4:7311", False),
        ("https://sorter.lab.org", False),
    ],
)
def test_this_machine_is_told_from_others(text: str, here: bool) -> None:
    assert ServiceAddress.parse(text).is_loopback is here
