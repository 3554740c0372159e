"""An announce or a scrape over HTTP, from its query to its bencoded answer (BEP 3, 7, 23, 24, 31, 48).

Both ways in, tracker.resource and tracker.channel, answer with this: so they answer alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.address import Address
from bittwist.announce.http import (
    decode_scrape_query,
    encode_announce_response,
    encode_compact_response,
    encode_failure,
    encode_scrape_response,
    read_announce,
    read_query,
)
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, ScrapeEntry
from bittwist.errors import TrackerFailure
from bittwist.metainfo.compact import unpack
from bittwist.tracker.interfaces import Arrival, Front, Reply

OUR_FAULT_RETRY = 300.0  # seconds to stay away after an error of ours

_log = Logger()


class Tracked(Protocol):
    """What the front needs of a tracker."""

    def locate(self, host: str, request: AnnounceRequest) -> Address: ...

    def announce(self, request: AnnounceRequest, arrival: Arrival) -> Reply | Deferred[Reply]: ...

    def scrape(
        self, info_hashes: Sequence[bytes], arrival: Arrival
    ) -> dict[bytes, ScrapeEntry] | Deferred[dict[bytes, ScrapeEntry]]: ...


class Answers:
    """The bodies of a tracker's answers. Nothing is raised: what goes wrong is an answer too."""

    def __init__(self, tracker: Tracked) -> None:
        self._tracker = tracker

    def announce(self, query: bytes, host: str | None, passkey: str | None = None) -> bytes | Deferred[bytes]:
        """Answer an announce that came from `host`; None where the front cannot see who asks."""
        try:
            given = read_query(query)
            asked = read_announce(given)
            arrival = _arrival(host, passkey, given.get(b"jwt"))
            asked = replace(asked, address=self._tracker.locate(arrival.host, asked))
            reply = self._tracker.announce(asked, arrival)
        except Exception as error:  # told apart, logged and answered in _failed
            return _failed(Failure(error))
        if isinstance(reply, Deferred):
            return reply.addCallback(_encode, asked).addErrback(_failed)
        return _encode(reply, asked)

    def scrape(self, query: bytes, host: str | None, passkey: str | None = None) -> bytes | Deferred[bytes]:
        """Answer a scrape, as `announce` does."""
        try:
            arrival = _arrival(host, passkey, read_query(query).get(b"jwt"))
            entries = self._tracker.scrape(decode_scrape_query(query), arrival)
        except Exception as error:  # told apart, logged and answered in _failed
            return _failed(Failure(error))
        if isinstance(entries, Deferred):
            return entries.addCallback(encode_scrape_response).addErrback(_failed)
        return encode_scrape_response(entries)


def _arrival(host: str | None, passkey: str | None, token: bytes | None) -> Arrival:
    if host is None:
        raise TrackerFailure("the tracker cannot see your address: its front does not pass it on")
    return Arrival(Front.HTTP, host, passkey, token)


def _failed(failure: Failure) -> bytes:
    """What the peer is told: the reason where it is its affair, else that it is ours."""
    if isinstance(failure.value, TrackerFailure):
        return encode_failure(failure.value)
    if not isinstance(failure.value, CancelledError):  # who asked went away: nobody reads this
        _log.failure("an announce or scrape could not be answered", failure)
    return encode_failure(
        TrackerFailure("the tracker had an error of its own; try again later", OUR_FAULT_RETRY)
    )


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
