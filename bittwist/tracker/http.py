"""An announce or a scrape over HTTP, from its query to its bencoded answer (BEP 3, 7, 23, 24, 31, 48).

Both ways in, tracker.resource and tracker.channel, answer with this: so they answer alike.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.announce.http import (
    decode_scrape_query,
    encode_announce_response,
    encode_compact_response,
    encode_failure,
    encode_scrape_response,
    read_announce,
    read_query,
)
from bittwist.announce.values import AnnounceRequest, AnnounceResponse
from bittwist.errors import TrackerFailure
from bittwist.metainfo.compact import unpack
from bittwist.tracker.interfaces import Arrival, Front, Reply
from bittwist.tracker.tracked import Tracked

OUR_FAULT = "the tracker had an error of its own; try again later"
OUR_FAULT_RETRY = 300.0  # seconds to stay away after an error of ours

_log = Logger()


class Answers:
    """The bodies of a tracker's answers. Nothing is raised: what goes wrong is an answer too."""

    def __init__(self, tracker: Tracked) -> None:
        self._tracker = tracker
        self._failures = 0

    def announce(self, query: bytes, host: str | None, passkey: str | None = None) -> bytes | Deferred[bytes]:
        """Answer an announce that came from `host`, folded; None where the front cannot see who asks."""
        tracker = self._tracker
        try:
            given = read_query(query)
            wanted = given.get(b"numwant", b"")
            if wanted[:1] == b"-" and wanted[1:].isdigit():  # "as you like", as in the UDP form (BEP 15)
                del given[b"numwant"]
            asked = read_announce(
                given, host=host, numwant=tracker.settings.numwant, most=tracker.settings.max_numwant
            )
            arrival = _arrival(host, passkey, given.get(b"jwt"))
        except TrackerFailure as unreadable:
            return self._unreadable(unreadable)
        try:
            if asked.ip is not None:
                asked = replace(asked, address=tracker.locate(arrival.host, asked, Front.HTTP))
            reply = tracker.announce(asked, arrival)
            if isinstance(reply, Deferred):
                return reply.addCallback(_encode, asked).addErrback(self._failed)
            return _encode(reply, asked)
        except Exception as error:  # told apart, logged and answered in _failed
            return self._failed(Failure(error))

    def scrape(self, query: bytes, host: str | None, passkey: str | None = None) -> bytes | Deferred[bytes]:
        """Answer a scrape, as `announce` does."""
        try:
            info_hashes = decode_scrape_query(query)
            arrival = _arrival(host, passkey, read_query(query).get(b"jwt"))
        except TrackerFailure as unreadable:
            return self._unreadable(unreadable)
        try:
            entries = self._tracker.scrape(info_hashes, arrival)
            if isinstance(entries, Deferred):
                return entries.addCallback(encode_scrape_response).addErrback(self._failed)
            return encode_scrape_response(entries)
        except Exception as error:  # told apart, logged and answered in _failed
            return self._failed(Failure(error))

    def _unreadable(self, failure: TrackerFailure) -> bytes:
        self._tracker.statistics.unreadable(Front.HTTP)
        return encode_failure(failure)

    def _failed(self, failure: Failure) -> bytes:
        """What the peer is told: the reason where it is its affair, else that it is ours."""
        error = failure.value
        if isinstance(error, TrackerFailure):
            return encode_failure(error)
        if not isinstance(error, CancelledError):  # who asked went away: nobody reads this
            self._failures += 1
            # Whoever finds a bug of ours could have it logged ever so often: 1st, 2nd, 4th, 8th ... time.
            if self._failures & (self._failures - 1) == 0:
                told = "an announce or scrape could not be answered (failure {count} of this front)"
                _log.failure(told, failure, count=self._failures)
        return encode_failure(TrackerFailure(OUR_FAULT, OUR_FAULT_RETRY))


def _arrival(host: str | None, passkey: str | None, token: bytes | None) -> Arrival:
    if host is None:
        raise TrackerFailure("the tracker cannot see your address: its front does not pass it on")
    return Arrival(Front.HTTP, host, passkey, token)


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
