"""Plain GETs answered from their bytes, without a Request; all else is HTTP as Twisted speaks it.

Most of what a small answer costs is general HTTP, and the making and closing of a connection for it. Here a
request of one packet that says nothing unusual is offered to a function first; at the accept if its bytes
are there already, and then its connection meets no reactor. Whatever is not so plain takes the usual way,
with all its bytes; the answers are the same.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, IReactorFDSet, ITransport
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.net.channel import DeadlineChannel, bound_unread, has_unsent

if TYPE_CHECKING:
    from bittwist.net.site import SiteFront

Quick: TypeAlias = Callable[[bytes, str], "bytes | Deferred[bytes] | None"]
"""The body of the text/plain reply to a GET of this target (path and query, as sent) from this host; or None,
before anything has been done, where the resource shall answer."""

MAX_HEAD = 2000  # bytes; so that Twisted's limit of 500 headers needs no counting
MAX_EARLY = 16 << 10  # bytes that may come while we are asking: thirty further requests
BACKLOG = 1024  # connections the system holds until they are accepted; Twisted asks for 50, less than a burst

_LINE = re.compile(rb"GET (/[!-\xb0]*) HTTP/(1\.[01])")
_FIELDS = re.compile(rb"(?:[-!#$%&'*+.^_`|~0-9A-Za-z]+:[^\0\r\n]*\r\n)*\r\n")
_CONNECTION = re.compile(rb"(?:^|\n)connection:[ \t]*([^\r]*?)[ \t]*\r")
_UNUSUAL = (b"content-length:", b"transfer-encoding:", b"expect:")

_DONE = Failure(ConnectionDone())
_ANSWERED = object()  # in place of a transport, for a connection that was answered at the accept
_log = Logger()


class Plain(NamedTuple):
    """A plain GET: its target, HTTP version and header lines, and whether it is the connection's last."""

    target: bytes
    version: bytes
    fields: bytes
    is_last: bool

    def reply(self, body: bytes) -> bytes:
        """As a Request writes it (for HTTP/1.0 Twisted closes without saying so)."""
        return b"HTTP/%b 200 OK\r\n%bContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (
            self.version,
            b"Connection: close\r\n" if self.is_last and self.version == b"1.1" else b"",
            len(body),
            body,
        )

    def values(self, name: bytes) -> list[bytes]:
        """What the header lines of this name (in small letters) say."""
        pairs = (line.partition(b":") for line in self.fields.split(b"\r\n"))
        return [value.strip(b" \t") for field, _, value in pairs if field.lower() == name]


def read_plain(data: bytes) -> Plain | None:
    """The one whole plain GET that these bytes are; None where they are anything else."""
    if len(data) > MAX_HEAD:
        return None
    line, _, fields = data.partition(b"\r\n")
    plain = _LINE.fullmatch(line)
    closes = _closes(fields)
    if plain is None or closes is None:
        return None
    target, version = plain.groups()
    return Plain(target, version, fields, closes or version == b"1.0")


@lru_cache(maxsize=1024)  # clients of one kind send the same lines
def _closes(fields: bytes) -> bool | None:
    """Whether these header lines (to their end) ask to close; None where they say more than that."""
    if _FIELDS.fullmatch(fields) is None:
        return None
    lower = fields.lower()
    if any(name in lower for name in _UNUSUAL):
        return None
    match _CONNECTION.findall(lower):
        case [] | [b"keep-alive"]:
            return False
        case [b"close"]:
            return True
        case _:
            return None


class QuickChannel(DeadlineChannel):
    """Its requests are offered to the site's `quick`; from the first one declined on it is Twisted's."""

    def __init__(self, site: SiteFront, host: str | None) -> None:
        super().__init__(site, host)
        self._is_proxied = site.is_proxy(host)
        self._is_general = False
        self._at_first: Callable[[], None] | None = None  # what the accept left to do
        self._asking: Deferred[bytes] | None = None
        self._early = b""  # came while we were asking

    def answered(self, connection: socket.socket) -> bool:
        """Read, answer and close a connection just accepted; False where that takes more."""
        try:
            data = connection.recv(MAX_HEAD + 1, socket.MSG_DONTWAIT)
        except OSError:  # nothing is there yet; or the client is gone, which the transport finds out
            return False
        plain = read_plain(data)
        body = self._offer(plain) if plain is not None and plain.is_last else None
        if plain is None or body is None:
            self._at_first = partial(self.dataReceived, data)
            return False
        if isinstance(body, Deferred):
            self._at_first = partial(self._ask, plain, body)
            return False
        reply = plain.reply(body)
        try:
            sent = connection.send(reply, socket.MSG_DONTWAIT)
        except OSError:
            sent = 0
        if sent < len(reply):
            self._at_first = partial(self._say, reply[sent:], True)
            return False
        connection.close()
        self.site.gone(self._host)
        return True

    def makeConnection(self, transport: ITransport) -> None:
        if transport is _ANSWERED:
            return
        super().makeConnection(transport)  # type: ignore[no-untyped-call]  # untyped in Twisted
        if self._at_first is not None:
            at_first, self._at_first = self._at_first, None
            at_first()
        elif type(transport) is tcp.Server and transport.server.transport is tcp.Server:
            _hurry(transport.server, self.site)

    def begin_http(self) -> None:
        """Not before something is unusual."""

    def dataReceived(self, data: bytes) -> None:
        if self._is_general or self._refused:
            super().dataReceived(data)
        elif self._asking is not None:
            self._early += data
            if len(self._early) > MAX_EARLY:
                self.too_late()
        else:
            plain = None if has_unsent(self.transport) else read_plain(data)
            body = None if plain is None else self._offer(plain)
            if plain is None or body is None:
                self._be_general()
                super().dataReceived(data)
            elif isinstance(body, Deferred):
                self._ask(plain, body)
            else:
                self._say(plain.reply(body), plain.is_last)

    def loseConnection(self) -> None:
        self._be_general()
        super().loseConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted gives a default
        super().connectionLost(reason)
        if self._asking is not None:
            self._asking.cancel()

    def _offer(self, plain: Plain) -> bytes | Deferred[bytes] | None:
        site, host = self.site, self._host
        if self._is_proxied:
            host = site.client_host(host, plain.values(site.proxy_header))
        if site.quick is None or host is None:
            return None
        try:
            return site.quick(plain.target, host)
        except Exception:  # a bug: the resource may do better, and answers for it if not
            _log.failure("a quick answer failed")
            return None

    def _ask(self, plain: Plain, body: Deferred[bytes]) -> None:
        self._expect(None)  # it waits for us now
        self._asking = body  # before the callback: where it has fired already, that has the last word
        told = body.addCallback(self._told, plain)
        told.addErrback(lambda failure: _log.failure("a quick answer failed", failure))

    def _told(self, body: bytes, plain: Plain) -> None:
        self._asking = None
        if self._refused:
            return
        self._say(plain.reply(body), plain.is_last)
        if self._early and not self._refused:
            early, self._early = self._early, b""
            self.dataReceived(early)

    def _say(self, reply: bytes, is_last: bool) -> None:
        transport = self.transport
        if type(transport) is tcp.Server:
            # At once, and closed at once: through the reactor each would cost another turn of it.
            try:
                sent = transport.socket.send(reply)
            except OSError:
                sent = 0
            if sent == len(reply):
                if is_last:
                    transport.connectionLost(_DONE)
                else:
                    self._expect(self.site.idle)
                return
            reply = reply[sent:]
        transport.write(reply)
        if is_last:
            self.loseConnection()
        else:
            self._expect(self.site.replies if has_unsent(transport) else self.site.idle)

    def _be_general(self) -> None:
        if not self._is_general:
            self._is_general = True
            super().begin_http()


def _hurry(port: tcp.Port, site: SiteFront) -> None:
    """From the port's first connection on: try to answer at the accept."""
    port.transport = _accepted  # type: ignore[assignment]  # called as the class would be
    port.socket.listen(BACKLOG)
    bound_unread(port.socket, site.settings.response_deadline)


def _accepted(
    connection: socket.socket,
    protocol: IProtocol,
    client: tuple[object, ...],
    port: tcp.Port,
    number: int,
    reactor: IReactorFDSet,
) -> object:
    if isinstance(protocol, QuickChannel) and protocol.answered(connection):
        return _ANSWERED
    return tcp.Server(connection, protocol, client, port, number, reactor)
