"""What a source of peers promises, and what the announcer asks of a tracker client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from bittwist.announce.values import AnnounceRequest, AnnounceResponse, ScrapeEntry


class IPeerSource(Interface):
    """Finds peers of one torrent and hands them to a callable it was constructed with.

    The callable gets a sequence of `Address` and `name`; it is never called from inside a call to the source,
    nor before `start`, nor after `stop` was called.
    """

    name = Attribute("the word that peers found here carry, such as `tracker`")

    def start() -> None:
        """Begin to look for peers."""

    def completed() -> None:
        """The torrent has just become complete."""

    def stop() -> Deferred[None]:
        """Take leave; fires, never with a failure, when nothing is under way. May start again then."""


class TrackerClient(Protocol):
    """Speaks with one tracker over one protocol.

    Deferreds fail with TrackerFailure where the tracker says no, with NetworkError or RemoteProtocolError
    where it does not get that far; they end by themselves within a minute, and at once when cancelled.
    """

    def announce(self, request: AnnounceRequest) -> Deferred[AnnounceResponse]: ...

    def scrape(self, info_hashes: Sequence[bytes]) -> Deferred[dict[bytes, ScrapeEntry]]: ...
