"""Local discovery on a Clock: who is told what and when, and whom it believes."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_interface
from random import Random

from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.discovery.bt_search import LocalAnnounce, decode, encode
from bittwist.discovery.lsd import MAX_HEARD, NO_LINK, LocalDiscovery, LsdSettings
from bittwist.errors import NetworkError
from bittwist.net.links import GroupSpeaker, Link
from bittwist.net.urls import Reach, reach
from tests.scale import SEED, runs

LAN = Link(2, ip_interface("192.168.1.5/24"))
LAN6 = Link(2, ip_interface("2a00:1::5/64"))
OFFICE = Link(3, ip_interface("9.9.9.5/24"))
LO = Link(1, ip_interface("127.0.0.1/8"), shared=False)
TUNNEL = Link(4, ip_interface("10.8.0.2/24"), shared=False)
HASH, OTHER = b"h" * 20, b"o" * 20


class Port:
    """An open group; owns what was said there."""

    def __init__(self, links: Sequence[Link], speaker: GroupSpeaker, said: list[tuple[str, bytes]]) -> None:
        self.links, self.speaker, self.open, self._said = links, speaker, True, said
        speaker.makeConnection(self)

    def write(self, datagram: bytes, address: tuple[str, int]) -> None:
        self._said.append((address[0], datagram))

    def stopListening(self) -> object:
        self.open = False
        return succeed(None)


class FakeNetwork:
    def __init__(self, *links: Link) -> None:
        self.now = links
        self.ports: list[Port] = []
        self.said: list[tuple[str, bytes]] = []
        self.broken: str | None = None

    def links(self) -> tuple[Link, ...]:
        return self.now

    def listen_group(self, links: Sequence[Link], speaker: GroupSpeaker) -> Port:
        if self.broken is not None:
            raise NetworkError("group", self.broken)
        self.ports.append(Port(links, speaker, self.said))
        return self.ports[-1]


class LsdTestCase(SynchronousTestCase):
    def discovery(self, *links: Link, listen: str = "0.0.0.0", port: int = 6881) -> LocalDiscovery:
        self.clock = Clock()
        self.network = FakeNetwork(*(links or (LAN,)))
        self.found: list[tuple[bytes, Address]] = []
        self.port = port
        self.discovery_ = LocalDiscovery(
            self.clock,
            self.network,
            LsdSettings(),
            lambda: self.port,
            "cookie",
            lambda info_hash, address: self.found.append((info_hash, address)),
        )
        self.discovery_.start(listen)
        self.addCleanup(self.close)
        return self.discovery_

    def close(self) -> None:
        self.successResultOf(self.discovery_.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(any(port.open for port in self.network.ports))

    def hashes(self) -> list[tuple[bytes, ...]]:
        return [decode(datagram).info_hashes for _, datagram in self.network.said]

    def hear(
        self, sender: str, *info_hashes: bytes, cookie: str | None = "another", port: int = 51413
    ) -> None:
        self.discovery_.received(encode(LocalAnnounce(port, info_hashes, cookie), "group"), sender)


class AnnounceTests(LsdTestCase):
    def test_opening_a_group_is_no_line_in_the_log(self) -> None:
        self.discovery().join(HASH)
        self.clock.advance(0)
        self.assertEqual([port.speaker.noisy for port in self.network.ports], [False])

    def test_nothing_is_open_or_said_before_there_is_a_torrent(self) -> None:
        self.discovery()
        self.clock.advance(1000)
        self.assertEqual(self.network.ports, [])

    def test_a_torrent_is_announced_at_once_and_every_five_minutes(self) -> None:
        self.discovery().join(HASH)
        times = []
        for second in range(1000):
            self.clock.advance(0 if second == 0 else 1)
            if len(self.network.said) > len(times):
                times.append(second)
        self.assertEqual(times, [0, 300, 600, 900])
        self.assertEqual(set(self.hashes()), {(HASH,)})
        host, datagram = self.network.said[0]
        self.assertEqual(
            (host, decode(datagram)), ("239.192.152.143", LocalAnnounce(6881, (HASH,), "cookie"))
        )

    def test_there_is_a_minute_between_any_two(self) -> None:
        discovery = self.discovery()
        discovery.join(HASH)
        self.clock.advance(0)
        discovery.join(OTHER)
        self.clock.advance(59)
        self.assertEqual(self.hashes(), [(HASH,)])
        self.clock.advance(1)
        self.assertEqual(self.hashes(), [(HASH,), (OTHER,)])

    def test_many_torrents_share_a_datagram_and_take_turns(self) -> None:
        discovery = self.discovery()
        everybody = [number.to_bytes(20, "big") for number in range(60)]
        for info_hash in everybody:
            discovery.join(info_hash)
        self.clock.advance(0)
        for _ in range(2):
            self.clock.advance(60)
        told = [info_hash for datagram in self.hashes() for info_hash in datagram]
        self.assertEqual(sorted(told), everybody)

    def test_a_torrent_that_left_is_not_announced(self) -> None:
        discovery = self.discovery()
        for info_hash in (HASH, OTHER):
            discovery.join(info_hash)
        discovery.leave(HASH)
        self.clock.advance(0)
        self.assertEqual(self.hashes(), [(OTHER,)])
        discovery.leave(OTHER)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_listens_nowhere_hears_but_says_nothing(self) -> None:
        self.discovery(port=0).join(HASH)
        self.clock.advance(0)
        self.hear("192.168.1.9", HASH)
        self.assertEqual((self.network.said, len(self.found)), ([], 1))


class LinkTests(LsdTestCase):
    def opened(self) -> list[tuple[str, list[str]]]:
        ports = [port for port in self.network.ports if port.open]
        return [(port.speaker.group.host, [link.host for link in port.links]) for port in ports]

    def test_only_networks_that_others_share_are_spoken_on(self) -> None:
        self.discovery(LO, LAN, TUNNEL, OFFICE).join(HASH)
        self.clock.advance(0)
        self.assertEqual(self.opened(), [("239.192.152.143", ["192.168.1.5", "9.9.9.5"])])

    def test_one_address_to_listen_on_is_one_network(self) -> None:
        self.discovery(LO, LAN, TUNNEL, OFFICE, listen="10.8.0.2").join(HASH)
        self.clock.advance(0)
        self.assertEqual(self.opened(), [("239.192.152.143", ["10.8.0.2"])])

    def test_both_families_where_both_are_listened_on(self) -> None:
        self.discovery(LAN, LAN6, listen="::").join(HASH)
        self.clock.advance(0)
        self.assertEqual(
            self.opened(), [("239.192.152.143", ["192.168.1.5"]), ("ff15::efc0:988f", ["2a00:1::5"])]
        )

    def test_who_listens_on_this_machine_alone_has_no_neighbours(self) -> None:
        discovery = self.discovery(LO, LAN, listen="127.0.0.1")
        discovery.join(HASH)
        self.clock.advance(0)
        self.assertEqual((self.opened(), discovery.error), ([], NO_LINK))

    def test_a_network_that_comes_later_is_found_within_a_minute(self) -> None:
        discovery = self.discovery(LO)
        discovery.join(HASH)
        self.clock.advance(0)
        self.assertEqual(discovery.error, NO_LINK)
        self.network.now = (LO, LAN)
        self.clock.advance(60)
        self.assertEqual((self.hashes(), discovery.error), ([(HASH,)], None))

    def test_a_network_that_changes_is_opened_anew(self) -> None:
        self.discovery(LAN).join(HASH)
        self.clock.advance(0)
        self.network.now = (OFFICE,)
        self.clock.advance(300)
        self.assertEqual(self.opened(), [("239.192.152.143", ["9.9.9.5"])])

    def test_a_group_that_cannot_be_joined_is_tried_again_and_told(self) -> None:
        discovery = self.discovery()
        self.network.broken = "no such device"
        discovery.join(HASH)
        self.clock.advance(0)
        self.assertEqual(discovery.error, "no such device")
        self.network.broken = None
        self.clock.advance(60)
        self.assertEqual((discovery.error, self.hashes()), (None, [(HASH,)]))


class HearingTests(LsdTestCase):
    def setUp(self) -> None:
        self.discovery(LAN, OFFICE)
        self.discovery_.join(HASH)
        self.clock.advance(0)

    def test_a_peer_on_our_network_is_found(self) -> None:
        self.hear("192.168.1.9", OTHER, HASH)
        self.assertEqual(self.found, [(HASH, Address("192.168.1.9", 51413))])

    def test_a_network_with_public_addresses_is_a_network_too(self) -> None:
        self.hear("9.9.9.7", HASH)
        self.assertEqual(len(self.found), 1)

    def test_who_is_on_none_of_our_networks_is_not_believed(self) -> None:
        """SECURITY.md D11."""
        for sender in ("192.168.2.9", "8.8.8.8", "127.0.0.1", "169.254.1.1", "0.0.0.0", "::1", "2a00:1::6"):
            self.hear(sender, HASH)
        self.assertEqual(self.found, [])

    def test_our_own_announce_is_not_a_peer(self) -> None:
        self.hear("192.168.1.5", HASH, cookie="cookie")
        self.assertEqual(self.found, [])
        self.hear("192.168.1.5", HASH, cookie=None)
        self.assertEqual(len(self.found), 1, "another client on this machine")

    def test_what_left_is_not_heard_of(self) -> None:
        self.discovery_.leave(HASH)
        self.hear("192.168.1.9", HASH)
        self.assertEqual(self.found, [])

    def test_a_flood_is_read_so_many_a_second(self) -> None:
        for port in range(1, 2 * MAX_HEARD):
            self.hear("192.168.1.9", HASH, port=port)
        self.assertEqual(len(self.found), MAX_HEARD)
        self.clock.advance(1)
        self.hear("192.168.1.9", HASH)
        self.assertEqual(len(self.found), MAX_HEARD + 1)

    def test_forged_announces_lead_to_nothing_outside_our_networks(self) -> None:
        """SECURITY.md T18: mutated announces from anywhere; no failure, and nobody outside is found."""
        random = Random(SEED)
        whole = encode(LocalAnnounce(6881, (HASH, OTHER), "another"), "239.192.152.143:6771")
        outside = ["127.0.0.1", "169.254.169.254", "0.0.0.0", "10.0.0.1", "8.8.8.8", "::1", "fd00::1"]
        for _ in range(runs(2000, 50_000)):
            datagram = bytearray(whole)
            for _ in range(random.randint(0, 3)):
                datagram[random.randrange(len(datagram))] = random.randrange(256)
            self.discovery_.received(bytes(datagram), random.choice([*outside, "192.168.1.77"]))
            self.clock.advance(1 / MAX_HEARD)
        self.assertGreater(len(self.found), 20)
        self.assertEqual({address.host for _, address in self.found}, {"192.168.1.77"})
        self.assertTrue(all(reach(address.host) is Reach.LOCAL for _, address in self.found))
        self.network.said.clear()
