"""An HTTP connection whose client must get to the end of what it says, and take the answer, in time."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from twisted.internet import tcp
from twisted.internet.interfaces import ITCPTransport
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from bittwist.net.deadlines import Deadlines

# Bytes read in one turn, and unsent ones at which we hear no more, instead of Twisted's 64 KiB: who sends one
# request behind the other shall hold up nobody for more than a few of them.
AT_ONCE = 8 << 10
TCP_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux

if TYPE_CHECKING:
    from bittwist.net.site import SiteFront

TOO_LARGE = b"413 Content Too Large"


class DeadlineChannel(HTTPChannel):
    """Twisted's HTTP connection, within the bounds of its site.

    It is waited for in at most one of the site's queues: for its head, its body, or what comes next; or
    until it has taken what was answered. While we are at work for it, in none.
    """

    transport: ITCPTransport

    def __init__(self, site: SiteFront, host: str | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self.site = self.factory = site
        self.timeOut = None
        self._host = host
        self._awaited: Deadlines[DeadlineChannel] | None = None
        self._body: int | None = None  # bytes of a body received so far; None where none is under way
        self._refused = False  # we hear no more of it

    def connectionMade(self) -> None:
        if type(self.transport) is tcp.Server:
            self.transport.bufferSize = AT_ONCE
        self._expect(self.site.heads)
        self.begin_http()

    def begin_http(self) -> None:
        """Let Twisted have the connection."""
        if type(self.transport) is tcp.Server:
            bound_unread(self.transport.socket, self.site.settings.response_deadline)
        super().connectionMade()  # type: ignore[no-untyped-call]  # untyped in Twisted

    def dataReceived(self, data: bytes) -> None:
        if self._refused:
            return
        if self._awaited in (self.site.idle, self.site.replies):  # the first bytes of a further request
            self._expect(self.site.heads)
        super().dataReceived(data)  # type: ignore[no-untyped-call]  # untyped in Twisted

    def allHeadersReceived(self) -> None:
        self._expect(None)
        refusal = self.site.refusal(self.requests[-1], self._command, self._path, self.length)
        if refusal is not None:
            self._refuse(refusal)
            return
        super().allHeadersReceived()  # type: ignore[no-untyped-call]  # untyped in Twisted
        if self.length != 0:
            self._body = 0
            self._expect(self.site.bodies)

    def rawDataReceived(self, data: bytes) -> None:
        if self._body is not None:
            # Counted with the chunks' own framing, which a client can make as long as it likes.
            self._body += len(data)
            if self.length is None and self._body > self.site.settings.max_body:
                self._refuse(TOO_LARGE)
        if not self._refused:
            super().rawDataReceived(data)

    def allContentReceived(self) -> None:
        self._body = None
        self._expect(None)
        super().allContentReceived()  # type: ignore[no-untyped-call]  # untyped in Twisted

    def requestDone(self, request: object) -> None:
        if self.persistent:  # first, as the next request may be here already
            self._expect(self.site.replies if has_unsent(self.transport) else self.site.idle)
        if self._waitingForTransport:
            # Else who takes no answers could go on asking: Twisted forgets this where answers come at once.
            self._networkProducer.pauseProducing()
        super().requestDone(request)  # type: ignore[no-untyped-call]  # untyped in Twisted

    def pauseProducing(self) -> None:
        """The client does not take what is answered."""
        self._expect(self.site.replies)
        super().pauseProducing()  # type: ignore[no-untyped-call]  # untyped in Twisted

    def resumeProducing(self) -> None:
        """It has taken all of it."""
        super().resumeProducing()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self._expect(None if self._handlingRequest else self.site.idle)

    def loseConnection(self) -> None:
        """Close once all is sent, for which there is a deadline too."""
        self._expect(self.site.replies)
        self._refused = True
        super().loseConnection()  # type: ignore[no-untyped-call]  # untyped in Twisted

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted gives a default
        self._leave()
        self.site.gone(self._host)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # untyped in Twisted

    def taken_or_too_late(self) -> None:
        """The time to take what was answered is over. If it has, it is idle: that comes without a word."""
        if self._refused or self._waitingForTransport or has_unsent(self.transport):
            self.too_late()
        else:
            self._expect(self.site.idle)

    def too_late(self) -> None:
        """Its time is over, or somebody else needs its place."""
        self._leave()
        self.transport.abortConnection()

    def idle_too_long(self) -> None:
        """It had nothing more to say."""
        self.loseConnection()

    def _expect(self, queue: Deadlines[DeadlineChannel] | None) -> None:
        if self._refused or self._waitingForTransport:
            return  # it stays where it is until it is gone, or has taken what it was told
        if self._awaited is not None and self._awaited is not queue:
            self._awaited.end(self)
        self._awaited = queue
        if queue is not None:
            queue.begin(self)

    def _leave(self) -> None:
        self._refused = True
        if self._awaited is not None:
            self._awaited.end(self)
            self._awaited = None

    def _refuse(self, status: bytes) -> None:
        self.transport.write(b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % status)
        self.loseConnection()


def bound_unread(connection: socket.socket, seconds: float) -> None:
    """Let the system, too, give up on who does not take what it keeps for it: there it is up to 4 MiB.

    On a listening socket this holds for all that come in by it.
    """
    if TCP_USER_TIMEOUT is not None:
        connection.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, int(seconds * 1000))


def has_unsent(transport: object) -> bool:
    """Whether bytes that were written wait for the client to take others."""
    return isinstance(transport, tcp.Connection) and bool(transport.dataBuffer or transport._tempDataBuffer)
