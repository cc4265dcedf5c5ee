"""How people and settings write where a service answers: HOST:PORT, or https://HOST[:PORT].

Reads no name service and imports nothing of the network.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

EXAMPLES = "HOST:PORT, for example 127.0.0.1:7311, or https://HOST"
_PORTS = {"https": 443, "http": 80}
_LARGEST_PORT = 65535


@dataclass(frozen=True)
class ServiceAddress:
    """``host`` without brackets; ``is_encrypted``: by TLS, with the server's certificate."""

    host: str
    port: int
    is_encrypted: bool = False
    is_url: bool = False

    @classmethod
    def parse(cls, text: str) -> ServiceAddress:
        """Read an address. Raises ValueError that says how one is written."""
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest = "", text
        elif scheme not in _PORTS:
            raise ValueError(f"an address is {EXAMPLES}")
        place = rest.removesuffix("/") if scheme else rest
        bare = scheme and (place.endswith("]") or ":" not in place)
        host, colon, port = (place, ":", str(_PORTS[scheme])) if bare else place.rpartition(":")
        is_host = bool(host) and not set("/@?# ") & set(host)
        is_host = is_host and (":" not in host or (host.startswith("[") and host.endswith("]")))
        is_port = port.isascii() and port.isdigit() and int(port) <= _LARGEST_PORT
        if not (colon and is_host and is_port):
            raise ValueError(f"an address is {EXAMPLES}")
        return cls(host.strip("[]"), int(port), scheme == "https", bool(scheme))

    @property
    def target(self) -> str:
        """``host:port``, an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """True when it names this machine without a name service."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
