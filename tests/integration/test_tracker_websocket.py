"""The tracker's WebSocket front over real sockets."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import blockingCallFromThread, deferToThread

from bittwist.announce.fields import Offer
from bittwist.announce.values import AnnounceRequest
from bittwist.announce.websocket import Announce, Answer, Message, encode_message
from bittwist.announce.websocket_reply import Announced, AnswerFrom, OfferFrom, ReplyMessage, decode_reply
from bittwist.tracker import Totals, Tracker
from bittwist.tracker.websocket import WebSocketFront
from tests.integration.test_evil_http import certificate
from tests.tracker.pages import frame, request

SWARM, ONE, TWO = b"s" * 20, b"1" * 20, b"2" * 20
PATIENCE = 10.0  # seconds until a socket that says nothing fails its test


class Client:
    """A browser that waits for each message; for threads."""

    def __init__(self, connection: socket.socket, path: str = "/announce") -> None:
        self._socket = connection
        self._file = connection.makefile("rb")
        connection.sendall(request(path))
        self.status = int(self._file.readline().split()[1])
        while self._file.readline().strip():
            pass

    def say(self, message: Message) -> None:
        self._socket.sendall(frame(encode_message(message)))

    def close_code(self) -> int:
        kind, size = self._file.read(2)
        assert kind == 0x88, f"a frame of kind {kind:#x}"
        return int.from_bytes(self._file.read(size))

    def hear(self) -> ReplyMessage:
        kind, size = self._file.read(2)
        assert kind == 0x81, f"a frame of kind {kind:#x}"
        if size > 125:
            size = int.from_bytes(self._file.read(2 if size == 126 else 8))
        return decode_reply(self._file.read(size))


@contextmanager
def connected(port: int, context: ssl.SSLContext | None = None, path: str = "/announce") -> Iterator[Client]:
    with closing(socket.create_connection(("127.0.0.1", port), PATIENCE)) as plain:
        if context is None:
            yield Client(plain, path)
        else:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
                yield Client(secured, path)


def announce(peer_id: bytes, *sdps: str) -> Announce:
    offers = tuple(Offer(b"%020d" % place, sdp) for place, sdp in enumerate(sdps))
    return Announce(AnnounceRequest(SWARM, peer_id, 0, left=1, numwant=len(offers)), offers)


def meet(port: int, context: ssl.SSLContext | None = None) -> None:
    """Two browsers find each other."""
    with connected(port, context) as one, connected(port, context) as two:
        one.say(announce(ONE))
        first = one.hear()
        two.say(announce(TWO, "v=0 offer"))
        second = two.hear()
        assert isinstance(first, Announced) and isinstance(second, Announced)
        assert (first.response.incomplete, second.response.incomplete) == (1, 2)
        assert one.hear() == OfferFrom(SWARM, TWO, Offer(b"%020d" % 0, "v=0 offer"))
        one.say(Answer(SWARM, ONE, TWO, Offer(b"%020d" % 0, "v=0 answer")))
        assert two.hear() == AnswerFrom(SWARM, ONE, Offer(b"%020d" % 0, "v=0 answer"))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest_twisted.ensureDeferred
async def test_browsers_meet_over_tcp_and_are_seen_to_leave() -> None:
    tracker = Tracker(reactor)
    front = WebSocketFront(reactor, tracker)
    port = reactor.listenTCP(0, front, interface="127.0.0.1")
    try:
        await deferToThread(meet, port.getHost().port)
        await deferToThread(until, lambda: front.connections == 0)
        assert tracker.browsers.totals() == Totals()
    finally:
        await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_browsers_meet_over_tls() -> None:
    options, trusted = certificate("127.0.0.1")
    context = ssl.create_default_context(cadata=trusted.dumpPEM().decode())
    front = WebSocketFront(reactor, Tracker(reactor))
    port = reactor.listenSSL(0, front, options, interface="127.0.0.1")
    try:
        await deferToThread(meet, port.getHost().port, context)
    finally:
        await port.stopListening()


def stay(port: int, stopped: Callable[[], object]) -> None:
    with connected(port) as one:
        one.say(announce(ONE))
        assert isinstance(one.hear(), Announced)
        stopped()
        assert one.close_code() == 1001


@pytest_twisted.ensureDeferred
async def test_when_the_port_closes_browsers_are_told_to_go() -> None:
    front = WebSocketFront(reactor, Tracker(reactor))
    port = reactor.listenTCP(0, front, interface="127.0.0.1")
    await deferToThread(
        stay, port.getHost().port, lambda: blockingCallFromThread(reactor, port.stopListening)
    )
    await deferToThread(until, lambda: front.connections == 0)
