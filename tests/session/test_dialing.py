"""Which dials are begun, and what becomes of candidates whose dial ends."""

from random import Random

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.errors import NetworkError, OwnConnection, RemoteProtocolError, SessionError
from bittwist.metainfo.infohash import InfoHash
from bittwist.session.dialing import DIALS_AT_ONCE, REFUSED_FOR, Dialing
from bittwist.swarm.candidates import Candidates, CandidateSettings

HASH = InfoHash(v1=b"h" * 20)


def address(number):
    return Address(f"10.0.{number >> 8}.{number & 255}", 6881)


class Connector:
    """Dials end as the test says: at once for the addresses in `at_once`, else when `end` is called."""

    def __init__(self):
        self.at_once = {}
        self.dialed = []
        self.under_way = {}

    def dial(self, address, info_hash):
        self.dialed.append(address)
        if address in self.at_once:
            return fail(self.at_once[address])
        # As a Network does: a dial that is cancelled fails with its own error.
        dial = Deferred(lambda dial: dial.errback(NetworkError(str(address), "cancelled")))
        self.under_way[address] = dial
        return dial

    def end(self, address, error):
        self.under_way.pop(address).errback(error)


class DialingTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.connector = Connector()
        self.candidates = Candidates(CandidateSettings(), Random(1))
        self.wanted = 40
        self.dialing = Dialing(self.clock, self.connector, HASH, self.candidates, lambda: self.wanted)
        self.dialing.start()

    def dials_in(self, seconds, every=1.0):
        """Addresses dialed while the second hand goes on."""
        self.connector.dialed.clear()
        for _ in range(int(seconds / every)):
            self.clock.advance(every)
            self.dialing.dial()
        return list(self.connector.dialed)

    def test_as_many_are_dialed_as_are_wanted_and_no_more_than_the_bound(self):
        self.wanted = 3
        self.dialing.found([address(n) for n in range(50)], "tracker")
        self.assertEqual((len(self.connector.dialed), self.dialing.under_way), (3, 3))
        self.wanted = 40
        self.dialing.dial()
        self.assertEqual(self.dialing.under_way, DIALS_AT_ONCE)

    def test_the_next_is_dialed_when_a_dial_ends(self):
        self.dialing.found([address(n) for n in range(20)], "tracker")
        for _ in range(4):
            first = next(iter(self.connector.under_way))
            self.connector.end(first, NetworkError("there", "connection refused"))
        self.assertEqual(len(self.connector.dialed), 20)
        self.assertEqual(self.dialing.under_way, DIALS_AT_ONCE)

    def test_dials_that_fail_at_once_are_not_under_way(self):
        many = [address(n) for n in range(2500)]
        self.connector.at_once = {one: NetworkError("there", "no route to host") for one in many}
        self.dialing.found(many, "tracker")
        self.assertEqual(len(self.connector.dialed), len(many))
        self.assertEqual(self.dialing.under_way, 0)
        self.dialing.found([address(9999)], "tracker")
        self.assertEqual(self.connector.dialed[-1], address(9999))

    def test_what_is_being_dialed_when_it_is_stopped_is_dialed_first_thing_when_it_starts(self):
        self.dialing.found([address(1)], "tracker")
        for _ in range(20):
            self.dialing.stop()
            self.assertEqual(self.dialing.under_way, 0)
            self.connector.dialed.clear()
            self.dialing.start()
            self.assertEqual(self.connector.dialed, [address(1)])

    def test_who_cannot_be_reached_is_given_up_in_the_end(self):
        self.connector.at_once[address(1)] = NetworkError("there", "connection refused")
        self.dialing.found([address(1)], "tracker")
        self.assertEqual(len(self.dials_in(20_000)), 7)
        self.assertEqual(self.candidates.known(), ())

    def test_whom_we_refuse_ourselves_is_dialed_again_and_again_but_not_at_once(self):
        self.connector.at_once[address(1)] = SessionError("enough peers")
        self.dialing.found([address(1)], "tracker")
        self.assertEqual(self.dials_in(REFUSED_FOR - 1), [])
        self.assertEqual(len(self.dials_in(20 * REFUSED_FOR)), 20)

    def test_our_own_address_is_dialed_once(self):
        self.dialing.found([address(1)], "tracker")
        self.connector.end(address(1), OwnConnection())
        self.dialing.found([address(1)], "tracker")
        self.assertEqual(self.dials_in(20_000, 10), [])

    def test_an_error_that_is_a_bug_is_logged_and_dialing_goes_on(self):
        self.dialing.found([address(n) for n in range(DIALS_AT_ONCE + 1)], "tracker")
        self.connector.end(self.connector.dialed[0], ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.connector.dialed), DIALS_AT_ONCE + 1)

    def test_a_peer_that_is_no_peer_counts_as_a_failure(self):
        self.connector.at_once[address(1)] = RemoteProtocolError("not a BitTorrent handshake")
        self.dialing.found([address(1)], "tracker")
        self.dials_in(20_000, 5)
        self.assertEqual(self.candidates.known(), ())
