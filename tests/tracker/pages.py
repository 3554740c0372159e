"""A page of a browser on the simulated network: a WebSocket that says what a test tells it to."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable

from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure

from bittwist.announce.websocket import Message, encode_message
from bittwist.announce.websocket_reply import ReplyMessage, decode_reply
from bittwist.testing import Host

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MASK = b"\x01\x02\x03\x04"
HEAD = {
    "Host": "tracker.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": b64encode(b"k" * 16).decode(),
    "Origin": "https://page.example",
}


def request(target: str = "/", *, extra: Iterable[tuple[str, str]] = (), **headers: str | None) -> bytes:
    """The head of a WebSocket's request; a header that is None is left out."""
    given = {**HEAD, **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"{name}: {value}" for name, value in (*given.items(), *extra) if value is not None]
    return "\r\n".join([f"GET {target} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def frame(payload: bytes, opcode: int = TEXT, *, final: bool = True, masked: bool = True) -> bytes:
    """A frame as browsers send it (RFC 6455, section 5.2)."""
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2) if size < 65536 else None
    if length is None:
        length = b"\x7f" + size.to_bytes(8)
    if masked:
        payload = bytes(byte ^ MASK[place % 4] for place, byte in enumerate(payload))
        length = bytes([length[0] | 0x80]) + length[1:] + MASK
    return bytes([0x80 * final | opcode]) + length + payload


class Page(Protocol):
    """Keeps what comes: `head` is the answer to the request, `said` what the tracker said since.

    Pings are answered unless `deaf` is set.
    """

    transport: ITCPTransport

    def __init__(self, head: bytes) -> None:
        self.request = head
        self.head = b""
        self.said: list[ReplyMessage] = []
        self.pings = 0
        self.pongs = 0
        self.closed: int | None = None
        self.lost = False
        self.deaf = False
        self._data = b""

    @property
    def status(self) -> int:
        return int(self.head.split(b" ")[1]) if self.head else 0

    def connectionMade(self) -> None:
        self.transport.write(self.request)

    def say(self, *messages: Message | bytes) -> None:
        whole = [message if isinstance(message, bytes) else encode_message(message) for message in messages]
        self.transport.write(b"".join(map(frame, whole)))

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        if not self.head:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            self.head, self._data = head, rest
        if self.status == 101:
            while self._read_frame():
                pass

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted gives a default
        self.lost = True

    def _read_frame(self) -> bool:
        data = self._data
        if len(data) < 2:
            return False
        start, size = 2, data[1]
        if size > 125:
            start += 2 if size == 126 else 8
            size = int.from_bytes(data[2:start])
        if len(data) < start + size:
            return False
        payload, self._data = data[start : start + size], data[start + size :]
        match data[0]:
            case 0x81:
                self.said.append(decode_reply(payload))
            case 0x88:
                self.closed = int.from_bytes(payload[:2])
            case 0x89:
                self.pings += 1
                if not self.deaf:
                    self.transport.write(frame(payload, PONG))
            case 0x8A:
                self.pongs += 1
            case other:
                raise AssertionError(f"a frame of kind {other:#x}")
        return True


def open_page(host: Host, address: str, port: int, head: bytes) -> Page:
    """Begin to connect from this host."""
    page = Page(head)
    factory = ClientFactory.forProtocol(lambda: page)
    factory.noisy = False
    host.connectTCP(address, port, factory)
    return page
