"""Sessions in memory under limits and filters."""

from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bittwist.net.addressfilter import FilterSettings
from bittwist.session import SessionSettings
from bittwist.session.lifecycle import State
from bittwist.session.limits import LimitSettings, TorrentLimits
from bittwist.session.state import SavedTorrent
from bittwist.storage.memory import MemoryStorage
from tests.session.swarm import Swarm, fill
from tests.session.torrents import content, torrent

DATA = content(2_000_000)
METAINFO = torrent(DATA, piece_length=32768)
SEED, LEECH = "10.0.0.1", "10.0.0.2"


def limited(**limits):
    return SessionSettings(ports=(6881,), limits=LimitSettings(**limits))


class RateTests(SynchronousTestCase):
    def setUp(self):
        self.swarm = Swarm()

    def transfer(self, seed=None, leech=None):
        """Seconds that a transfer takes."""
        giving = self.swarm.session(SEED, DATA, seed)
        taking = self.swarm.session(LEECH, settings=leech)
        self.giving = self.swarm.add(giving, METAINFO)
        self.taking = self.swarm.add(taking, METAINFO, [f"{SEED}:6881"])
        began = self.swarm.network.seconds()
        self.swarm.until_complete(self.taking)
        took = self.swarm.network.seconds() - began
        self.assertEqual(self.swarm.data(LEECH, METAINFO.info), DATA)
        self.assertEqual(self.taking.tally.wasted, 0)
        return took

    def test_without_limits_it_is_quick(self):
        self.assertLess(self.transfer(), 2)
        self.swarm.quiet()

    def test_an_upload_limit_holds(self):
        self.assertApproximates(self.transfer(seed=limited(upload_rate=100_000)), 20, 1)
        self.swarm.quiet()

    def test_a_download_limit_holds(self):
        self.assertApproximates(self.transfer(leech=limited(download_rate=100_000)), 20, 1)
        self.swarm.quiet()

    def test_a_limit_of_each_torrent_holds(self):
        self.assertApproximates(self.transfer(leech=limited(torrent_download_rate=200_000)), 10, 0.7)
        self.swarm.quiet()

    def test_requests_count_as_well(self):
        took = self.transfer(leech=limited(upload_rate=200))
        self.assertGreater(took, len(DATA) / 16384 * 17 / 200 * 0.9)
        self.swarm.quiet()

    def test_a_low_limit_wastes_nothing_and_drops_nobody(self):
        seeds = [self.swarm.session(f"10.0.1.{n}", DATA) for n in range(10)]
        for seed in seeds:
            self.swarm.add(seed, METAINFO)
        leech = self.swarm.session(LEECH, settings=limited(download_rate=30_000))
        fetching = self.swarm.add(leech, METAINFO, [f"10.0.1.{n}:6881" for n in range(10)])
        self.swarm.network.advance(30)
        self.assertEqual(len(fetching), 10)
        self.assertGreater(fetching.tally.downloaded, 0.9 * 30 * 30_000)
        self.assertEqual(fetching.tally.wasted, 0)
        self.swarm.quiet()

    def test_a_stop_does_not_wait_for_a_limit(self):
        giving = self.swarm.session(SEED, DATA, limited(upload_rate=1000))
        self.swarm.add(giving, METAINFO)
        taking = self.swarm.session(LEECH)
        self.swarm.add(taking, METAINFO, [f"{SEED}:6881"])
        self.swarm.network.advance(30)
        began = self.swarm.network.seconds()
        self.swarm.quiet()
        self.assertLess(self.swarm.network.seconds() - began, 10)

    def test_a_torrent_keeps_its_own_limits(self):
        session = self.swarm.session(SEED, DATA)
        giving = self.swarm.add(session, METAINFO)
        self.assertEqual(giving.limits, TorrentLimits())
        giving.set_limits(30_000, 0)
        saved = SavedTorrent.decode(giving.saved().encode())
        self.assertEqual(saved.limits, TorrentLimits(30_000, 0))
        self.assertRaises(ValueError, giving.set_limits, -1, None)
        self.swarm.quiet()


class FilterTests(SynchronousTestCase):
    def setUp(self):
        self.swarm = Swarm()
        self.list = Path(self.mktemp())

    def filtered(self, text):
        self.list.write_text(text)
        return SessionSettings(ports=(6881,), ip_filter=FilterSettings((self.list,)))

    def test_who_is_on_the_list_is_not_dialed(self):
        self.swarm.add(self.swarm.session(SEED, DATA), METAINFO)
        leech = self.swarm.session(LEECH, settings=self.filtered("10.0.0.1\n"))
        fetching = self.swarm.add(leech, METAINFO, [f"{SEED}:6881"])
        self.swarm.network.advance(60)
        self.assertEqual(self.swarm.network.host(LEECH).dialed, [])
        self.assertEqual((len(fetching), fetching.statistics().known_peers), (0, 0))
        self.assertEqual((leech.filter_status.ranges, leech.filter_status.refused), (1, 1))
        self.swarm.quiet()

    def test_who_is_on_the_list_cannot_connect(self):
        seed = self.swarm.session(SEED, DATA, self.filtered("somebody:10.0.0.2-10.0.0.2\n"))
        giving = self.swarm.add(seed, METAINFO)
        fetching = self.swarm.add(self.swarm.session(LEECH), METAINFO, [f"{SEED}:6881"])
        self.swarm.network.advance(10)
        self.assertEqual((len(giving), len(fetching)), (0, 0))
        self.assertGreater(seed.filter_status.refused, 0)
        self.swarm.quiet()

    def test_whom_a_new_list_names_is_parted_from(self):
        seed = self.swarm.session(SEED, DATA, self.filtered("192.0.2.1\n"))
        giving = self.swarm.add(seed, METAINFO)
        self.swarm.add(self.swarm.session(LEECH), METAINFO, [f"{SEED}:6881"])
        seed.apply(replace(seed.settings, limits=LimitSettings(upload_rate=1000)))
        self.swarm.network.advance(5)
        self.assertEqual(len(giving), 1)
        self.list.write_text("192.0.2.1\n10.0.0.0/24\n")
        self.swarm.network.result_of(seed.reload_filter())
        self.swarm.network.advance(5)
        self.assertEqual(len(giving), 0)
        self.swarm.quiet()

    def test_without_the_list_nobody_is_met_until_it_is_there(self):
        self.swarm.add(self.swarm.session(SEED, DATA), METAINFO)
        settings = SessionSettings(ports=(6881,), ip_filter=FilterSettings((self.list,)))
        leech = self.swarm.session(LEECH, settings=settings)
        fetching = self.swarm.add(leech, METAINFO, [f"{SEED}:6881"])
        self.swarm.network.advance(30)
        self.assertIn("No such file", leech.filter_status.error)
        self.assertEqual(len(fetching), 0)
        self.list.write_text("# nobody\n")
        self.swarm.network.advance(60)
        leech.add_peers(fetching, [f"{SEED}:6881"])
        self.swarm.network.run_until(lambda: fetching.state is State.SEEDING, 60)
        self.swarm.quiet()


class SlotTests(SynchronousTestCase):
    def test_all_torrents_together_give_to_so_many_peers_and_to_more_when_they_may(self):
        swarm = Swarm()
        contents = {torrent(data, piece_length=32768): data for data in map(content, (2_000_000, 1_900_000))}

        def storage(info):
            made = MemoryStorage(info)
            fill(made, info, next(data for metainfo, data in contents.items() if metainfo.info == info))
            return made

        settings = limited(upload_slots=4, upload_rate=20_000)
        seed = swarm.session(SEED, settings=settings, storage=storage)
        giving = [swarm.add(seed, metainfo) for metainfo in contents]
        for number, metainfo in enumerate([*contents] * 5):
            swarm.add(swarm.session(f"10.0.1.{number}"), metainfo, [f"{SEED}:6881"])

        def served():
            return [sum(not peer.choked_by_us for peer in torrent.peers()) for torrent in giving]

        seen = []
        for _ in range(60):
            swarm.network.advance(1)
            seen.append(served())
        self.assertGreater(seen.count([2, 2]), 50)
        self.assertEqual(seen[-1], [2, 2])
        self.assertLessEqual(max(map(sum, seen)), 4)
        seed.apply(replace(settings, limits=replace(settings.limits, upload_slots=0)))
        swarm.network.advance(15)
        self.assertEqual(served(), [5, 5])
        swarm.quiet()
