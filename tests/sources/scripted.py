"""A host whose every answer is written byte by byte by the test, over TLS or not."""

import contextlib
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from socket import socket

Send = Callable[[bytes], None]
Answer = Callable[[Send], None]
"""Sends what it likes; the connection is closed when it returns."""


@dataclass
class Host:
    """A running host: what it answers by path, and what it was asked."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    names: list[str | None] = field(default_factory=list)

    def url(self, path: str, name: str = "pictures.example") -> str:
        return f"https://{name}:{self.port}{path}"

    def forever(self, send: Send, piece: bytes, pause: float) -> None:
        """Send a piece again and again until the peer or the test has had enough."""
        with contextlib.suppress(OSError):
            while not self.ended.wait(pause):
                send(piece)


def whole(body: bytes, *headers: str, status: str = "200 OK") -> Answer:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers])

    def answer(send: Send) -> None:
        send(head.encode() + b"\r\n\r\n" + body)

    return answer


@contextmanager
def host(
    context: ssl.SSLContext | None, address: tuple[str, int] = ("127.0.0.1", 0)
) -> Iterator[Host]:
    found = Host()
    if context is not None:
        context.sni_callback = lambda _, name, __: found.names.append(name)

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            peer: socket = self.request
            found.connections += 1
            peer.settimeout(10)
            try:
                if context is not None:
                    peer = context.wrap_socket(peer, server_side=True)
            except OSError:  # the client did not like the certificate
                return
            with peer, contextlib.suppress(OSError):
                head = b""
                while b"\r\n\r\n" not in head:
                    part = peer.recv(65_536)
                    if not part:
                        return
                    head += part
                found.heads.append(head)
                path = head.split(b" ", 2)[1].decode()
                found.answers[path](peer.sendall)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        request_queue_size = 64

    with Server(address, Connection) as server:
        found.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield found
        finally:
            found.ended.set()
            server.shutdown()
            thread.join()


@contextmanager
def seconds_at_most(limit: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < limit


def chunked(*pieces: bytes) -> Answer:
    def answer(send: Send) -> None:
        send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (*pieces, b""):
            send(b"%x\r\n%s\r\n" % (len(piece), piece))

    return answer


def raw(data: bytes) -> Answer:
    return lambda send: send(data)


def dripping_body(slow: Host) -> Answer:
    def answer(send: Send) -> None:
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")
        slow.forever(send, b"x", 0.02)

    return answer


def dripping_head(slow: Host) -> Answer:
    def answer(send: Send) -> None:
        send(b"HTTP/1.1 200 OK\r\nX-Padding: ")
        slow.forever(send, b"x", 0.02)

    return answer


def silence(slow: Host) -> Answer:
    def answer(_: Send) -> None:
        slow.ended.wait()

    return answer
