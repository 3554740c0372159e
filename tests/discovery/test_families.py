"""One tracker over IPv4 and IPv6: what is told when both, one or none of them answers, early or late."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, AnnounceResponse
from bittwist.discovery.families import GRACE, PAUSES, BothFamilies
from bittwist.discovery.trackers import has_name
from bittwist.errors import FetchError, NetworkError, TrackerFailure

REQUEST = AnnounceRequest(b"h" * 20, b"p" * 20, 6881)
FOUR, SIX, MORE = Address("10.0.0.1", 1), Address("2001:db8::1", 1), Address("10.0.0.2", 2)


def answer(*peers, interval=1800, ids=()):
    return AnnounceResponse(interval=interval, peers=peers, peer_ids=ids)


class Client:
    """A tracker client that answers when the test says."""

    def __init__(self):
        self.asked = []
        self.scraped = 0
        self.cancelled = 0

    def announce(self, request):
        asked = Deferred(self._cancel)
        self.asked.append(asked)
        return asked

    def scrape(self, info_hashes):
        self.scraped += 1
        return Deferred()

    def _cancel(self, asked):
        self.cancelled += 1
        asked.errback(NetworkError("tracker", "cancelled"))


class FamiliesTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.clients = {}
        self.running = {}
        self.tracker = BothFamilies(
            self.clock, lambda family: self.clients.setdefault(family, Client()), self.running
        )
        self.four, self.six = self.clients[4], self.clients[6]

    def announce(self):
        return self.tracker.announce(REQUEST)

    def test_both_are_asked_and_the_peers_of_both_are_told_once(self):
        told = self.announce()
        self.six.asked[0].callback(answer(SIX, FOUR, interval=60))
        self.assertNoResult(told)
        self.four.asked[0].callback(answer(FOUR, MORE))
        response = self.successResultOf(told)
        self.assertEqual((response.peers, response.interval), ((SIX, FOUR, MORE), 60))
        self.assertEqual((self.clock.getDelayedCalls(), self.running), ([], {}))

    def test_peer_ids_stay_with_their_peers(self):
        told = self.announce()
        self.four.asked[0].callback(answer(FOUR, ids=(b"i" * 20,)))
        self.six.asked[0].callback(answer(SIX))
        response = self.successResultOf(told)
        self.assertEqual(response.peer_ids, (b"i" * 20, b""))

    def test_an_answer_does_not_wait_long_for_the_other_whose_peers_come_with_the_next(self):
        told = self.announce()
        self.four.asked[0].callback(answer(FOUR))
        self.clock.advance(GRACE)
        self.assertEqual(self.successResultOf(told).peers, (FOUR,))
        self.assertEqual(len(self.running), 1)
        self.six.asked[0].callback(answer(SIX))
        self.assertEqual(self.running, {})
        told = self.announce()
        self.four.asked[1].callback(answer(FOUR))
        self.clock.advance(GRACE)
        self.assertEqual(self.successResultOf(told).peers, (FOUR, SIX))

    def test_one_that_cannot_be_reached_is_passed_over_for_some_time(self):
        for _ in range(2):
            told = self.announce()
            self.six.asked[-1].errback(NetworkError("tracker", "no address"))
            self.four.asked[-1].callback(answer(FOUR))
            self.assertEqual(self.successResultOf(told).peers, (FOUR,))
            for _ in range(PAUSES):
                told = self.announce()
                self.four.asked[-1].callback(answer(FOUR))
                self.successResultOf(told)
        self.assertEqual((len(self.four.asked), len(self.six.asked)), (2 * (1 + PAUSES), 2))

    def test_an_error_that_the_tracker_answered_is_none_of_the_family(self):
        for _ in range(3):
            told = self.announce()
            self.six.asked[-1].errback(FetchError("tracker", "HTTP status 500", 500))
            self.four.asked[-1].callback(answer(FOUR))
            self.successResultOf(told)
        self.assertEqual(len(self.six.asked), 3)

    def test_where_both_fail_the_trackers_own_words_are_told(self):
        told = self.announce()
        self.four.asked[0].errback(NetworkError("tracker", "connection refused"))
        self.assertNoResult(told)
        self.six.asked[0].errback(TrackerFailure("not registered"))
        self.assertEqual(str(self.failureResultOf(told, TrackerFailure).value), "not registered")

    def test_where_neither_can_be_reached_both_are_asked_again(self):
        for count in (1, 2):
            told = self.announce()
            for client in (self.four, self.six):
                self.assertEqual(len(client.asked), count)
                client.asked[-1].errback(NetworkError("tracker", "connection refused"))
            self.failureResultOf(told, NetworkError)

    def test_cancelling_ends_both(self):
        told = self.announce()
        told.cancel()
        self.failureResultOf(told, NetworkError)
        self.assertEqual((self.four.cancelled, self.six.cancelled, self.running), (1, 1, {}))

    def test_a_family_that_was_given_up_on_by_us_is_told_of_the_end(self):
        told = self.announce()
        self.four.asked[-1].callback(answer(FOUR))
        told.cancel()  # within the grace that the other family has
        self.successResultOf(told)
        self.announce()
        self.assertEqual((len(self.four.asked), len(self.six.asked)), (2, 2))

    def test_who_is_asked_for_a_scrape_is_asked_once(self):
        self.tracker.scrape([b"h" * 20])
        self.assertEqual([self.clients[family].scraped for family in (None, 4, 6)], [1, 0, 0])

    def test_only_names_have_two_families(self):
        for url, named in {
            "http://tracker.example/announce": True,
            "udp://tracker.example:80": True,
            "http://10.0.0.1:6969/announce": False,
            "http://[2001:db8::1]/announce": False,
            "http://[": False,
            "nonsense": False,
        }.items():
            self.assertIs(has_name(url), named, url)
