"""What the network did to a request, for people."""

from __future__ import annotations

import urllib3

_NETWORK = (
    (urllib3.exceptions.NameResolutionError, "its host's name is not known"),
    (urllib3.exceptions.NewConnectionError, "nothing answers there"),
    (urllib3.exceptions.TimeoutError, "no answer came in time"),
    (urllib3.exceptions.SSLError, "its certificate is not trusted"),
    (urllib3.exceptions.ProtocolError, "the connection broke"),
    (urllib3.exceptions.IncompleteRead, "the connection broke"),
)


def in_words(error: Exception) -> str:
    """Say it in a few words; the library wraps it in how often it tried."""
    cause = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
    for kinds, said in _NETWORK:
        if isinstance(cause, kinds):
            return said
    return str(cause) or type(cause).__name__
