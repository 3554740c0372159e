"""HTTP servers that answer byte for byte as they are told."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Factory, Protocol

Script = Callable[["Visit"], None]


class Visit(Protocol):
    """One connection: reads a request's head, then lets the script answer it."""

    transport: ITCPTransport

    def __init__(self, script: Script) -> None:
        self.closed = False
        self.target = ""
        self.headers: dict[str, str] = {}
        self._script = script
        self._head = b""

    def dataReceived(self, data: bytes) -> None:
        if self.target:
            return
        self._head += data
        if b"\r\n\r\n" not in self._head:
            return
        line, *headers = self._head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        self.target = line.split(" ")[1]
        self.headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in headers)}
        self._script(self)

    def connectionLost(self, reason: object = None) -> None:
        self.closed = True

    def say(self, *parts: bytes) -> None:
        self.transport.write(b"".join(parts))

    def answer(self, body: bytes = b"", status: int = 200, **headers: str) -> None:
        """A whole answer; `content_encoding="gzip"` becomes a header."""
        lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.say("\r\n".join(lines).encode("latin-1"), b"\r\n\r\n", body)

    def redirect(self, location: str, status: int = 302) -> None:
        self.answer(b"elsewhere", status, Location=location)


class Server(Factory[Visit]):
    """Remembers every visit."""

    noisy = False

    def __init__(self, script: Script) -> None:
        self.script = script
        self.visits: list[Visit] = []

    def buildProtocol(self, addr: object) -> Visit:
        visit = Visit(self.script)
        self.visits.append(visit)
        return visit
