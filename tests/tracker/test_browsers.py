"""Browsers in swarms: fair choice, bounds, and counts beside those of a store."""

import random
from collections import Counter
from unittest import TestCase

from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest, Event, ScrapeEntry
from bittwist.errors import TrackerFailure
from bittwist.tracker.browsers import Browsers, Member
from bittwist.tracker.interfaces import SwarmAnswer, Totals
from bittwist.tracker.settings import TrackerSettings
from tests.scale import SEED, runs

SWARM, OTHER = b"s" * 20, b"o" * 20


def browsers(**settings: object) -> Browsers:
    return Browsers(random.Random(SEED), TrackerSettings(**settings))  # type: ignore[arg-type]


def peer_id(number: int) -> bytes:
    return b"%020d" % number


def request(
    number: int, *, swarm: bytes = SWARM, left: int = 1, event: Event = Event.NONE, host: str = "192.0.2.1"
) -> AnnounceRequest:
    return AnnounceRequest(swarm, peer_id(number), 0, left=left, event=event, address=Address(host, 0))


def join(held: Browsers, number: int, **how: object) -> Member:
    """A browser with a connection, named by its number, of its own."""
    held.opened(number)
    held.announce(number, request(number, host=f"192.0.2.{number}", **how))  # type: ignore[arg-type]
    member = held.member(number, SWARM, peer_id(number))
    assert member is not None
    return member


def numbers(members: list[Member]) -> set[int]:
    return {int(member.peer_id) for member in members}


class ChoiceTests(TestCase):
    def test_a_leech_is_given_seeds_and_leeches_and_never_itself(self) -> None:
        held = browsers()
        members = [join(held, number, left=number % 2) for number in range(1, 7)]
        self.assertEqual(numbers(held.choose(members[0], 50)), {2, 3, 4, 5, 6})
        self.assertEqual(len(held.choose(members[0], 3)), 3)
        self.assertEqual(held.choose(members[0], 0), [])

    def test_a_seed_is_given_leeches_only_unless_told_otherwise(self) -> None:
        for meet, expected in ((False, {1, 3}), (True, {1, 3, 4})):
            held = browsers(seeds_meet_seeds=meet)
            members = [join(held, number, left=number % 2) for number in range(1, 5)]
            self.assertEqual(numbers(held.choose(members[1], 50)), expected)

    def test_every_other_has_the_same_chance(self) -> None:
        held = browsers()
        members = [join(held, number, left=number % 3) for number in range(1, 21)]
        rounds = runs(4000, 400_000)
        counts = Counter(int(other.peer_id) for _ in range(rounds) for other in held.choose(members[0], 5))
        expected = rounds * 5 / 19
        chi = sum((counts[number] - expected) ** 2 / expected for number in range(2, 21))
        self.assertLess(chi, 50)  # with 18 degrees of freedom that happens once in 10,000 times

    def test_the_same_peer_by_another_connection_is_not_given_to_it(self) -> None:
        held = browsers()
        member = join(held, 1)
        held.opened("again")
        held.announce("again", request(1))
        self.assertEqual(held.choose(member, 5), [])

    def test_who_has_left_and_an_empty_swarm(self) -> None:
        held = browsers()
        member, other = join(held, 1), join(held, 2)
        held.closed(2)
        self.assertIsNone(other.connection)
        self.assertEqual(held.choose(member, 5), [])
        held.closed(1)
        self.assertEqual(held.choose(member, 5), [])


class LifeTests(TestCase):
    def test_the_members_of_a_connection_leave_with_it(self) -> None:
        held = browsers()
        join(held, 1)
        held.announce(1, request(1, swarm=OTHER))
        join(held, 2)
        self.assertEqual((held.connections, held.memberships(1)), (2, 2))
        held.closed(1)
        held.closed(1)
        self.assertEqual((held.connections, held.totals()), (1, Totals(1, 0, 1)))

    def test_a_connection_that_closed_joins_nothing(self) -> None:
        held = browsers()
        held.opened("a")
        held.closed("a")
        held.announce("a", request(1))
        self.assertEqual(held.totals(), Totals())

    def test_who_stops_leaves_that_swarm_only(self) -> None:
        held = browsers()
        join(held, 1)
        held.announce(1, request(1, swarm=OTHER))
        held.announce(1, request(1, event=Event.STOPPED))
        held.announce(1, request(1, event=Event.STOPPED))
        self.assertIsNone(held.member(1, SWARM, peer_id(1)))
        self.assertIsNotNone(held.member(1, OTHER, peer_id(1)))

    def test_two_clients_behind_one_connection_are_two_peers(self) -> None:
        held = browsers()
        held.opened("page")
        held.announce("page", request(1))
        held.announce("page", request(2))
        member = held.member("page", SWARM, peer_id(1))
        assert member is not None
        self.assertEqual(numbers(held.choose(member, 5)), {2})

    def test_what_is_forgotten_is_gone_and_its_connections_stay(self) -> None:
        held = browsers()
        member = join(held, 1)
        held.forget(SWARM)
        held.forget(OTHER)
        self.assertIsNone(member.connection)
        held.announce(1, request(1))
        self.assertEqual(held.size(SWARM).incomplete, 1)


class CountTests(TestCase):
    def test_seeds_leeches_partial_seeds_and_downloads(self) -> None:
        held = browsers()
        join(held, 1, left=0)
        join(held, 2, event=Event.PAUSED)
        join(held, 3)
        self.assertEqual(held.size(SWARM), ScrapeEntry(1, 0, 2, 1))
        held.announce(3, request(3, left=0, event=Event.COMPLETED))
        held.announce(3, request(3, left=0, event=Event.COMPLETED))
        held.announce(2, request(2))
        self.assertEqual(held.size(SWARM), ScrapeEntry(2, 1, 1, 1))
        self.assertEqual(held.size(OTHER), ScrapeEntry(0, 0, 0, 0))

    def test_they_are_added_to_what_a_store_says(self) -> None:
        held = browsers()
        answer = SwarmAnswer(5, 6, 7, b"4444pp")
        self.assertIs(held.counted(answer, SWARM), answer)
        entries = {SWARM: ScrapeEntry(1, 2, 3), OTHER: ScrapeEntry(1, 2, 3, 3)}
        self.assertIs(held.scraped(entries), entries)
        join(held, 1, left=0)
        join(held, 2)
        self.assertEqual(held.counted(answer, SWARM), SwarmAnswer(6, 7, 7, b"4444pp"))
        counted = {SWARM: ScrapeEntry(2, 2, 4), OTHER: ScrapeEntry(1, 2, 3, 3)}
        self.assertEqual(held.scraped(entries), counted)
        self.assertEqual(held.scraped({SWARM: ScrapeEntry(1, 2, 3, 3)})[SWARM].downloaders, 4)


class BoundTests(TestCase):
    def test_a_host_over_its_share_loses_its_own_oldest(self) -> None:
        held = browsers(peers_per_address=2)
        join(held, 9)
        held.opened("flood")
        for number in (1, 2, 1, 3):  # the second time 1 announces, 2 becomes the oldest
            held.announce("flood", request(number, host="198.51.100.1"))
        present = [number for number in range(10) if held.member("flood", SWARM, peer_id(number))]
        self.assertEqual(present, [1, 3])
        self.assertIsNotNone(held.member(9, SWARM, peer_id(9)))

    def test_a_share_of_one(self) -> None:
        held = browsers(peers_per_address=1)
        held.opened("a")
        for number in (1, 2, 3):
            held.announce("a", request(number))
        self.assertEqual((held.memberships("a"), held.size(SWARM).incomplete), (1, 1))

    def test_a_network_of_ipv6_is_one_host(self) -> None:
        held = browsers(peers_per_address=2)
        held.opened("flood")
        for number in range(1, 5):
            held.announce("flood", request(number, host=f"2001:db8::{number}:1"))
        held.announce("flood", request(5, host="2001:db8:0:1::1"))
        self.assertEqual(held.size(SWARM).incomplete, 3)

    def test_where_there_is_no_room_who_has_many_gives_way_to_who_has_few(self) -> None:
        held = browsers(peers_per_address=1000)
        held.limit = 100
        join(held, 1)
        held.opened("flood")
        for number in range(2, 500):
            request_ = request(number, swarm=b"%020d" % number, host="198.51.100.1")
            if number <= 100:
                held.announce("flood", request_)
            else:
                with self.assertRaisesRegex(TrackerFailure, "no room"):
                    held.announce("flood", request_)
        for number in range(501, 540):
            join(held, number - 450)
        self.assertIsNotNone(held.member(1, SWARM, peer_id(1)))
        self.assertEqual(held.memberships("flood"), 60)
        self.assertEqual(held.totals(), Totals(61, 0, 100))

    def test_where_there_is_no_room_and_all_have_few_who_comes_is_refused(self) -> None:
        held = browsers()
        held.limit = 5
        for number in range(1, 6):
            join(held, number)
        held.opened(6)
        with self.assertRaises(TrackerFailure) as caught:
            held.announce(6, request(6, host="192.0.2.6"))
        self.assertEqual(caught.exception.retry_in, 3600)
        self.assertEqual(held.totals(), Totals(1, 0, 5))
        held.announce(1, request(1, host="192.0.2.1"))


class ModelTests(TestCase):
    """Anything in any order, beside a model that counts naively."""

    def test_random_lives(self) -> None:
        chance = random.Random(SEED)
        for _ in range(runs(20, 2000)):
            held = browsers(peers_per_address=3)
            model: dict[tuple[bytes, int, bytes], tuple[str, bool]] = {}
            opened: set[int] = set()
            for _ in range(200):
                connection, number = chance.randrange(6), chance.randrange(5)
                match chance.randrange(8):
                    case 0:
                        held.opened(connection) if connection not in opened else None
                        opened.add(connection)
                    case 1:
                        held.closed(connection)
                        opened.discard(connection)
                        model = {key: value for key, value in model.items() if key[1] != connection}
                    case _:
                        host = f"192.0.2.{connection % 3}"
                        left = chance.randrange(2)
                        event = chance.choice([Event.NONE, Event.STARTED, Event.COMPLETED, Event.STOPPED])
                        swarm = chance.choice([SWARM, OTHER])
                        held.announce(
                            connection, request(number, swarm=swarm, left=left, event=event, host=host)
                        )
                        key = (swarm, connection, peer_id(number))
                        if connection not in opened:
                            continue
                        model.pop(key, None)
                        if event is Event.STOPPED:
                            continue
                        of_host = [other for other in model if other[0] == swarm and model[other][0] == host]
                        if len(of_host) >= 3:
                            del model[of_host[0]]
                        model[key] = (host, left == 0)
                for swarm in (SWARM, OTHER):
                    seeds = sum(seed for key, (_, seed) in model.items() if key[0] == swarm)
                    everybody = sum(key[0] == swarm for key in model)
                    size = held.size(swarm)
                    self.assertEqual((size.complete, size.incomplete), (seeds, everybody - seeds))
                for swarm, connection, name in model:
                    self.assertIsNotNone(held.member(connection, swarm, name))
