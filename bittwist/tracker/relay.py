"""What a tracker does with the messages of browsers: announces are answered, offers and answers handed on.

An offer goes to one other peer of the swarm, and only who was handed it can answer it, once. So a peer hears
of nobody whom it did not make an offer to, and nobody can speak in another's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.address import Address
from bittwist.announce.fields import MessageFailure, Offer
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, Event, ScrapeEntry
from bittwist.announce.websocket import Announce, Answer, Scrape, decode_message
from bittwist.announce.websocket_reply import (
    Announced,
    AnswerFrom,
    OfferFrom,
    Refused,
    ReplyMessage,
    Scraped,
    encode_reply,
)
from bittwist.errors import TrackerFailure
from bittwist.tracker.browsers import Browsers, Member
from bittwist.tracker.http import OUR_FAULT_RETRY
from bittwist.tracker.interfaces import Arrival, Front, Reply
from bittwist.tracker.settings import TrackerSettings
from bittwist.tracker.statistics import Statistics
from bittwist.tracker.websocket_settings import WebSocketSettings

MAX_UNANSWERED = 64  # offers a browser may leave unanswered; of more the oldest are forgotten
MAX_UNREADABLE = 16  # messages that are none, after which a connection ends

_log = Logger()


class Line(Protocol):
    """A connection to a browser, as its front has it."""

    @property
    def congested(self) -> bool:
        """Has it more to read than it reads? Then offers and answers are kept from it."""

    def say(self, payload: bytes) -> None:
        """Send a message; nothing happens when it is closed."""

    def drop(self) -> None:
        """Close it at once."""


class Tracked(Protocol):
    """What the relay needs of a tracker."""

    settings: TrackerSettings
    statistics: Statistics
    browsers: Browsers

    def swarm(self, info_hash: bytes) -> bytes: ...

    def locate(self, host: str, request: AnnounceRequest, front: Front) -> Address: ...

    def announce(self, request: AnnounceRequest, arrival: Arrival) -> Reply | Deferred[Reply]: ...

    def scrape(
        self, info_hashes: Sequence[bytes], arrival: Arrival
    ) -> dict[bytes, ScrapeEntry] | Deferred[dict[bytes, ScrapeEntry]]: ...


class Browser:
    """Who is at the other end of a connection, and what it was handed and has not answered yet."""

    def __init__(self, line: Line, host: str, passkey: str | None, token: bytes | None) -> None:
        self.line = line
        self.host = host
        self.passkey = passkey
        self.token = token
        self.unreadable = 0
        self.unanswered: dict[tuple[bytes, bytes, bytes], Member] = {}  # by swarm, peer id and offer id
        self.names: dict[tuple[bytes, bytes], bytes] = {}  # the hashes it says, where the swarm has another

    def say(self, message: ReplyMessage) -> None:
        self.line.say(encode_reply(message))

    def name(self, member: Member) -> bytes:
        """The info hash by which this browser knows the swarm of its `member`."""
        return self.names.get((member.info_hash, member.peer_id), member.info_hash)

    def handed(self, maker: Member, offer: Offer) -> None:
        """It was told of this offer, and may answer."""
        self.unanswered[maker.info_hash, maker.peer_id, offer.offer_id] = maker
        if len(self.unanswered) > MAX_UNANSWERED:
            del self.unanswered[next(iter(self.unanswered))]


class Relay:
    """Answers browsers out of a tracker, and hands their offers and answers to each other."""

    def __init__(self, tracker: Tracked, settings: WebSocketSettings) -> None:
        self._tracker = tracker
        self.apply(settings)

    def apply(self, settings: WebSocketSettings) -> None:
        """From now on, these settings."""
        self.settings = settings
        self._tracker.browsers.limit = settings.max_peers

    def opened(self, browser: Browser) -> None:
        self._tracker.browsers.opened(browser)

    def closed(self, browser: Browser) -> None:
        self._tracker.browsers.closed(browser)
        browser.unanswered.clear()

    def received(self, browser: Browser, payload: bytes) -> None:
        """A browser said something. Nothing is raised: what goes wrong it is told, or it is dropped."""
        try:
            message = decode_message(payload)
        except MessageFailure as failure:
            self._tracker.statistics.unreadable(Front.WEBSOCKET)
            browser.unreadable += 1
            if browser.unreadable > MAX_UNREADABLE:
                browser.line.drop()
                return
            browser.say(Refused(failure.reason, None, failure.action, failure.info_hash))
            return
        match message:
            case Announce():
                self._announce(browser, message)
            case Answer():
                self._answer(browser, message)
            case Scrape():
                self._scrape(browser, message)

    def _announce(self, browser: Browser, message: Announce) -> None:
        about = ("announce", message.request.info_hash)
        wanted = min(message.request.numwant or 0, self.settings.max_offers)
        try:
            address = self._tracker.locate(browser.host, message.request, Front.WEBSOCKET)
            request = replace(message.request, address=address, numwant=wanted)
            self._check_room(browser, request)
            reply = self._tracker.announce(request, _arrival(browser, message.token))
        except Exception as error:  # told apart, logged and answered in _failed
            self._failed(Failure(error), browser, *about)
            return
        if isinstance(reply, Deferred):
            reply.addCallback(self._announced, browser, message, request)
            reply.addErrback(self._failed, browser, *about)
        else:
            self._announced(reply, browser, message, request)

    def _check_room(self, browser: Browser, request: AnnounceRequest) -> None:
        browsers, swarm = self._tracker.browsers, self._tracker.swarm(request.info_hash)
        if (
            browsers.memberships(browser) >= self.settings.swarms_per_connection
            and browsers.member(browser, swarm, request.peer_id) is None
            and request.event is not Event.STOPPED
        ):
            self._tracker.statistics.announced(Front.WEBSOCKET, request, "refused", 0.0)
            raise TrackerFailure("too many torrents for one connection")

    def _announced(self, reply: Reply, browser: Browser, message: Announce, request: AnnounceRequest) -> None:
        interval = self._interval(reply.interval)
        response = AnnounceResponse(
            interval=interval,
            min_interval=min(reply.min_interval, interval),
            complete=reply.swarm.complete,
            incomplete=reply.swarm.incomplete,
            downloaded=reply.swarm.downloaded,
            warning=reply.warning,
            tracker_id=reply.tracker_id,
        )
        browser.say(Announced(request.info_hash, response))
        swarm = self._tracker.swarm(request.info_hash)
        member = self._tracker.browsers.member(browser, swarm, request.peer_id)
        if member is None:
            browser.names.pop((swarm, request.peer_id), None)
            return
        if swarm != request.info_hash:
            self._note_name(browser, swarm, request)
        for offer, other in zip(
            message.offers, self._tracker.browsers.choose(member, request.numwant or 0), strict=False
        ):
            self._hand_on(offer, member, other)

    def _note_name(self, browser: Browser, swarm: bytes, request: AnnounceRequest) -> None:
        browser.names[swarm, request.peer_id] = request.info_hash
        if len(browser.names) > self.settings.swarms_per_connection:  # some have given way to others since
            there = self._tracker.browsers.member
            kept = [key for key in browser.names if there(browser, *key) is not None]
            browser.names = {key: browser.names[key] for key in kept}

    def _interval(self, seconds: int) -> int:
        """The tracker's own interval, with its jitter, in proportion: whoever comes by a WebSocket is met
        only when somebody makes offers."""
        return min(seconds, max(1, seconds * self.settings.interval // self._tracker.settings.interval))

    def _hand_on(self, offer: Offer, maker: Member, other: Member) -> None:
        browser = other.connection
        if not isinstance(browser, Browser) or browser.line.congested:
            return
        browser.handed(maker, offer)
        browser.say(OfferFrom(browser.name(other), maker.peer_id, offer))

    def _answer(self, browser: Browser, message: Answer) -> None:
        """Hand it to who made the offer. If nobody waits for it any more, that is nobody's fault."""
        swarm = self._tracker.swarm(message.info_hash)
        if self._tracker.browsers.member(browser, swarm, message.peer_id) is None:
            return
        maker = browser.unanswered.pop((swarm, message.to_peer_id, message.answer.offer_id), None)
        asker = maker.connection if maker is not None else None
        if maker is None or not isinstance(asker, Browser) or asker.line.congested:
            return
        asker.say(AnswerFrom(asker.name(maker), message.peer_id, message.answer))

    def _scrape(self, browser: Browser, message: Scrape) -> None:
        about = ("scrape", message.info_hashes[0])
        try:
            entries = self._tracker.scrape(message.info_hashes, _arrival(browser, message.token))
        except Exception as error:  # told apart, logged and answered in _failed
            self._failed(Failure(error), browser, *about)
            return
        if isinstance(entries, Deferred):
            entries.addCallback(self._scraped, browser).addErrback(self._failed, browser, *about)
        else:
            self._scraped(entries, browser)

    def _scraped(self, entries: dict[bytes, ScrapeEntry], browser: Browser) -> None:
        browser.say(Scraped(entries, self.settings.interval))

    def _failed(self, failure: Failure, browser: Browser, action: str, info_hash: bytes) -> None:
        if isinstance(failure.value, TrackerFailure):
            reason, retry_in = failure.value.reason, failure.value.retry_in
        else:
            _log.failure("an announce or scrape could not be answered", failure)
            reason, retry_in = "the tracker had an error of its own; try again later", OUR_FAULT_RETRY
        browser.say(Refused(reason, retry_in, action, info_hash))


def _arrival(browser: Browser, token: bytes | None) -> Arrival:
    return Arrival(Front.WEBSOCKET, browser.host, browser.passkey, token or browser.token, browser)
