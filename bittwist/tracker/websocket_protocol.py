"""A browser's connection by autobahn's WebSocket protocol (RFC 6455), within bounds that are ours.

Only tracker.websocket imports this, when it makes a front. What autobahn leaves open is closed here: the
length of a request's head, frames as fast as they come, readers that do not read, and log lines for what is
daily bread to a public tracker.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.interfaces import IConsumer, IDelayedCall, IPushProducer, IReactorTime, ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bittwist.tracker.relay import Browser
from bittwist.tracker.websocket_settings import WebSocketSettings

if TYPE_CHECKING:
    from bittwist.tracker.websocket import WebSocketFront

FRACTION = 0.01  # of a frame: what rounding may leave of a debt
MAX_HEAD = 16 << 10  # bytes of a request's head; browsers send cookies
END = b"\r\n\r\n"
GOING_AWAY = 1001  # the code of a close (RFC 6455, section 7.4.1)
# Autobahn takes each of these for the end of a line too, which makes one header into two: the second could
# be the one a trusted proxy sets.
ODD_ENDS = b"\r\n\x0b\x0c\x1c\x1d\x1e\x85"
PHRASES = {
    400: b"Bad Request",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    426: b"Upgrade Required",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
    505: b"HTTP Version Not Supported",
}


class _Transport(ITCPTransport, IConsumer, IPushProducer):
    """What Twisted's connections are."""


class _Errors:
    """A log of errors only: for each connection that fails autobahn would write a line."""

    _log = Logger(namespace="autobahn")

    def debug(self, *text: object, **values: object) -> None:
        pass

    trace = info = warn = debug

    def error(self, text: str = "", **values: object) -> None:
        self._log.error(text, **values)


class _Timer:
    """What autobahn sets its time-outs with: the reactor it was given, not one of its own."""

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor

    def call_later(self, delay: float, late: Callable[..., object], *args: object) -> IDelayedCall:
        return self._reactor.callLater(delay, late, *args)


class BrowserFactory(WebSocketServerFactory):
    """Makes the connections of a front."""

    log = _Errors()

    reactor: IReactorTime

    def __init__(self, reactor: IReactorTime, front: WebSocketFront) -> None:
        super().__init__(server=None, reactor=reactor)  # type: ignore[no-untyped-call]  # untyped in autobahn
        self._batched_timer = _Timer(reactor)
        self.front = front
        self.apply(front.settings)

    def apply(self, settings: WebSocketSettings) -> None:
        self.setProtocolOptions(  # type: ignore[no-untyped-call]  # untyped in autobahn
            versions=[13],
            webStatus=False,
            maxFramePayloadSize=settings.max_message,
            maxMessagePayloadSize=settings.max_message,
            openHandshakeTimeout=settings.handshake_deadline,
            autoPingInterval=settings.ping_interval,
            autoPingTimeout=settings.ping_timeout,
            allowNullOrigin=True,  # origins are looked at in onConnect
        )

    def buildProtocol(self, addr: object) -> BrowserProtocol:  # type: ignore[override]  # a plain Protocol
        protocol = BrowserProtocol()
        protocol.factory = self
        return protocol


@implementer(IPushProducer)
class BrowserProtocol(WebSocketServerProtocol):
    """One connection; to the relay, a Line."""

    log = _Errors()
    factory: BrowserFactory
    transport: _Transport

    def __init__(self) -> None:
        super().__init__()
        self.congested = False
        self._browser: Browser | None = None
        self._tokens = 0.0  # frames it may still send before it has to wait
        self._counted_at = 0.0
        self._waiting: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._tokens = self._settings.message_burst
        self._counted_at = self._now()
        super().connectionMade()
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        if self.state == self.STATE_CONNECTING:
            head, end, _ = (self.data + data).partition(END)
            if len(head) > MAX_HEAD:
                self.failHandshake("", 431)
                return
            if end and any(odd in head.replace(b"\r\n", b"") for odd in ODD_ENDS):
                self.failHandshake("", 400)
                return
        if self.state != self.STATE_CLOSED:
            super().dataReceived(data)

    def onConnect(self, request: ConnectionRequest) -> None:
        allowed = self._settings.allowed_origins
        if allowed and request.origin and request.origin.lower() not in map(str.lower, allowed):
            raise _denied(403)
        passkey = _passkey(request.path)
        host = self.factory.front.admit(self, self.transport.getPeer(), self._lines())
        if host is None:
            raise _denied(503)
        token = request.params.get("jwt", [None])[0]
        self._browser = Browser(self, host, passkey, None if token is None else token.encode())

    def onOpen(self) -> None:
        assert self._browser is not None
        self.factory.front.relay.opened(self._browser)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if self._browser is not None and self.state == self.STATE_OPEN:
            self.factory.front.spoke(self)
            self.factory.front.relay.received(self._browser, payload)

    def onFrameBegin(self) -> None:
        if self._may_go_on():
            super().onFrameBegin()
        else:
            self.drop()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted gives a default
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self.factory.front.gone(self)
        if self._browser is not None:
            self.factory.front.relay.closed(self._browser)
        super().connectionLost(reason)

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: object = None) -> None:
        """Refuse, without repeating to anybody what was said."""
        status = code if code in PHRASES else 400
        phrase = PHRASES[status]
        self.sendData(
            b"HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s\n"
            % (status, phrase, len(phrase) + 1, phrase)
        )
        self.dropConnection(abort=False)

    def say(self, payload: bytes) -> None:
        if self.state == self.STATE_OPEN:
            self.sendMessage(payload)  # type: ignore[no-untyped-call]  # untyped in autobahn

    def drop(self) -> None:
        self.dropConnection(abort=True)

    def leave(self) -> None:
        """Close it, with a word to a browser that listens."""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(GOING_AWAY)
        else:
            self.drop()

    def pauseProducing(self) -> None:
        """It does not read what it is sent, so nothing is read from it: nothing more is owed to it then.

        Nor is its pong, so that it is dropped when that goes on for too long.
        """
        self.congested = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self.congested = False
        self._read_on()

    def stopProducing(self) -> None:
        """The connection is being closed, which `connectionLost` will say."""

    @property
    def _settings(self) -> WebSocketSettings:
        return self.factory.front.settings

    def _now(self) -> float:
        return self.factory.reactor.seconds()

    def _may_go_on(self) -> bool:
        """Count a frame. Who sends too many is read from later; who has sent a burst beyond that, never."""
        self._earn()
        self._tokens -= 1
        if self._tokens < 0 and self._waiting is None:
            self.transport.pauseProducing()
            self._wait()
        return self._tokens > -self._settings.message_burst

    def _earn(self) -> None:
        settings, now = self._settings, self._now()
        earned = (now - self._counted_at) * settings.messages_per_second
        self._tokens = min(self._tokens + earned, settings.message_burst)
        self._counted_at = now

    def _wait(self) -> None:
        delay = -self._tokens / self._settings.messages_per_second
        self._waiting = self.factory.reactor.callLater(delay, self._waited)

    def _waited(self) -> None:
        self._waiting = None
        self._earn()
        if self._tokens < -FRACTION:  # more frames came with the one that was too many
            self._wait()
        else:
            self._read_on()

    def _read_on(self) -> None:
        if not self.congested and self._waiting is None:
            self.transport.resumeProducing()

    def _lines(self) -> list[bytes]:
        """What the lines of the proxies' header say. Autobahn would join them with those of other clients."""
        name = self._settings.proxy_header.lower().encode()
        lines = (line.partition(b":") for line in self.http_request_data.split(b"\r\n"))
        return [value.strip() for found, _, value in lines if found.strip().lower() == name]


def _denied(status: int) -> ConnectionDeny:
    return ConnectionDeny(status, "")  # type: ignore[no-untyped-call]  # untyped in autobahn


def _passkey(path: str) -> str | None:
    """What the path names beside "announce"; ConnectionDeny where it names more than that."""
    segments = [segment for segment in unquote(path).split("/") if segment]
    for place in (0, -1):
        if segments and segments[place] == "announce":
            del segments[place]
            break
    if len(segments) > 1:
        raise _denied(404)
    return segments[0] if segments else None
