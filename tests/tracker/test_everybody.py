"""Swarms as the admin port tells them: the store's peers and the browsers together."""

from __future__ import annotations

from random import Random

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest
from bittwist.testing.stores import asked
from bittwist.tracker import Totals, TrackerSettings
from bittwist.tracker.browsers import Browsers
from bittwist.tracker.everybody import SAMPLED, Everybody
from bittwist.tracker.swarms import Swarms
from tests.scale import SEED


class EverybodyTests(SynchronousTestCase):
    def setUp(self) -> None:
        settings = TrackerSettings()
        self.store = Swarms(lambda: 0.0, Random(SEED), settings)
        self.browsers = Browsers(Random(SEED), settings)
        self.everybody = Everybody(self.store, self.browsers)  # type: ignore[arg-type]  # an implementer

    def join(self, *info_hashes: bytes, left: int = 1) -> None:
        for number, info_hash in enumerate(info_hashes):
            connection = object()
            self.browsers.opened(connection)
            host = f"10.{number // 60_000}.{number // 250 % 240}.{number % 250}"
            request = AnnounceRequest(info_hash, b"%020d" % number, 0, left=left, address=Address(host, 0))
            self.browsers.announce(connection, request)

    def told(self) -> Totals:
        return self.successResultOf(Deferred.fromCoroutine(self.everybody.totals()))

    def largest(self, count: int) -> list[tuple[bytes, int]]:
        found = self.successResultOf(Deferred.fromCoroutine(self.everybody.largest(count)))
        return [(info_hash, entry.complete + entry.incomplete) for info_hash, entry in found]

    def test_a_torrent_of_both_counts_once(self) -> None:
        self.store.announce(asked("10.0.0.1", info_hash=b"b" * 20))
        self.store.announce(asked("10.0.0.1", info_hash=b"s" * 20, left=0))
        self.join(b"b" * 20, b"w" * 20)
        self.assertEqual(self.told(), Totals(3, 1, 3))

    def test_of_many_swarms_of_browsers_it_is_estimated_how_many_are_the_stores_too(self) -> None:
        hashes = [b"%020d" % number for number in range(4 * SAMPLED)]
        for info_hash in hashes[::2]:
            self.store.announce(asked("10.0.0.1", info_hash=info_hash))
        self.join(*hashes)
        self.assertEqual(self.told().torrents, len(hashes))

    def test_the_largest_are_those_with_the_most_of_both(self) -> None:
        for host in ("10.0.0.1", "10.0.0.2"):
            self.store.announce(asked(host, info_hash=b"s" * 20))
        self.store.announce(asked("10.0.0.3", info_hash=b"b" * 20))
        self.join(b"b" * 20, b"b" * 20, b"w" * 20)
        self.assertEqual(self.largest(2), [(b"b" * 20, 3), (b"s" * 20, 2)])
        self.assertEqual(self.largest(9)[2:], [(b"w" * 20, 1)])

    def test_where_nobody_is_there_is_nothing_to_tell(self) -> None:
        self.assertEqual((self.told(), self.largest(5)), (Totals(), []))
