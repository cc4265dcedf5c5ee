"""Text from outside, made safe to show."""

import pytest

from spikefleet.core.visible_text import visible, visible_line, without_secrets


@pytest.mark.parametrize(
    "text", ["CH1", "µV, 20 °C", "two\nlines\tand a tab", "采样", "👩\u200d🔬", ""]
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    "steering", ["\x1b[31m", "\x9b2J", "\r", "\x07", "\x00", "\u202e", "\u2028", "\ud800", "\x7f"]
)
def test_what_steers_a_terminal_is_seen_instead(steering: str) -> None:
    assert visible(f"a{steering}b") == f"a\N{REPLACEMENT CHARACTER}{steering[1:]}b"


def test_a_line_stays_one_line() -> None:
    assert visible_line("good\n22:00:00 error   forged") == "good\\n22:00:00 error   forged"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:s3cret@db/x", "postgresql://***@db/x"),
        ("postgresql://ann:s3/c@r#et@db:5432/x", "postgresql://***@db:5432/x"),
        ("s3://b/p?endpoint=https://ann:s3cret@host&region=x",
         "s3://b/p?endpoint=https://***@host&region=x"),
        ("postgresql://db/x?user=ann&password=s3cret", "postgresql://db/x?user=ann&password=***"),
        ("s3://b?secret-key=s3cret&endpoint=https://h", "s3://b?secret-key=***&endpoint=https://h"),
        ("sqlite:////data/a@b.db", "sqlite:////data/a@b.db"),
        ("s3://b/p@q?endpoint=https://h", "s3://b/p@q?endpoint=https://h"),
    ],
)  # fmt: skip
def test_a_url_is_shown_without_what_only_its_owner_knows(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
