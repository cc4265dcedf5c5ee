"""A TCP proxy on loopback that ends a connection after so many bytes, so many times."""

import socket
import threading
from contextlib import suppress


class CutProxy:
    """Forwards to ``port``. ``cuts`` are taken in order, one for each connection: bytes in either
    direction after which it is ended; None or no entry: never.
    """

    def __init__(self, port: int) -> None:
        self.cuts: list[int | None] = []
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def hang_up(self) -> None:
        """End every connection there is, so that the next call opens a new one."""
        with self._lock:
            ending, self._open = self._open, []
        for end in ending:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # also where one is waited for
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with self._lock:
                    cut = self.cuts.pop(0) if self.cuts else None
                server = socket.create_connection(("127.0.0.1", self._to))
                with self._lock:
                    self._open += [client, server]
                left = _Left(cut)
                for source, target in ((client, server), (server, client)):
                    threading.Thread(
                        target=_forward, args=(source, target, left), daemon=True
                    ).start()


class _Left:
    """How many bytes may still pass on a connection, both ways together."""

    def __init__(self, n_bytes: int | None) -> None:
        self._n_bytes = n_bytes
        self._lock = threading.Lock()

    def take(self, n_bytes: int) -> int:
        with self._lock:
            if self._n_bytes is None:
                return n_bytes
            taken = min(n_bytes, self._n_bytes)
            self._n_bytes -= taken
            return taken


def _forward(source: socket.socket, target: socket.socket, left: _Left) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            n_bytes = left.take(len(data))
            target.sendall(data[:n_bytes])
            if n_bytes < len(data):
                for end in (source, target):
                    end.shutdown(socket.SHUT_RDWR)
                return
        target.shutdown(socket.SHUT_WR)
