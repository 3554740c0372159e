"""A tracker that was away: its clients come back by and by, and all of them (SECURITY.md, T37)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.announce.values import AnnounceRequest, AnnounceResponse, ScrapeEntry
from bittwist.discovery import Announcer, AnnounceState
from bittwist.errors import FetchError
from bittwist.metainfo.infohash import InfoHash
from tests.scale import SEED

CLIENTS = 1000
INTERVAL = 1800
OUTAGE = 600.0  # seconds
HERE = "http://tracker.example/announce"


class Outage:
    """A tracker that can be away; owns who has reached it since, and when."""

    def __init__(self, clock: Clock) -> None:
        self.away = False
        self.back: dict[bytes, float] = {}
        self._clock = clock
        self.url = HERE

    def announce(self, request: AnnounceRequest) -> Deferred[AnnounceResponse]:
        if self.away:
            return fail(FetchError(HERE, "connection refused"))
        self.back.setdefault(request.peer_id, self._clock.seconds())
        return succeed(AnnounceResponse(interval=INTERVAL))

    def scrape(self, info_hashes: Sequence[bytes]) -> Deferred[dict[bytes, ScrapeEntry]]:
        raise AssertionError("an announcer does not scrape")


class RestartTests(SynchronousTestCase):
    def test_no_second_meets_more_than_a_twentieth_of_the_clients_and_all_are_back_soon(self) -> None:
        random = Random(SEED)
        clock = Clock()
        tracker = Outage(clock)
        announcers = [self.client(number, clock, tracker, random) for number in range(CLIENTS)]
        for announcer in announcers:  # they met it over the whole of an interval, as clients do
            clock.callLater(random.uniform(0, INTERVAL), announcer.start)
        self.pass_time(clock, 2 * INTERVAL)
        tracker.away = True
        self.pass_time(clock, OUTAGE)
        tracker.away, tracker.back = False, {}
        again_at = clock.seconds()
        self.pass_time(clock, INTERVAL * 1.1)

        self.assertEqual(len(tracker.back), CLIENTS)
        self.assertLessEqual(max(tracker.back.values()) - again_at, INTERVAL * 1.05)
        a_second = Counter(int(at) for at in tracker.back.values())
        self.assertLessEqual(max(a_second.values()), CLIENTS // 20)
        self.stop(clock, announcers)

    def test_clients_that_all_began_in_the_outage_do_not_come_at_once_either(self) -> None:
        random = Random(SEED)
        clock = Clock()
        tracker = Outage(clock)
        tracker.away = True
        announcers = [self.client(number, clock, tracker, random) for number in range(CLIENTS)]
        for announcer in announcers:
            announcer.start()
        self.pass_time(clock, OUTAGE)
        tracker.away = False
        self.pass_time(clock, INTERVAL)

        self.assertEqual(len(tracker.back), CLIENTS)
        a_second = Counter(int(at) for at in tracker.back.values())
        self.assertLessEqual(max(a_second.values()), CLIENTS // 20)
        self.stop(clock, announcers)

    def client(self, number: int, clock: Clock, tracker: Outage, random: Random) -> Announcer:
        peer_id = b"-BW0001-" + number.to_bytes(12, "big")
        return Announcer(
            clock,
            lambda url: tracker,
            [[HERE]],
            InfoHash(v1=bytes(20)),
            lambda: AnnounceState(left=0, uploaded=0, downloaded=0, port=6881, peer_id=peer_id),
            lambda peers, source: None,
            Random(random.random()),
        )

    def pass_time(self, clock: Clock, seconds: float) -> None:
        until = clock.seconds() + seconds
        while clock.seconds() < until:
            clock.advance(1.0)

    def stop(self, clock: Clock, announcers: list[Announcer]) -> None:
        for announcer in announcers:
            self.successResultOf(announcer.stop())
        self.assertEqual(clock.getDelayedCalls(), [])
