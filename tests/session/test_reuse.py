"""What similar torrents have already is copied from them, and they are left as they are (BEP 38)."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from bittwist.metainfo.metainfo import Metainfo
from bittwist.session.lifecycle import State
from tests.session.filed import FiledSwarm, share
from tests.storage.torrents import content_of, make_info

OLD, OLD_DATA = share([("one", 100_000), ("two", 60_000), ("gone", 40_000)])
NEW_FILES = [("first", 5_000), ("one", 100_000), ("two", 60_000), ("new", 30_000)]
NEW_DATA = content_of(5_000, 8) + OLD_DATA[:160_000] + content_of(30_000, 9)
NEW_INFO = make_info(NEW_DATA, NEW_FILES, piece_length=16384, name="newer")
NEW = replace(Metainfo.from_info(NEW_INFO), similar=(OLD.info.info_hash.v1,))


class ReuseTests(SynchronousTestCase):
    def start(self, **changed):
        self.swarm = FiledSwarm(self, OLD, OLD_DATA)
        self.session = self.swarm.leech(**changed)
        self.old = self.swarm.fetch(self.session)
        self.swarm.until_complete(self.old)

    def add(self, metainfo=NEW):
        return self.swarm.network.result_of(self.session.add(metainfo, self.swarm.folder / "new"))

    def stamps(self):
        root = self.swarm.folder / "save"
        return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in root.rglob("*")}

    def test_what_a_similar_torrent_has_is_copied_when_asked_and_nothing_is_written_there(self):
        self.start()
        before = self.stamps()
        torrent = self.add()
        self.swarm.network.advance(1)
        self.assertEqual(torrent.statistics().done, 0)
        copied = self.swarm.network.result_of(torrent.reuse_similar())
        whole = [at for at in range(0, len(NEW_DATA), 16384) if at >= 5_000 and at + 16384 <= 165_000]
        self.assertEqual(copied, len(whole))
        self.assertEqual(torrent.statistics().pieces_done, len(whole))
        self.assertEqual(torrent.tally.downloaded, 0)
        found = self.swarm.there("new")["newer/one"]
        self.assertEqual(found[16384:], OLD_DATA[16384:100_000])
        self.assertEqual(self.stamps(), before)
        self.swarm.quiet()

    def test_it_is_done_unasked_where_the_settings_say_so(self):
        self.start(reuse_similar=True)
        torrent = self.add()
        self.swarm.network.advance(1)
        self.assertGreater(torrent.statistics().pieces_done, 5)
        self.swarm.quiet()

    def test_a_torrent_that_is_complete_that_way_seeds(self):
        self.start(reuse_similar=True)
        info = make_info(
            OLD_DATA[:160_000], [("one", 100_000), ("two", 60_000)], name="part", piece_length=65536
        )
        torrent = self.add(replace(Metainfo.from_info(info), similar=(OLD.info.info_hash.v1,)))
        self.swarm.network.advance(1)
        self.assertIs(torrent.state, State.SEEDING)
        self.swarm.quiet()

    def test_a_torrent_without_a_hint_is_not_looked_at(self):
        self.start()
        torrent = self.add(Metainfo.from_info(NEW_INFO))
        self.swarm.network.advance(1)
        self.assertEqual(self.swarm.network.result_of(torrent.reuse_similar()), 0)
        self.swarm.quiet()

    def test_bytes_that_are_others_after_all_are_not_kept(self):
        self.start()
        info = make_info(
            content_of(160_000, 77), [("one", 100_000), ("two", 60_000)], name="false", piece_length=16384
        )
        torrent = self.add(replace(Metainfo.from_info(info), similar=(OLD.info.info_hash.v1,)))
        self.swarm.network.advance(1)
        self.assertEqual(self.swarm.network.result_of(torrent.reuse_similar()), 0)
        self.assertEqual(set(self.swarm.there("new")["false/one"]), set())
        self.swarm.quiet()

    def test_one_that_does_not_download_has_no_use_for_it(self):
        self.start()
        self.assertEqual(self.swarm.network.result_of(self.old.reuse_similar()), 0)
        self.swarm.quiet()
