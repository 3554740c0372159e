"""The tracker over HTTP, as a Klein resource (BEP 3, 48).

Importing this imports klein, which installs a reactor: only `Tracker.resource()` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest

from bittwist.address import Address
from bittwist.announce.http import (
    decode_announce_query,
    decode_scrape_query,
    encode_announce_response,
    encode_compact_response,
    encode_failure,
    encode_scrape_response,
)
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, ScrapeEntry
from bittwist.errors import TrackerFailure
from bittwist.metainfo.compact import unpack
from bittwist.tracker.interfaces import Arrival, Front, Reply

if TYPE_CHECKING:
    from klein._app import KleinRenderable

OUR_FAULT_RETRY = 300.0  # seconds to stay away after an error of ours

_log = Logger()


class Tracked(Protocol):
    """What the front needs of a tracker."""

    def locate(self, host: str, request: AnnounceRequest) -> Address: ...

    def announce(self, request: AnnounceRequest, arrival: Arrival) -> Reply | Deferred[Reply]: ...

    def scrape(
        self, info_hashes: tuple[bytes, ...], arrival: Arrival
    ) -> dict[bytes, ScrapeEntry] | Deferred[dict[bytes, ScrapeEntry]]: ...


class TrackerResource(KleinResource):
    """Mounted as a Site's root it answers /announce and /scrape; mounted as "announce" or "scrape", that."""

    def __init__(self, tracker: Tracked) -> None:
        super().__init__(_Routes(tracker).app)

    def render(self, request: IRequest) -> KleinRenderable:
        """What Klein would log a traceback for is refused here: to a public tracker it is daily bread."""
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"allow", b"GET, HEAD")
            return _plain(request, 405, b"GET only\n")
        try:
            b"/".join([*request.prepath, *request.postpath]).decode()
        except UnicodeDecodeError:
            return _plain(request, 404, b"not here\n")
        if not request.postpath:
            request.postpath = [b""]  # mounted by name: without this Klein redirects to name/
        # Klein builds URLs from the Host header and fails on odd ones. We send nobody to any URL.
        request.requestHeaders.setRawHeaders(b"host", [b"tracker"])
        return super().render(request)


class _Routes:
    """The three ways in, and what they have in common: failures are bencoded, and ours are logged."""

    app = Klein()
    app.url_map.merge_slashes = False  # else // is answered with a redirect

    def __init__(self, tracker: Tracked) -> None:
        self._tracker = tracker

    @app.route("/announce")
    def announce(self, request: IRequest) -> bytes | Deferred[bytes]:
        return self._reply(request, self._announce)

    @app.route("/scrape")
    def scrape(self, request: IRequest) -> bytes | Deferred[bytes]:
        return self._reply(request, self._scrape)

    @app.route("/")
    def mounted(self, request: IRequest) -> bytes | Deferred[bytes]:
        match [segment for segment in request.prepath if segment]:
            case [*_, b"announce"]:
                return self.announce(request)
            case [*_, b"scrape"]:
                return self.scrape(request)
            case _:
                return _plain(request, 404, b"A BitTorrent tracker: see /announce.\n")

    def _announce(self, request: IRequest) -> bytes | Deferred[bytes]:
        asked = decode_announce_query(_query(request))
        arrival = _arrival(request)
        asked = replace(asked, address=self._tracker.locate(arrival.host, asked))
        reply = self._tracker.announce(asked, arrival)
        if isinstance(reply, Deferred):
            return reply.addCallback(_encode, asked)
        return _encode(reply, asked)

    def _scrape(self, request: IRequest) -> bytes | Deferred[bytes]:
        entries = self._tracker.scrape(decode_scrape_query(_query(request)), _arrival(request))
        if isinstance(entries, Deferred):
            return entries.addCallback(encode_scrape_response)
        return encode_scrape_response(entries)

    def _reply(
        self, request: IRequest, answer: Callable[[IRequest], bytes | Deferred[bytes]]
    ) -> bytes | Deferred[bytes]:
        try:
            body = answer(request)
        except Exception as error:  # told apart, logged and answered in _failed
            return _plain(request, 200, _failed(Failure(error)))
        if isinstance(body, Deferred):
            return body.addErrback(_failed).addCallback(lambda later: _plain(request, 200, later))
        return _plain(request, 200, body)


def _failed(failure: Failure) -> bytes:
    """What the peer is told: the reason where it is its affair, else that it is ours."""
    if isinstance(failure.value, TrackerFailure):
        return encode_failure(failure.value)
    _log.failure("an announce or scrape could not be answered", failure)
    return encode_failure(
        TrackerFailure("the tracker had an error of its own; try again later", OUR_FAULT_RETRY)
    )


def _arrival(request: IRequest) -> Arrival:
    host = getattr(request.getClientAddress(), "host", None)
    if not isinstance(host, str):
        raise TrackerFailure("the tracker cannot see your address: its front does not pass it on")
    return Arrival(Front.HTTP, host)


def _encode(reply: Reply, asked: AnnounceRequest) -> bytes:
    swarm = reply.swarm
    response = AnnounceResponse(
        interval=reply.interval,
        min_interval=reply.min_interval,
        complete=swarm.complete,
        incomplete=swarm.incomplete,
        downloaded=swarm.downloaded,
        external_ip=reply.external_ip,
        warning=reply.warning,
        tracker_id=reply.tracker_id,
    )
    if asked.compact:
        return encode_compact_response(response, swarm.peers4, swarm.peers6)
    peers = (*unpack(swarm.peers4, 6), *unpack(swarm.peers6, 18))
    return encode_announce_response(replace(response, peers=peers, peer_ids=swarm.ids()), asked)


def _query(request: IRequest) -> bytes:
    _, _, query = request.uri.partition(b"?")
    return bytes(query)


def _plain(request: IRequest, status: int, body: bytes) -> bytes:
    # With the length, Klein's write is not chunked: some clients' HTTP is older than chunks.
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"text/plain")
    request.setHeader(b"content-length", str(len(body)).encode())
    return body
