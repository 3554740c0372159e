"""One tracker over HTTP (BEP 3, 7, 23, 24, 31, 48)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

from twisted.internet.defer import Deferred

from bittwist.announce.http import (
    decode_announce_response,
    decode_scrape_response,
    encode_announce_url,
    scrape_url,
)
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, ScrapeEntry
from bittwist.errors import BitTwistError, FetchError, RemoteProtocolError, TrackerFailure
from bittwist.net.http import HttpClient, HttpResponse, Purpose

_Answer = TypeVar("_Answer")

MAX_ANSWER = 1 << 20  # bytes; 200 peers take 4 KB, the most talkative tracker some 100 KB
DEADLINE = 30.0  # seconds for a whole announce or scrape

_GONE = 410  # "misdirected clients, go away for good": honoured as BEP 31's "never"
_OURS = frozenset(
    {
        *("info_hash", "peer_id", "port", "uploaded", "downloaded", "left", "event"),
        *("numwant", "compact", "no_peer_id", "ip", "key", "trackerid"),
    }
)


class HttpTracker:
    """A TrackerClient for `http:` and `https:` URLs; remembers the tracker id it is given."""

    def __init__(
        self, http_client: HttpClient, url: str, *, deadline: float = DEADLINE, family: int | None = None
    ) -> None:
        """TrackerFailure, never to be tried again, for a URL that is not a tracker's.

        With a `family` (4 or 6) it is asked over that one only.
        """
        _check(url)
        self.url = url
        self._shown = url.partition("?")[0].rpartition("@")[2]  # without passkey and password
        self._http = http_client
        self._deadline = deadline
        self._family = family
        self._tracker_id: bytes | None = None

    def announce(self, request: AnnounceRequest) -> Deferred[AnnounceResponse]:
        """Announce; errors are those of TrackerClient."""
        return Deferred.fromCoroutine(self._announce(request))

    async def _announce(self, request: AnnounceRequest) -> AnnounceResponse:
        if self._tracker_id is not None and request.tracker_id is None:
            request = replace(request, tracker_id=self._tracker_id)
        answer = await self._ask(encode_announce_url(self.url, request), decode_announce_response)
        self._tracker_id = answer.tracker_id or self._tracker_id
        return answer

    def scrape(self, info_hashes: Sequence[bytes]) -> Deferred[dict[bytes, ScrapeEntry]]:
        """The swarms' sizes; TrackerFailure where the tracker's URL allows no scrape (BEP 48)."""
        return Deferred.fromCoroutine(self._scrape(info_hashes))

    async def _scrape(self, info_hashes: Sequence[bytes]) -> dict[bytes, ScrapeEntry]:
        url = scrape_url(self.url, info_hashes)
        if url is None:
            raise TrackerFailure("this tracker's URL does not tell where to scrape")
        return await self._ask(url, decode_scrape_response)

    async def _ask(self, url: str, decode: Callable[[bytes], _Answer]) -> _Answer:
        try:
            response = await self._http.get(
                url,
                purpose=Purpose.TRACKER,
                limit=MAX_ANSWER,
                deadline=self._deadline,
                any_status=True,
                family=self._family,
            )
        except FetchError as problem:
            raise FetchError(self._shown, problem.reason, problem.status) from problem
        if response.status == _GONE:
            raise TrackerFailure("the tracker is gone for good (HTTP status 410)", math.inf)
        if 200 <= response.status < 300:
            return decode(response.body)
        raise self._refused(response, decode)

    def _refused(self, response: HttpResponse, decode: Callable[[bytes], object]) -> BitTwistError:
        """Why an answer with an error status is none: the tracker's own words where the body has them."""
        try:
            decode(response.body)
        except TrackerFailure as failure:
            return failure
        except RemoteProtocolError:
            pass  # most often a page of HTML: the status says more
        return FetchError(self._shown, f"HTTP status {response.status}", response.status)


def http_trackers(http_client: HttpClient) -> Callable[[str], HttpTracker]:
    """What an Announcer makes its clients with."""
    return lambda url: HttpTracker(http_client, url)


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError as problem:
        raise TrackerFailure(f"not a tracker's URL: {problem}", math.inf) from problem
    if parts.scheme not in ("http", "https"):
        raise TrackerFailure(f"trackers are not asked over {parts.scheme or 'no protocol at all'}", math.inf)
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if name.lower() in _OURS:  # it would speak in our name
            raise TrackerFailure(f"the tracker's URL says {name} itself", math.inf)
