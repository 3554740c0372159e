"""An HTTP server for tests that gives ranges of files, and misbehaves to order; connections are kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Factory, Protocol

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


class Visitor(Protocol):
    """One connection: requests in turn, each answered by the server's script or from its files."""

    transport: ITCPTransport
    server: FileServer

    def __init__(self) -> None:
        self.closed = False
        self.lines: list[str] = []
        self.headers: dict[str, str] = {}
        self._head = b""

    @property
    def target(self) -> str:
        return self.lines[-1].split(" ")[1]

    @property
    def range(self) -> tuple[int, int] | None:
        """The first and the last byte that are asked for."""
        found = _RANGE.fullmatch(self.headers.get("range", ""))
        return (int(found[1]), int(found[2])) if found else None

    def dataReceived(self, data: bytes) -> None:
        self._head += data
        while b"\r\n\r\n" in self._head:
            head, _, self._head = self._head.partition(b"\r\n\r\n")
            line, *headers = head.decode("latin-1").split("\r\n")
            self.lines.append(line)
            self.headers = {
                name.lower(): value for name, _, value in (each.partition(": ") for each in headers)
            }
            self.server.asked.append((self.target, self.range))
            self.server.script(self)

    def connectionLost(self, reason: object = None) -> None:
        self.closed = True

    def answer(self, body: bytes = b"", status: int = 200, **headers: str) -> None:
        """A whole answer; `Content_Range="…"` becomes a header."""
        self.head(status, Content_Length=str(len(body)), **headers)
        self.transport.write(body)

    def head(self, status: int, **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Status", *(f"{n.replace('_', '-')}: {v}" for n, v in headers.items())]
        self.transport.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def redirect(self, location: str) -> None:
        self.answer(b"elsewhere", 302, Location=location)

    def give(self, change: Callable[[bytes], bytes] = bytes) -> None:
        """What is asked for, as a good server gives it; but for what `change` makes of the body."""
        file = self.server.files.get(self.target)
        if file is None:
            self.answer(b"not here", 404)
        elif self.range is None:
            self.answer(change(file))
        elif self.range[0] >= len(file):
            self.answer(b"", 416, Content_Range=f"bytes */{len(file)}")
        else:
            first, last = self.range
            body = change(file[first : last + 1])
            self.answer(body, 206, Content_Range=f"bytes {first}-{first + len(body) - 1}/{len(file)}")


class FileServer(Factory[Visitor]):
    """Gives `files` (by the target of their URL), unless `script` does something else with a visitor."""

    noisy = False

    def __init__(self, files: Mapping[str, bytes], script: Callable[[Visitor], None] = Visitor.give) -> None:
        self.files = files
        self.script = script
        self.visitors: list[Visitor] = []
        self.asked: list[tuple[str, tuple[int, int] | None]] = []

    def buildProtocol(self, addr: object) -> Visitor:
        visitor = Visitor()
        visitor.server = self
        self.visitors.append(visitor)
        return visitor
