"""Whole swarms in memory: sessions that meet, fetch, seed and part."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.metainfo.magnet import Magnet
from bittwist.session.lifecycle import State
from tests.session.swarm import Swarm
from tests.session.torrents import content, torrent

DATA = content(300_000)
METAINFO = torrent(DATA, piece_length=32768)


class SwarmTests(SynchronousTestCase):
    def test_a_leech_fetches_everything_from_a_seed(self):
        swarm = Swarm()
        seed = swarm.session("10.0.0.1", DATA)
        leech = swarm.session("10.0.0.2")
        swarm.add(seed, METAINFO)
        fetching = swarm.add(leech, METAINFO, ["10.0.0.1:6881"])
        swarm.until_complete(fetching)
        self.assertEqual(swarm.data("10.0.0.2", METAINFO.info), DATA)
        self.assertEqual(fetching.tally.downloaded, len(DATA))
        self.assertEqual(fetching.statistics().done, len(DATA))
        self.assertIs(self.successResultOf(fetching.when_complete()), fetching)
        swarm.quiet()

    def test_five_leeches_finish_and_the_seed_gives_less_than_two_copies(self):
        data = content(4_000_000)
        metainfo = torrent(data, piece_length=65536)
        swarm = Swarm(seed=1)
        seed = swarm.session("10.0.0.1", data)
        swarm.network.host("10.0.0.1").limit(upload=400_000)
        seeding = swarm.add(seed, metainfo)
        addresses = [f"10.0.1.{n}" for n in range(1, 6)]
        torrents = [
            swarm.add(
                swarm.session(address),
                metainfo,
                ["10.0.0.1:6881", *(f"{other}:6881" for other in addresses if other != address)],
            )
            for address in addresses
        ]
        swarm.until_complete(*torrents)
        for address in addresses:
            self.assertEqual(swarm.data(address, metainfo.info), data)
        self.assertLess(seeding.tally.uploaded, 2 * len(data))
        swarm.quiet()

    def test_a_magnet_link_brings_the_metadata_and_then_the_data(self):
        swarm = Swarm()
        seed = swarm.session("10.0.0.1", DATA)
        leech = swarm.session("10.0.0.2")
        swarm.add(seed, METAINFO)
        magnet = Magnet.parse(f"magnet:?xt=urn:btih:{METAINFO.info.info_hash}&x.pe=10.0.0.1:6881")
        fetching = swarm.add(leech, magnet)
        self.assertIs(fetching.state, State.METADATA)
        swarm.until_complete(fetching, limit=5)
        self.assertEqual(fetching.metainfo.info.raw, METAINFO.info.raw)
        self.assertEqual(swarm.data("10.0.0.2", METAINFO.info), DATA)
        swarm.quiet()

    def test_two_halves_make_a_whole(self):
        swarm = Swarm()
        info = METAINFO.info
        half = 5 * 32768
        one = swarm.session("10.0.0.1", DATA[:half] + bytes(len(DATA) - half))
        two = swarm.session("10.0.0.2", bytes(half) + DATA[half:])
        torrents = [swarm.add(one, METAINFO), swarm.add(two, METAINFO, ["10.0.0.1:6881"])]
        swarm.until_complete(*torrents)
        self.assertEqual([swarm.data(a, info) for a in ("10.0.0.1", "10.0.0.2")], [DATA, DATA])
        swarm.quiet()

    def test_both_ends_dialing_at_once_leaves_one_connection(self):
        swarm = Swarm()
        one, two = swarm.session("10.0.0.1"), swarm.session("10.0.0.2")
        torrents = [
            swarm.add(one, METAINFO, ["10.0.0.2:6881"]),
            swarm.add(two, METAINFO, ["10.0.0.1:6881"]),
        ]
        swarm.network.advance(5)
        self.assertEqual([len(t) for t in torrents], [1, 1])
        swarm.quiet()

    def test_a_session_does_not_keep_a_connection_to_itself(self):
        swarm = Swarm()
        session = swarm.session("10.0.0.1")
        dialed = []
        dial = session._connector.dial
        session._connector.dial = lambda *to: dialed.append(to[0]) or dial(*to)
        torrent_ = swarm.add(session, METAINFO, ["10.0.0.1:6881"])
        swarm.network.advance(5)
        self.assertEqual((dialed, len(torrent_)), ([Address("10.0.0.1", 6881)], 0))
        swarm.quiet()

    def test_a_leech_goes_on_when_the_connection_breaks_and_the_seed_is_back(self):
        swarm = Swarm()
        seed, leech = swarm.session("10.0.0.1", DATA), swarm.session("10.0.0.2")
        swarm.network.host("10.0.0.1").limit(upload=50_000)
        seeding = swarm.add(seed, METAINFO)
        fetching = swarm.add(leech, METAINFO, ["10.0.0.1:6881"])
        swarm.network.run_until(lambda: fetching.tally.downloaded > 100_000)
        swarm.network.result_of(seeding.stop())
        swarm.network.advance(20)
        self.assertEqual(len(fetching), 0)
        seeding.start()
        swarm.until_complete(fetching, limit=1200)
        self.assertEqual(swarm.data("10.0.0.2", METAINFO.info), DATA)
        swarm.quiet()

    def test_stopping_waits_for_all_and_starting_again_goes_on(self):
        swarm = Swarm()
        seed, leech = swarm.session("10.0.0.1", DATA), swarm.session("10.0.0.2")
        swarm.add(seed, METAINFO)
        fetching = swarm.add(leech, METAINFO)
        swarm.network.result_of(fetching.stop())
        self.assertIs(fetching.state, State.STOPPED)
        fetching.start()
        leech.add_peers(fetching, ["10.0.0.1:6881"])
        swarm.until_complete(fetching)
        swarm.quiet()


class SettingsTests(SynchronousTestCase):
    def test_torrents_that_are_fetched_share_the_memory_for_pieces(self):
        swarm = Swarm()
        session = swarm.session("10.0.0.1")
        budget = session.settings.disk.memory_budget
        one = swarm.add(session, METAINFO)
        swarm.network.advance(1)
        self.assertEqual(one._course.content._picker.max_active, budget // 32768)
        two = swarm.add(session, torrent(content(100_000, b"two"), piece_length=65536))
        swarm.network.advance(1)
        self.assertEqual(one._course.content._picker.max_active, budget // 2 // 32768)
        self.assertEqual(two._course.content._picker.max_active, budget // 2 // 65536)
        swarm.quiet()

    def test_new_settings_hold_at_once(self):
        swarm = Swarm()
        seed, leech = swarm.session("10.0.0.1", DATA), swarm.session("10.0.0.2")
        leech.apply(replace(leech.settings, dial_below=0))
        swarm.add(seed, METAINFO)
        fetching = swarm.add(leech, METAINFO, ["10.0.0.1:6881"])
        swarm.network.advance(10)
        self.assertEqual((len(fetching), fetching.tally.downloaded), (0, 0))
        leech.apply(replace(leech.settings, dial_below=5))
        swarm.until_complete(fetching)
        swarm.quiet()
