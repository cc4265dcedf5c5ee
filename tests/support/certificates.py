"""A certificate authority of the tests' own, and a gateway that ends TLS in front of a service."""

import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from pathlib import Path


class Authority:
    """An authority whose certificate is in the file ``certificate``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.certificate, self._key = folder / "ca.pem", folder / "ca.key"
        self._openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", "/CN=authority of a test",
            "-keyout", self._key, "-out", self.certificate,
        )  # fmt: skip

    def context(self, *names: str) -> ssl.SSLContext:
        """Return what a server needs to be one of these ``DNS:NAME`` and ``IP:NUMBER``."""
        key, asked, signed, told = (
            self._folder / f"host.{end}" for end in ("key", "csr", "pem", "ext")
        )
        told.write_text(f"subjectAltName={','.join(names)}")
        self._openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=host",
            "-keyout", key, "-out", asked,
        )  # fmt: skip
        self._openssl(
            "x509", "-req", "-in", asked, "-CA", self.certificate, "-CAkey", self._key,
            "-CAcreateserial", "-days", "2", "-extfile", told, "-out", signed,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(signed, key)
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context

    def _openssl(self, *arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class TlsGateway:
    """Speaks TLS at ``port`` and passes what is inside on to ``to_port`` of this machine."""

    def __init__(self, context: ssl.SSLContext, to_port: int) -> None:
        self._context, self._to_port = context, to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no further connection."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), plain, socket.create_connection(("127.0.0.1", self._to_port)) as to:
            plain.settimeout(10)
            with self._context.wrap_socket(plain, server_side=True) as outside:
                _pass_on(outside, to)


def _pass_on(outside: ssl.SSLSocket, inside: socket.socket) -> None:
    """Carry bytes both ways until one side ends; TLS lets one thread at a time at a socket."""
    outside.settimeout(0.005)
    inside.settimeout(0.005)
    while True:
        for source, target in ((outside, inside), (inside, outside)):
            with suppress(TimeoutError, ssl.SSLWantReadError):
                data = source.recv(1 << 18)
                if not data:
                    return
                target.settimeout(None)
                target.sendall(data)
                target.settimeout(0.005)
