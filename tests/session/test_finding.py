"""The sources of a torrent: what each finds, and what a private torrent has none of (BEP 11, 14, 27, 40)."""

import gc
from dataclasses import replace
from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site

from bittwist.address import Address
from bittwist.discovery.lsd import LsdSettings
from bittwist.discovery.pex import GATHERING, INTERVAL, MAX_EARLY, PexSettings
from bittwist.errors import SessionError
from bittwist.metainfo import bencode
from bittwist.metainfo.magnet import Magnet
from bittwist.session import SessionSettings
from bittwist.session.finding import MAX_LOCAL
from bittwist.session.observe import PeersFound
from bittwist.session.peers import INTRODUCTION
from bittwist.testing import speech
from bittwist.testing.peer import Conduct, FakePeers
from bittwist.testing.speech import Id
from bittwist.wire import ut_pex
from bittwist.wire.ut_pex import Contact, PexFlags, PexMessage
from tests.session.lan import Lan
from tests.session.swarm import Swarm
from tests.session.test_announces import Counter
from tests.session.torrents import content, torrent

DATA = content(300_000)
PLAIN = torrent(DATA, piece_length=32768)
PRIVATE = torrent(DATA, piece_length=32768, private=1)
THEIR_PEX = 7  # the number under which fake peers take our messages
TRACKER = "http://10.0.0.99:6969/announce"  # nobody is there


def hello(**more):
    return speech.message(Id.EXTENDED, b"\0" + bencode.encode({"m": {"ut_pex": THEIR_PEX}, **more}))


def conduct(metainfo, **more):
    return Conduct(
        metainfo.info.info_hash.short,
        reserved=speech.EXTENDED,
        opening=hello(**more.pop("hello", {})),
        **more,
    )


def pex(*contacts):
    return speech.message(Id.EXTENDED, b"\2" + ut_pex.encode(PexMessage(contacts)))


def link(metainfo, *parts):
    return Magnet.parse("&".join([f"magnet:?xt=urn:btih:{metainfo.info.info_hash}", *parts]))


class FindingTestCase(SynchronousTestCase):
    def setUp(self):
        self.swarm = Swarm()
        self.network = self.swarm.network
        self.ports = []
        self.fakes = []

    def listens(self, conduct, host="10.0.0.9"):
        peers = FakePeers(self.network.host(host), conduct)
        self.ports.append(peers.listen(6881))
        self.fakes.append(peers.peers)
        return peers.peers

    def dials_in(self, conduct, host="10.0.0.9", to="10.0.0.1"):
        peer = self.network.result_of(FakePeers(self.network.host(host), conduct).dial(to, 6881))
        self.fakes.append([peer])
        self.network.advance(1)
        return peer

    def end(self):
        """As `quiet`, where real servers keep their timers."""
        for session in self.swarm.sessions:
            self.network.result_of(session.stopService())
        gc.collect()  # a Deferred tells of its unhandled failure when it goes
        self.assertEqual(self.flushLoggedErrors(), [])

    def quiet(self, after=1):
        for peer in [peer for peers in self.fakes for peer in peers if peer.lost is None]:
            peer.abort()
        for port in self.ports:
            port.stopListening()
        self.network.advance(1)
        self.swarm.quiet(after)

    def handshakes(self, peer):
        """The extension handshakes that it got."""
        return [bencode.decode(f.payload[1:]) for f in peer.got(Id.EXTENDED) if f.payload[0] == 0]

    def messages(self, peer):
        """The peer exchange messages that it got."""
        return [ut_pex.decode(f.payload[1:]) for f in peer.got(Id.EXTENDED) if f.payload[0] == THEIR_PEX]

    def source(self, torrent_, name):
        return next(each for each in torrent_.sources() if each.name == name)


class PeerExchangeTests(FindingTestCase):
    def test_two_who_know_only_a_third_find_each_other(self):
        seed, leech = self.swarm.session("10.0.0.1", DATA), self.swarm.session("10.0.0.2")
        third = self.swarm.session("10.0.0.3")
        self.swarm.add(third, PLAIN)
        third.apply(replace(third.settings, max_peers_per_torrent=2))
        self.network.host("10.0.0.3").limit(upload=100, download=100)  # it introduces, and hardly fetches
        self.swarm.add(seed, PLAIN, ["10.0.0.3:6881"])
        fetching = self.swarm.add(leech, PLAIN, ["10.0.0.3:6881"])
        self.swarm.until_complete(fetching, limit=120)
        by_pex, by_them = self.source(fetching, "pex"), self.source(fetching, "incoming")
        self.assertGreater(by_pex.downloaded or by_them.downloaded, len(DATA) // 2)
        self.quiet(after=2000)  # what is on its way to the slow one

    def test_whoever_is_connected_and_can_be_dialed_is_told(self):
        session = self.swarm.session("10.0.0.1")
        self.listens(conduct(PLAIN), "10.0.0.7")
        self.swarm.add(session, PLAIN, ["10.0.0.7:6881"])
        told = self.dials_in(conduct(PLAIN, peer_id=b"told" * 5), "10.0.0.8")
        self.dials_in(conduct(PLAIN, peer_id=b"port" * 5, hello={"p": 999}), "10.0.0.9")
        self.network.advance(GATHERING + 1)
        (message,) = self.messages(told)
        self.assertEqual(
            sorted(message.added, key=lambda contact: contact.address),
            [
                Contact(Address("10.0.0.7", 6881), PexFlags.REACHABLE),
                Contact(Address("10.0.0.9", 999), PexFlags.NONE),
            ],
        )
        self.quiet()

    def test_who_leaves_is_dropped_a_minute_later(self):
        self.swarm.add(self.swarm.session("10.0.0.1"), PLAIN)
        told = self.dials_in(conduct(PLAIN, peer_id=b"told" * 5), "10.0.0.8")
        leaving = self.dials_in(conduct(PLAIN, peer_id=b"port" * 5, hello={"p": 999}), "10.0.0.9")
        self.network.advance(GATHERING + 1)
        leaving.abort()
        self.network.advance(INTERVAL - 5)
        self.assertEqual(len(self.messages(told)), 1)
        self.network.advance(10)
        self.assertEqual(self.messages(told)[1], PexMessage((), (Address("10.0.0.9", 999),)))
        self.quiet()

    def test_a_seed_tells_of_seeds_that_it_has_parted_from(self):
        self.swarm.add(self.swarm.session("10.0.0.2", DATA), PLAIN)
        self.swarm.add(self.swarm.session("10.0.0.1", DATA), PLAIN, ["10.0.0.2:6881"])
        self.network.advance(1)
        leech = self.dials_in(conduct(PLAIN), "10.0.0.8")
        self.network.advance(GATHERING + 1)
        (message,) = self.messages(leech)
        seed = Contact(Address("10.0.0.2", 6881), PexFlags.SEED | PexFlags.REACHABLE)
        self.assertEqual(message.added, (seed,))
        self.quiet()

    def test_and_of_seeds_that_have_dialed_it(self):
        self.swarm.add(self.swarm.session("10.0.0.1", DATA), PLAIN)
        self.network.advance(1)
        self.swarm.add(self.swarm.session("10.0.0.2", DATA), PLAIN, ["10.0.0.1:6881"])
        self.network.advance(1)
        leech = self.dials_in(conduct(PLAIN), "10.0.0.8")
        self.network.advance(GATHERING + 1)
        (message,) = self.messages(leech)
        self.assertEqual(message.added, (Contact(Address("10.0.0.2", 6881), PexFlags.SEED),))
        self.quiet()

    def test_a_seed_that_never_says_where_it_listens_is_parted_from_all_the_same(self):
        seeding = self.swarm.add(self.swarm.session("10.0.0.1", DATA), PLAIN)
        self.network.advance(1)
        both = bytes(a | b for a, b in zip(speech.FAST, speech.EXTENDED))
        mute = Conduct(PLAIN.info.info_hash.short, reserved=both, opening=speech.message(Id.HAVE_ALL))
        peer = self.dials_in(mute)
        self.assertIsNone(peer.lost)
        self.network.advance(INTRODUCTION + 2)
        self.assertIsNotNone(peer.lost)
        self.assertEqual(len(seeding), 0)
        self.quiet()

    def test_what_a_peer_tells_is_dialed_and_counted(self):
        session = self.swarm.session("10.0.0.1")
        fetching = self.swarm.add(session, PLAIN)
        events = []
        session.observe(lambda event: events.append(event.happening))
        self.swarm.add(self.swarm.session("10.0.0.2", DATA), PLAIN)
        peer = self.dials_in(conduct(PLAIN))
        peer.send(pex(Contact(Address("10.0.0.2", 6881)), Contact(Address("127.0.0.1", 6881))))
        self.swarm.until_complete(fetching, limit=20)
        row = self.source(fetching, "pex")
        self.assertEqual((row.state, row.found, row.downloaded), ("on", 1, len(DATA)))
        self.assertIn(PeersFound(PLAIN.info.info_hash, "pex", "", 1), events)
        self.quiet()

    def test_a_seed_does_not_dial_seeds(self):
        seeding = self.swarm.add(self.swarm.session("10.0.0.1", DATA), PLAIN)
        self.network.advance(1)
        peer = self.dials_in(conduct(PLAIN))
        peer.send(pex(Contact(Address("10.0.0.2", 6881), PexFlags.SEED), Contact(Address("10.0.0.3", 6881))))
        self.network.advance(1)
        self.assertEqual(seeding._candidates.known(), (Address("10.0.0.3", 6881),))
        self.quiet()

    def test_a_peer_that_tells_too_often_is_closed(self):
        """SECURITY.md B8."""
        self.swarm.add(self.swarm.session("10.0.0.1"), PLAIN)
        peer = self.dials_in(conduct(PLAIN))
        for _ in range(MAX_EARLY + 1):
            peer.send(pex())
        self.network.advance(1)
        self.assertIsNone(peer.lost)
        peer.send(pex())
        self.network.advance(1)
        self.assertIsNotNone(peer.lost)
        self.quiet()

    def test_what_is_no_message_closes(self):
        self.swarm.add(self.swarm.session("10.0.0.1"), PLAIN)
        peer = self.dials_in(conduct(PLAIN))
        peer.send(speech.message(Id.EXTENDED, b"\2le"))
        self.network.advance(1)
        self.assertIsNotNone(peer.lost)
        self.quiet()

    def test_turned_off_it_is_neither_offered_nor_heard(self):
        settings = SessionSettings(ports=(6881,), pex=PexSettings(enabled=False))
        fetching = self.swarm.add(self.swarm.session("10.0.0.1", settings=settings), PLAIN)
        peer = self.dials_in(conduct(PLAIN))
        peer.send(pex(Contact(Address("10.0.0.2", 6881))))
        self.network.advance(INTERVAL)
        self.assertNotIn(b"ut_pex", self.handshakes(peer)[0][b"m"])
        self.assertEqual((len(fetching._candidates), self.source(fetching, "pex").state), (0, "off"))
        self.quiet()


class PrivateTests(FindingTestCase):
    """SECURITY.md T40, F7."""

    def test_a_private_torrent_neither_offers_nor_hears_peer_exchange(self):
        fetching = self.swarm.add(self.swarm.session("10.0.0.1"), PRIVATE)
        peers = [
            self.dials_in(conduct(PRIVATE, peer_id=bytes([n]) * 20, hello={"p": n}), f"10.0.1.{n}")
            for n in (1, 2)
        ]
        peers[0].send(pex(Contact(Address("10.0.0.2", 6881))))
        self.network.advance(2 * INTERVAL)
        for peer in peers:
            self.assertNotIn(b"ut_pex", self.handshakes(peer)[0][b"m"])
            self.assertEqual(self.messages(peer), [])
        self.assertEqual((len(fetching._candidates), self.source(fetching, "pex").state), (0, "private"))
        self.quiet()

    def test_a_private_torrent_is_not_announced_or_heard_of_locally(self):
        lan = Lan(self.network.host("10.9.9.9"))
        one, two = self.swarm.session("10.0.0.1", DATA), self.swarm.session("10.0.0.2")
        lan.connect(one, "10.0.0.1")
        lan.connect(two, "10.0.0.2")
        torrents = [self.swarm.add(session, PRIVATE) for session in (one, two)]
        self.network.advance(400)
        torrents[1].add_peers([Address("10.0.0.1", 6881)], "lsd")
        self.network.advance(1)
        self.assertEqual(lan.said, [])
        self.assertEqual([len(each) for each in torrents], [0, 0])
        self.assertEqual(self.source(torrents[0], "lsd").state, "private")
        self.quiet()

    def test_what_the_user_says_holds_for_private_torrents_too(self):
        self.swarm.add(self.swarm.session("10.0.0.1", DATA), PRIVATE)
        fetching = self.swarm.add(self.swarm.session("10.0.0.2"), PRIVATE, ["10.0.0.1:6881"])
        self.swarm.until_complete(fetching, limit=20)
        self.quiet()

    def test_a_link_with_a_tracker_is_private_until_the_metadata_says_otherwise(self):
        lan = Lan(self.network.host("10.9.9.9"))
        session = self.swarm.session("10.0.0.2")
        lan.connect(session, "10.0.0.2")
        fetching = self.swarm.add(session, link(PLAIN, f"tr={TRACKER}"))
        peer = self.dials_in(conduct(PLAIN), to="10.0.0.2")
        peer.send(pex(Contact(Address("10.0.0.5", 6881))))
        self.network.advance(5)
        self.assertNotIn(b"ut_pex", self.handshakes(peer)[0][b"m"])
        self.assertEqual((len(fetching._candidates), lan.said), (0, []))
        self.assertEqual({self.source(fetching, name).state for name in ("pex", "lsd")}, {"waiting"})
        self.swarm.add(self.swarm.session("10.0.0.1", DATA), PLAIN)
        fetching.add_peers([Address("10.0.0.1", 6881)])
        self.swarm.until_complete(fetching, limit=20)
        self.assertEqual(self.handshakes(peer)[-1][b"m"][b"ut_pex"], 2)
        self.assertEqual(len(lan.said), 1)
        self.quiet()

    def test_a_link_that_is_given_a_tracker_is_private_from_then_on_until_it_is_taken_away(self):
        """SECURITY.md T40."""
        lan = Lan(self.network.host("10.9.9.9"))
        session = self.swarm.session("10.0.0.2")
        lan.connect(session, "10.0.0.2")
        fetching = self.swarm.add(session, link(PLAIN))
        peer = self.dials_in(conduct(PLAIN), to="10.0.0.2")
        self.network.advance(5)
        said = len(lan.said)
        self.assertEqual((said, self.handshakes(peer)[-1][b"m"][b"ut_pex"]), (1, 2))
        fetching.add_tracker(TRACKER)
        peer.send(pex(Contact(Address("10.0.0.5", 6881))))
        self.network.advance(20)
        self.assertEqual(self.handshakes(peer)[-1][b"m"][b"ut_pex"], 0)
        self.assertEqual((len(lan.said), fetching._candidates.kept_of("pex")), (said, 0))
        self.assertEqual({self.source(fetching, name).state for name in ("pex", "lsd")}, {"waiting"})
        fetching.remove_tracker(TRACKER)
        self.network.advance(5)
        self.assertEqual(self.handshakes(peer)[-1][b"m"][b"ut_pex"], 2)
        said = len(lan.said)
        fetching.add_tracker(TRACKER)
        self.network.advance(1000)
        self.assertEqual(len(lan.said), said)
        self.quiet()

    def test_a_stopped_link_without_its_tracker_is_not_told_of(self):
        lan = Lan(self.network.host("10.9.9.9"))
        session = self.swarm.session("10.0.0.2")
        lan.connect(session, "10.0.0.2")
        fetching = self.swarm.add(session, link(PLAIN, f"tr={TRACKER}"))
        self.network.result_of(fetching.stop())
        fetching.remove_tracker(TRACKER)
        self.network.advance(1000)
        self.assertEqual(lan.said, [])
        self.quiet()

    def test_a_link_without_a_tracker_is_looked_for_everywhere(self):
        lan = Lan(self.network.host("10.9.9.9"))
        seed, leech = self.swarm.session("10.0.0.1", DATA), self.swarm.session("10.0.0.2")
        lan.connect(seed, "10.0.0.1")
        lan.connect(leech, "10.0.0.2")
        self.swarm.add(seed, PLAIN)
        self.network.advance(5)
        fetching = self.swarm.add(leech, link(PLAIN))
        self.swarm.until_complete(fetching, limit=20)
        self.quiet()

    def test_the_caution_with_links_can_be_turned_off(self):
        settings = SessionSettings(ports=(6881,), magnets_private_until_known=False)
        self.swarm.add(self.swarm.session("10.0.0.1", settings=settings), link(PLAIN, f"tr={TRACKER}"))
        peer = self.dials_in(conduct(PLAIN))
        self.assertEqual(self.handshakes(peer)[0][b"m"][b"ut_pex"], 2)
        self.quiet()

    def test_a_link_that_proves_private_takes_all_back(self):
        lan = Lan(self.network.host("10.9.9.9"))
        session = self.swarm.session("10.0.0.2")
        lan.connect(session, "10.0.0.2")
        fetching = self.swarm.add(session, link(PRIVATE))
        peer = self.dials_in(conduct(PRIVATE), to="10.0.0.2")
        peer.send(pex(Contact(Address("10.0.0.77", 6881))))
        self.network.advance(1)
        self.assertEqual(fetching._candidates.kept_of("pex"), 1)
        self.network.advance(20)
        self.swarm.add(self.swarm.session("10.0.0.1", DATA), PRIVATE)
        fetching.add_peers([Address("10.0.0.1", 6881)])
        self.swarm.until_complete(fetching, limit=20)
        self.assertEqual(self.handshakes(peer)[-1][b"m"][b"ut_pex"], 0)
        self.assertEqual(fetching._candidates.kept_of("pex"), 0)
        said = len(lan.said)
        self.network.advance(1000)
        self.assertEqual(len(lan.said), said)
        self.quiet()

    def test_a_link_that_proves_private_parts_from_whom_only_the_others_have_named(self):
        """SECURITY.md T40."""
        self.proves_private(link(PRIVATE))

    def test_so_does_one_with_a_tracker_where_the_caution_is_turned_off(self):
        self.proves_private(link(PRIVATE, f"tr={TRACKER}"))

    def proves_private(self, magnet):
        seeds = {"10.0.0.1": "lsd", "10.0.0.3": "pex", "10.0.0.4": "tracker", "10.0.0.5": "manual"}
        for host in seeds:
            self.swarm.add(self.swarm.session(host, DATA), PRIVATE)
            self.network.host(host).limit(upload=3000)
        settings = SessionSettings(ports=(6881,), magnets_private_until_known=False)
        fetching = self.swarm.add(self.swarm.session("10.0.0.2", settings=settings), magnet)
        for host, source in seeds.items():
            fetching.add_peers([Address(host, 6881)], source)
        fetching.add_peers([Address("10.0.0.4", 6881)], "lsd")
        caller = self.dials_in(conduct(PRIVATE), "10.0.0.9", to="10.0.0.2")
        self.network.run_until(lambda: fetching.info is not None)
        self.network.advance(3)
        stay = {"10.0.0.4:6881", "10.0.0.5:6881"}
        self.assertEqual({each.address for each in fetching.peers() if each.outgoing}, stay)
        self.assertIsNone(caller.lost, "who has dialed us may have heard of us from a tracker")
        self.network.advance(60)
        self.assertEqual([self.source(fetching, name).downloaded for name in ("lsd", "pex")], [0, 0])
        self.assertEqual({str(each) for each in fetching._candidates.known()}, stay)
        self.quiet(after=2000)

    def test_and_dials_them_no_more(self):
        self.swarm.add(self.swarm.session("10.0.0.1", DATA), PRIVATE)
        mute = Conduct(PRIVATE.info.info_hash.short, shake=False)
        unfinished = {
            source: self.listens(mute, host)
            for source, host in (("lsd", "10.0.0.7"), ("pex", "10.0.0.8"), ("tracker", "10.0.0.9"))
        }
        fetching = self.swarm.add(self.swarm.session("10.0.0.2"), link(PRIVATE))
        for source, host in (("lsd", "10.0.0.7"), ("pex", "10.0.0.8"), ("tracker", "10.0.0.9")):
            fetching.add_peers([Address(host, 6881)], source)
        self.network.advance(1)
        fetching.add_peers([Address("10.0.0.1", 6881)])
        self.network.run_until(lambda: fetching.info is not None)
        self.network.advance(1)
        lost = {source: peers[-1].lost is not None for source, peers in unfinished.items()}
        self.assertEqual(lost, {"lsd": True, "pex": True, "tracker": False})
        self.network.advance(100)
        self.assertEqual([len(unfinished[source]) for source in ("lsd", "pex")], [1, 1])
        self.quiet()

    def test_what_those_gave_that_it_parted_from_is_still_told_of_their_source(self):
        session = self.swarm.session("10.0.0.2")
        self.swarm.add(self.swarm.session("10.0.0.1", DATA), PLAIN)
        self.network.host("10.0.0.1").limit(upload=30_000)
        fetching = self.swarm.add(session, PLAIN)
        fetching.add_peers([Address("10.0.0.1", 6881)], "lsd")
        self.network.run_until(lambda: fetching.tally.downloaded > 100_000)
        fetching._candidates.forget(["lsd"])
        fetching._peers.part_from(lambda _: "a test parts")
        self.network.advance(5)
        brought = {each.name: each.downloaded for each in fetching.sources()}
        self.assertEqual((brought["lsd"], "incoming" in brought), (fetching.tally.downloaded, False))
        self.quiet()


class TrackerTests(FindingTestCase):
    def tracker(self, host, *peers):
        """A tracker at http://HOST:80/announce that knows of these peers; the function that shuts it down."""
        counter = Counter()
        counter.peers = b"".join(Address(peer, 6881).packed for peer in peers)
        port = self.network.host(host).listenTCP(80, Site(counter))
        self.ports.append(port)
        return counter, port

    def test_a_private_torrent_parts_from_its_peers_when_another_tracker_takes_over(self):
        """BEP 27."""
        _, first = self.tracker("10.0.8.1", "10.0.0.8")
        self.tracker("10.0.8.2", "10.0.0.9")
        urls = [f"http://10.0.8.{number}/announce" for number in (1, 2)]
        metainfo = torrent(DATA, piece_length=32768, private=1, trackers=urls)
        one = self.listens(conduct(metainfo, peer_id=b"1" * 20), "10.0.0.8")
        other = self.listens(conduct(metainfo, peer_id=b"2" * 20), "10.0.0.9")
        fetching = self.swarm.add(self.swarm.session("10.0.0.1"), metainfo)
        self.network.advance(5)
        self.assertEqual([len(one), len(other)], [1, 0])
        first.stopListening()
        self.network.run_until(lambda: other, limit=2000)
        self.network.advance(5)
        self.assertTrue(all(peer.lost is not None for peer in one))  # some went for having said nothing
        self.assertIsNone(other[-1].lost)
        before = len(one)
        self.network.advance(600)
        self.assertEqual(len(one), before, "it is not dialed again")
        self.assertEqual(fetching._candidates.known(), (Address("10.0.0.9", 6881),))
        self.end()

    def test_what_each_tracker_found_is_told_apart_and_our_address_noted(self):
        counter, _ = self.tracker("10.0.8.1", "10.0.0.8", "10.0.0.9")
        counter.external = bytes((10, 0, 0, 1))
        metainfo = torrent(DATA, piece_length=32768, trackers=["http://10.0.8.1/announce", TRACKER])
        torrent_ = self.swarm.add(self.swarm.session("10.0.0.1"), metainfo)
        self.network.advance(5)
        rows = {row.detail: row.found for row in torrent_.sources() if row.name == "tracker"}
        self.assertEqual(rows, {"http://10.0.8.1/announce": 2, TRACKER: 0})
        self.assertEqual(torrent_._around.own_hosts.towards("10.0.0.5"), "10.0.0.1")
        self.end()

    def test_all_trackers_of_a_link_are_told_and_one_of_a_torrent(self):
        counters = [self.tracker(f"10.0.8.{number}")[0] for number in (1, 2)]
        urls = [f"http://10.0.8.{number}/announce" for number in (1, 2)]
        session = self.swarm.session("10.0.0.1")
        self.swarm.add(session, torrent(DATA, piece_length=32768, trackers=urls))
        self.network.advance(5)
        self.assertEqual([len(counter.asked) for counter in counters], [1, 0])
        other = torrent(DATA[:100_000], piece_length=32768)
        self.swarm.add(session, link(other, *[f"tr={url}" for url in urls]))
        self.network.advance(5)
        self.assertEqual([len(counter.asked) for counter in counters], [2, 1])
        self.end()

    def test_a_link_that_proves_private_is_told_to_one_tracker_from_then_on(self):
        counters = [self.tracker(f"10.0.8.{number}")[0] for number in (1, 2)]
        urls = [f"http://10.0.8.{number}/announce" for number in (1, 2)]
        fetching = self.swarm.add(
            self.swarm.session("10.0.0.1"), link(PRIVATE, *[f"tr={url}" for url in urls])
        )
        self.network.advance(5)
        self.swarm.add(self.swarm.session("10.0.0.2", DATA), PRIVATE)
        fetching.add_peers([Address("10.0.0.2", 6881)])
        self.swarm.until_complete(fetching, limit=60)
        self.network.advance(5)
        events = [[event for (event,) in counter.told("event")] for counter in counters]
        self.assertEqual([told[:2] for told in events], [["started", "stopped"]] * 2)
        self.assertEqual(sorted(told[2:] for told in events), [[], ["started", "completed"]])
        self.end()


class LocalTests(FindingTestCase):
    def test_two_on_a_network_find_each_other_without_anything_else(self):
        lan = Lan(self.network.host("10.9.9.9"))
        seed, leech = self.swarm.session("10.0.0.1", DATA), self.swarm.session("10.0.0.2")
        lan.connect(seed, "10.0.0.1")
        lan.connect(leech, "10.0.0.2")
        self.swarm.add(seed, PLAIN)
        fetching = self.swarm.add(leech, PLAIN)
        self.swarm.until_complete(fetching, limit=70)
        self.quiet()

    def test_turned_off_nothing_is_said(self):
        lan = Lan(self.network.host("10.9.9.9"))
        settings = SessionSettings(ports=(6881,), lsd=LsdSettings(enabled=False))
        session = self.swarm.session("10.0.0.1", settings=settings)
        lan.connect(session, "10.0.0.1")
        torrent_ = self.swarm.add(session, PLAIN)
        self.network.advance(100)
        self.assertEqual((lan.said, lan.members, self.source(torrent_, "lsd").state), ([], [], "off"))
        self.quiet()

    def test_a_torrent_that_stops_is_not_announced_any_more(self):
        lan = Lan(self.network.host("10.9.9.9"))
        session = self.swarm.session("10.0.0.1")
        lan.connect(session, "10.0.0.1")
        torrent_ = self.swarm.add(session, PLAIN)
        self.network.advance(1)
        self.network.result_of(torrent_.stop())
        self.network.advance(1000)
        self.assertEqual(len(lan.said), 1)
        torrent_.start()
        self.network.advance(1)
        self.assertEqual(len(lan.said), 2)
        self.quiet()

    def test_without_a_network_it_is_told_why(self):
        torrent_ = self.swarm.add(self.swarm.session("10.0.0.1"), PLAIN)
        self.network.advance(1)
        self.assertIn("no network", self.source(torrent_, "lsd").error)
        self.quiet()

    def test_who_makes_up_peers_fills_only_so_much(self):
        torrent_ = self.swarm.add(self.swarm.session("10.0.0.1"), PLAIN)
        for number in range(2 * MAX_LOCAL):
            torrent_.add_peers([Address(f"10.1.{number >> 8}.{number & 255}", 1)], "lsd")
        self.assertEqual(torrent_._candidates.kept_of("lsd"), MAX_LOCAL)
        self.quiet()


class PriorityTests(FindingTestCase):
    """BEP 40."""

    def full(self, **more):
        settings = SessionSettings(
            ports=(6881,), max_peers_per_torrent=2, external_address="10.0.0.1", **more
        )
        return self.swarm.add(self.swarm.session("10.0.0.1", settings=settings), PLAIN)

    def priorities(self, torrent_, hosts):
        own = torrent_._around.own_hosts
        return sorted(hosts, key=lambda host: own.priority(Address(host, 1), 6881))

    def test_when_there_are_enough_the_peer_of_the_lowest_priority_makes_room(self):
        torrent_ = self.full()
        low, middle, high = self.priorities(torrent_, ["10.0.1.1", "10.0.2.2", "10.0.3.3"])
        peers = {
            host: self.dials_in(conduct(PLAIN, peer_id=host.encode().ljust(20, b"-"), hello={"p": 1}), host)
            for host in (middle, low, high)
        }
        self.network.advance(6)
        self.assertEqual([peers[host].lost is None for host in (low, middle, high)], [False, True, True])
        self.assertEqual(len(torrent_), 2)
        self.quiet()

    def test_who_comes_with_a_lower_priority_is_refused(self):
        torrent_ = self.full()
        low, middle, high = self.priorities(torrent_, ["10.0.1.1", "10.0.2.2", "10.0.3.3"])
        peers = {
            host: self.dials_in(conduct(PLAIN, peer_id=host.encode().ljust(20, b"-"), hello={"p": 1}), host)
            for host in (high, middle, low)
        }
        self.network.advance(6)
        self.assertEqual([peers[host].lost is None for host in (low, middle, high)], [False, True, True])
        self.quiet()

    def test_who_gives_us_blocks_stays(self):
        torrent_ = self.full()
        low, middle, high = self.priorities(torrent_, ["10.0.1.1", "10.0.2.2", "10.0.3.3"])
        for host in (low, middle):
            self.swarm.add(self.swarm.session(host, DATA), PLAIN)
            self.network.host(host).limit(upload=5000)
        torrent_.add_peers([Address(low, 6881), Address(middle, 6881)])
        self.network.run_until(
            lambda: all(talk.downloaded for talk in torrent_._peers) and len(torrent_) == 2
        )
        self.network.advance(2)
        peer = self.dials_in(conduct(PLAIN), high)
        self.network.advance(6)
        self.assertIsNotNone(peer.lost)
        self.quiet(after=600)

    def test_where_our_address_is_not_known_nobody_makes_room(self):
        settings = SessionSettings(ports=(6881,), max_peers_per_torrent=1)
        self.swarm.add(self.swarm.session("10.0.0.1", settings=settings), PLAIN)
        first, second = (
            self.dials_in(conduct(PLAIN, peer_id=bytes([n]) * 20), f"10.0.{n}.1") for n in (1, 2)
        )
        self.network.advance(6)
        self.assertEqual((first.lost, second.lost is None), (None, False))
        self.quiet()

    def test_peers_tell_us_our_address(self):
        torrent_ = self.swarm.add(self.swarm.session("10.0.0.1"), PLAIN)
        self.dials_in(conduct(PLAIN, hello={"yourip": bytes((10, 0, 0, 1))}))
        self.assertEqual(torrent_._around.own_hosts.towards("10.0.0.5"), "10.0.0.1")
        self.quiet()

    def test_but_not_that_we_are_where_it_cannot_see_us(self):
        torrent_ = self.swarm.add(self.swarm.session("10.0.0.1"), PLAIN)
        for number, host in enumerate(("8.8.8.8", "2001:db8::1", "127.0.0.1", "224.0.0.1", "0.0.0.0"), 1):
            hello = {"yourip": ip_address(host).packed}
            self.dials_in(conduct(PLAIN, peer_id=bytes([number]) * 20, hello=hello), f"10.0.7.{number}")
        own_hosts = torrent_._around.own_hosts
        seen = (own_hosts.public(4), own_hosts.public(6), own_hosts.towards("10.0.0.5"))
        self.assertEqual(seen, (None, None, None))
        self.quiet()

    def test_the_addresses_that_a_peer_claims_to_have_are_neither_dialed_nor_passed_on(self):
        """Whoever says `ipv4` or `ipv6` of BEP 10 may name anybody: only where it was seen counts."""
        torrent_ = self.swarm.add(self.swarm.session("10.0.0.1"), PLAIN)
        told = self.dials_in(conduct(PLAIN, peer_id=b"told" * 5), "10.0.0.8")
        claims = {"ipv4": bytes((10, 0, 0, 66)), "ipv6": ip_address("2001:db8::66").packed, "p": 6881}
        liar = self.dials_in(conduct(PLAIN, peer_id=b"liar" * 5, hello=claims), "10.0.0.9")
        self.network.advance(GATHERING + 1)
        liar.abort()
        self.network.advance(INTERVAL + 40)
        self.assertEqual(torrent_._candidates.known(), ())
        self.assertEqual(self.network.host("10.0.0.1").dialed, [])
        named = {contact.address for message in self.messages(told) for contact in message.added}
        self.assertEqual(named, {Address("10.0.0.9", 6881)})
        self.quiet()


class UsersWordTests(FindingTestCase):
    def test_peers_of_a_link_are_counted_as_its_own(self):
        self.swarm.add(self.swarm.session("10.0.0.1", DATA), PLAIN)
        fetching = self.swarm.add(self.swarm.session("10.0.0.2"), link(PLAIN, "x.pe=10.0.0.1:6881"))
        self.swarm.until_complete(fetching, limit=20)
        row = self.source(fetching, "magnet")
        self.assertEqual((row.found, row.downloaded), (1, len(DATA)))
        self.quiet()

    def test_a_tracker_added_is_kept_and_one_removed_is_not(self):
        torrent_ = self.swarm.add(self.swarm.session("10.0.0.1"), PLAIN)
        torrent_.add_tracker(TRACKER)
        torrent_.add_tracker(TRACKER)
        torrent_.add_tracker("udp://10.0.0.98:80", tier=0)
        self.assertEqual(torrent_.tracker_tiers, ((TRACKER, "udp://10.0.0.98:80"),))
        self.assertEqual(torrent_.saved().source.trackers, torrent_.tracker_tiers)
        rows = [(row.name, row.detail) for row in torrent_.sources()]
        self.assertEqual(rows[:2], [("tracker", TRACKER), ("tracker", "udp://10.0.0.98:80")])
        torrent_.remove_tracker(TRACKER)
        torrent_.remove_tracker(TRACKER)
        self.assertEqual(torrent_.tracker_tiers, (("udp://10.0.0.98:80",),))
        torrent_.remove_tracker("udp://10.0.0.98:80")
        self.assertEqual((torrent_.tracker_tiers, torrent_.trackers()), ((), ()))
        self.quiet()

    def test_what_is_no_tracker_is_refused(self):
        torrent_ = self.swarm.add(self.swarm.session("10.0.0.1"), PLAIN)
        for url in ("", "ftp://10.0.0.1/", "http://10.0.0.1/\nannounce"):
            self.assertRaises(SessionError, torrent_.add_tracker, url)
        self.quiet()

    def test_a_tracker_can_be_added_to_a_link_and_is_kept_with_its_metadata(self):
        torrent_ = self.swarm.add(self.swarm.session("10.0.0.2"), link(PLAIN, f"tr={TRACKER}"))
        torrent_.add_tracker("http://10.0.0.98/announce")
        self.swarm.add(self.swarm.session("10.0.0.1", DATA), PLAIN)
        torrent_.add_peers([Address("10.0.0.1", 6881)])
        self.swarm.until_complete(torrent_, limit=20)
        self.assertEqual(torrent_.metainfo.trackers, ((TRACKER,), ("http://10.0.0.98/announce",)))
        self.quiet()
