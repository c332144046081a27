"""TLS in front of servers that have none, with the certificate of an authority of our own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@dataclass
class Front:
    """What came in: the clear text of each line, as far as a client let itself be drawn into one."""

    port: int = 0
    heard: list[bytes] = field(default_factory=list)


@contextmanager
def tls_front(context: ssl.SSLContext | None, behind: tuple[str, int], *, postgres: bool = False) -> Iterator[Front]:
    """A port on loopback that speaks TLS and passes on what it receives; for PostgreSQL, once a client asks for TLS.

    Without `context` it is a PostgreSQL that says it has no TLS.
    """
    front = Front()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        front.port = listening.getsockname()[1]
        threading.Thread(target=_accept, args=(front, listening, context, behind, postgres), daemon=True).start()
        try:
            yield front
        finally:
            # Wakes the thread that waits for callers.
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)


def _accept(
    front: Front,
    listening: socket.socket,
    context: ssl.SSLContext | None,
    behind: tuple[str, int],
    postgres: bool,
) -> None:
    while True:
        try:
            line, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(front, line, context, behind, postgres), daemon=True).start()


def _serve(
    front: Front, line: socket.socket, context: ssl.SSLContext | None, behind: tuple[str, int], postgres: bool
) -> None:
    with line, contextlib.suppress(OSError):
        if postgres and line.recv(8, socket.MSG_WAITALL) != SSL_REQUEST:
            front.heard.append(b"no request for TLS")
            return
        if postgres:
            line.sendall(b"S" if context else b"N")
        if context is None:
            front.heard.append(line.recv(1 << 16))
            return
        secured = context.wrap_socket(line, server_side=True)
        with secured, socket.create_connection(behind) as server:
            number = len(front.heard)
            front.heard.append(b"")
            answering = threading.Thread(target=_pass_on, args=(server, secured), daemon=True)
            answering.start()
            while received := secured.recv(1 << 16):
                front.heard[number] += received
                server.sendall(received)
            server.shutdown(socket.SHUT_WR)
            answering.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(1 << 16):
            target.sendall(received)
        target.shutdown(socket.SHUT_RDWR)
