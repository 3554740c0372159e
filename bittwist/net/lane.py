"""Byte ranges from web servers, one after the other over a connection that is kept (RFC 9110, section 14).

The way of `http` is for small answers; here the body goes on as it comes, however long it is, so there is a
deadline not for the whole but for going on. Addresses are checked, and redirects followed, as there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from treq.content import collect
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import HTTPConnectionPool, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer

from bittwist.errors import FetchError, NetworkError, RangeRefused
from bittwist.net.http import MAX_HOPS, REDIRECTS, HttpClient, Purpose, headers_of, why_failed
from bittwist.net.inflate import BadBody, Body
from bittwist.net.line import Heard, Line
from bittwist.net.ranges import Wanted, judge
from bittwist.net.urls import Reach, Url, address_refusal, url_refusal

LOOK_EVERY = 30.0  # seconds, in each of which a fetch has to go on by
LEAST = 16 << 10  # bytes; slower is no help to a download
KEPT_FOR = 30  # seconds that an idle connection is kept; servers keep theirs about a minute
MAX_LINES = 8  # kept connections of one lane: its server's, and those it redirects to
MAX_WAYS = 4096  # redirects remembered for one server, the oldest forgotten first
MAX_EXCUSE = 4 << 10  # bytes read of an answer that is not the range, so that its connection can be kept


@dataclass(frozen=True, slots=True)
class Way:
    """Where a URL has led: what is known at that hop decides which addresses may be connected to."""

    home: Url
    url: Url
    hop: int = 0
    was_global: bool = False


class Ways:
    """The redirects that one server's URLs have led through; shared by its lanes."""

    def __init__(self) -> None:
        self._known: dict[str, Way] = {}

    def known(self, url: str) -> Way | None:
        return self._known.get(url)

    def remember(self, url: str, way: Way) -> None:
        self._known[url] = way
        if len(self._known) > MAX_WAYS:
            del self._known[next(iter(self._known))]

    def forget(self, url: str) -> None:
        self._known.pop(url, None)


@implementer(IPushProducer)
class RangeLane:
    """Fetches one range at a time. Owns its connections: at most one to each server it is sent to.

    `heard` is told of all bytes that come over the wire, heads and TLS included.
    """

    def __init__(self, client: HttpClient, ways: Ways, heard: Heard | None = None) -> None:
        self._means = client.means
        self._ways = ways
        self._heard = heard
        self._pool = HTTPConnectionPool(self._means.reactor)
        self._pool.maxPersistentPerHost = 1
        self._pool.cachedConnectionTimeout = KEPT_FOR
        self._lines: dict[tuple[str, str, int], Line] = {}  # the connection kept to each origin
        self._line: Line | None = None  # being dialed or asked
        self._held = False
        self._rushed = True  # has not been held in the time looked at
        self._came = 0  # bytes of bodies in the time looked at
        self._looking: IDelayedCall | None = None

    def fetch(self, wanted: Wanted, sink: Callable[[bytes], None]) -> Deferred[None]:
        """Give these bytes to `sink`, in order, as they come; fires after the last of them.

        FetchError where not all came: `sink` has those that did. RangeRefused where it is of no use to ask
        again. Cancelling closes the connection, and fails with CancelledError.
        """
        return Deferred.fromCoroutine(self._fetch(wanted, sink))

    def close(self) -> None:
        """Close what is kept; a fetch under way is to be cancelled."""
        self._pool.cachedConnectionTimeout = 0  # of one whose last bytes are just being delivered
        self._pool.closeCachedConnections()
        for line in self._lines.values():
            line.cut()
        self._lines.clear()

    # IPushProducer

    def pauseProducing(self) -> None:
        self._hold(True)

    def resumeProducing(self) -> None:
        self._hold(False)

    def stopProducing(self) -> None:
        self.close()

    def _hold(self, held: bool) -> None:
        self._held = held
        self._rushed = self._rushed and not held
        for line in (*self._lines.values(), *([self._line] if self._line else [])):
            line.hold(held)

    # One fetch

    async def _fetch(self, wanted: Wanted, sink: Callable[[bytes], None]) -> None:
        try:
            way = self._ways.known(wanted.url)
            if way is not None:
                came = self._came_through(sink)
                try:
                    return await self._follow(way, wanted, came)
                except FetchError:
                    if came.size:
                        raise
                    self._ways.forget(wanted.url)  # it may have been for a while only
            await self._follow(self._begin(wanted.url), wanted, self._came_through(sink))
        finally:
            self._line = None
            self._look_no_more()

    def _begin(self, text: str) -> Way:
        try:
            url = Url.parse(text)
        except ValueError as problem:
            raise RangeRefused(text[:200].rpartition("@")[2], str(problem)) from problem
        return Way(url, url)

    async def _follow(self, way: Way, wanted: Wanted, sink: _Sink) -> None:
        seen: set[str] = set()
        while True:
            if str(way.url) in seen:
                raise FetchError(str(way.url), "the redirects run in a circle")
            seen.add(str(way.url))
            response, line = await self._ask(way, wanted)
            way = replace(way, was_global=way.was_global or line.reached is Reach.GLOBAL)
            headers = headers_of(response)
            location = headers.get("location")
            if response.code not in REDIRECTS or location is None:
                break
            await self._excuse(response, line)
            if way.hop >= MAX_HOPS:
                raise FetchError(str(way.url), f"more than {MAX_HOPS} redirects")
            try:
                way = replace(way, url=way.url.join(location), hop=way.hop + 1)
            except ValueError as problem:
                raise RangeRefused(str(way.url), f"redirected to what is not fetched: {problem}") from problem
        try:
            length = None if response.length is UNKNOWN_LENGTH else int(response.length)
            judge(str(way.url), response.code, headers, length, wanted)
        except FetchError as error:
            text = await self._excuse(response, line)
            if error.retry_in is None and wanted.size is None and text.strip().isdigit():
                error.retry_in = float(text.strip()[:9])  # BEP 17 has it in the body
            raise
        if way.hop and wanted.size is not None:
            self._ways.remember(wanted.url, way)
        await self._read(way, wanted, response, line, sink)

    async def _ask(self, way: Way, wanted: Wanted) -> tuple[IResponse, Line]:
        """Send one request, over the connection that is kept or a new one; which of them answered."""
        url = way.url
        refusal = url_refusal(url, Purpose.WEB_SEED)
        if refusal is not None:
            raise RangeRefused(str(url), refusal)

        def permit(host: str) -> str | None:
            return address_refusal(host, url, Purpose.WEB_SEED, hop=way.hop, was_global=way.was_global)

        kept = self._lines.get(url.origin)
        if kept is not None and kept.host is not None:
            refusal = permit(kept.host)
            if refusal is not None:
                raise FetchError(str(url), refusal)
            kept.asked()
        line = self._line = self._means.line(url, permit, self._heard)
        line.hold(self._held)
        more = {"Range": wanted.range} if wanted.size is not None else {}
        head = self._means.headers(url, way.home, "identity", more)
        asking = self._means.agent(line, self._pool).request(b"GET", str(url).encode("ascii"), head)
        self._look(asking.cancel)
        try:
            response = await asking
        except (NetworkError, ResponseFailed, CancelledError) as problem:
            self._drop(url, line)
            if self._looking is None:
                raise FetchError(str(url), f"no answer within {LOOK_EVERY:g} s") from problem
            if _was_cancelled(problem):
                raise CancelledError from problem
            assert not isinstance(problem, CancelledError)
            reason = problem.reason if isinstance(problem, NetworkError) else why_failed(problem)
            raise FetchError(str(url), line.complaint or reason) from problem
        if line.reached is None and kept is not None:
            line = kept
        else:
            self._keep(url, line)
        self._line = None
        line.answered()
        return response, line

    async def _read(self, way: Way, wanted: Wanted, response: IResponse, line: Line, sink: _Sink) -> None:
        """The body, to its end."""
        body = _Stream(wanted.length, sink)
        self._look(lambda: line.cut(f"it goes on by less than {LEAST} bytes in {LOOK_EVERY:g} s"))
        response.deliverBody(body)
        try:
            await body.over
        except (ResponseFailed, PotentialDataLoss) as problem:
            reason = (
                why_failed(problem) if isinstance(problem, ResponseFailed) else "the connection was closed"
            )
            self._drop(way.url, line)
            raise FetchError(str(way.url), line.complaint or reason) from problem
        except _Wrong as problem:
            self._drop(way.url, line)
            raise RangeRefused(str(way.url), str(problem)) from problem
        except BaseException:
            self._drop(way.url, line)
            raise

    async def _excuse(self, response: IResponse, line: Line) -> bytes:
        """What an answer says that is not the range; where that is long, its connection is not kept."""
        body = Body("identity", MAX_EXCUSE)
        self._look(line.cut)
        try:
            await collect(response, body.add)
            return body.finish()
        except (BadBody, ResponseFailed):
            line.cut()
            return b""

    # The connections

    def _keep(self, url: Url, line: Line) -> None:
        old = self._lines.pop(url.origin, None)
        if old is not None:
            old.cut()
        self._lines[url.origin] = line
        if len(self._lines) > MAX_LINES:
            self._lines.pop(next(iter(self._lines))).cut()

    def _drop(self, url: Url, line: Line) -> None:
        line.cut()
        kept = self._lines.pop(url.origin, None)
        if kept is not None:
            kept.cut()

    # Going on

    def _came_through(self, sink: Callable[[bytes], None]) -> _Sink:
        return _Sink(sink, self._goes_on)

    def _goes_on(self, size: int) -> None:
        self._came += size

    def _look(self, too_slow: Callable[[], object]) -> None:
        """Call that as soon as LOOK_EVERY seconds have brought less than LEAST bytes, and we did read."""
        self._look_no_more()
        self._came = 0
        self._rushed = not self._held
        self._looking = self._means.reactor.callLater(LOOK_EVERY, self._looked, too_slow)

    def _looked(self, too_slow: Callable[[], object]) -> None:
        self._looking = None
        if self._rushed and self._came < LEAST:
            too_slow()
        else:
            self._look(too_slow)

    def _look_no_more(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None


class _Sink:
    """Counts what goes on to the one who asked."""

    def __init__(self, sink: Callable[[bytes], None], goes_on: Callable[[int], None]) -> None:
        self._sink = sink
        self._goes_on = goes_on
        self.size = 0

    def __call__(self, data: bytes) -> None:
        self.size += len(data)
        self._goes_on(len(data))
        self._sink(data)


class _Wrong(Exception):
    """The body is not as long as its head said or as was asked for."""


class _Stream(Protocol):
    """A body of `length` bytes."""

    def __init__(self, length: int, sink: _Sink) -> None:
        self._left = length
        self._sink = sink
        self._is_over = False
        self.over: Deferred[None] = Deferred(self._cancelled)

    def _cancelled(self, _over: Deferred[None]) -> None:
        self._is_over = True

    def dataReceived(self, data: bytes) -> None:
        if self._is_over:
            return
        if len(data) > self._left:
            self._end(Failure(_Wrong("more bytes came than were asked for")))
            return
        self._left -= len(data)
        try:
            self._sink(data)
        except Exception:  # a bug of ours, to be told to who asked: the HTTP protocol would hide it
            self._end(Failure())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._left and reason.check(ResponseDone, PotentialDataLoss):
            self._end(None)
        elif reason.check(ResponseDone):
            self._end(Failure(_Wrong(f"{self._left} bytes less came than were asked for")))
        else:
            self._end(reason)

    def _end(self, result: Failure | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        if result is None:
            self.over.callback(None)
        else:
            self.over.errback(result)


def _was_cancelled(problem: BaseException) -> bool:
    """Whether we gave it up ourselves, while dialing or waiting for the answer."""
    if isinstance(problem, ResponseFailed):
        return any(failure.check(CancelledError) for failure in problem.reasons)
    return isinstance(problem, CancelledError) or isinstance(
        problem.__cause__, (CancelledError, ConnectingCancelledError)
    )
