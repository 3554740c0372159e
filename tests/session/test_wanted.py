"""What is wanted of a torrent's files, and where they are, changed while it runs."""

import os
from pathlib import PurePosixPath
from unittest import mock

from twisted.internet.defer import CancelledError
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import MagnetError, SessionError, StorageError, UnsafePath
from bittwist.metainfo.magnet import Magnet
from bittwist.session.lifecycle import State
from bittwist.swarm.priorities import Priority
from tests.session.filed import SEED_HOST, FiledSwarm, share

SKIP, LOW, NORMAL, HIGH = Priority
FILES = [("a", 40_000), ("b/c", 100), ("empty", 0), ("b/d", 60_000), ("pad", 5_000, "p"), ("e", 200_000)]
A, C, EMPTY, D, PAD, E = range(6)
METAINFO, DATA = share(FILES)
CONTENT = {}
AT = 0
for name, size, *_ in FILES:
    CONTENT[name] = DATA[AT : AT + size]
    AT += size


def only(*wanted):
    """Priorities that want these files and no others."""
    return {file: NORMAL if file in wanted else SKIP for file in range(len(FILES))}


class WantedTests(SynchronousTestCase):
    def start(self, wanted=None, upload=None, **changed):
        self.swarm = FiledSwarm(self, METAINFO, DATA, upload=upload)
        self.session = self.swarm.leech(**changed)
        choose = None if wanted is None else lambda info: only(*wanted)
        self.torrent = self.swarm.fetch(self.session, choose=choose)
        return self.torrent

    def complete(self):
        self.swarm.until_complete(self.torrent)

    def assertThere(self, *names, folder="save"):
        found = self.swarm.there(folder)
        found = {name: found[name] for name in found if not name.startswith(".bittwist/")}
        self.assertEqual(found, {f"share/{name}": CONTENT[name] for name in names})

    # Selection

    def test_only_what_is_wanted_is_fetched_and_made(self):
        torrent = self.start([A, D])
        self.complete()
        self.assertThere("a", "b/d")
        self.assertIs(torrent.state, State.SEEDING)
        self.assertLess(torrent.tally.downloaded, 130_000)
        statistics = torrent.statistics()
        self.assertTrue(statistics.complete)
        self.assertEqual(statistics.done + statistics.skipped, len(DATA))
        self.assertGreater(torrent.left, 0)
        self.assertIs(self.successResultOf(torrent.when_complete()), torrent)
        self.swarm.quiet()

    def test_the_files_tell_how_far_they_are(self):
        torrent = self.start([A, D])
        self.complete()
        files = torrent.files()
        self.assertEqual([str(file.path) for file in files[:2]], ["share/a", "share/b/c"])
        self.assertEqual([file.size for file in files], [size for _, size, *_ in FILES])
        self.assertEqual([file.done for file in files[:4]], [40_000, 100, 0, 60_000])
        self.assertLess(files[E].done, 16384)
        self.assertEqual([file.priority for file in files], [NORMAL, SKIP, SKIP, NORMAL, SKIP, SKIP])
        self.swarm.quiet()

    def test_with_nothing_wanted_it_is_complete_at_once(self):
        torrent = self.start([])
        self.complete()
        self.assertThere()
        self.assertEqual(torrent.tally.downloaded, 0)
        self.swarm.quiet()

    def test_more_is_wanted_of_a_partial_seed(self):
        torrent = self.start([A])
        self.complete()
        torrent.set_priorities({E: HIGH, EMPTY: NORMAL})
        self.swarm.network.advance(0.1)
        self.assertIs(torrent.state, State.DOWNLOADING)
        self.assertNoResult(torrent.when_complete())
        self.complete()
        self.assertThere("a", "e", "empty")
        torrent.set_priorities({C: NORMAL, D: NORMAL, PAD: NORMAL})
        self.complete()
        self.assertThere("a", "b/c", "b/d", "e", "empty")
        self.assertNotIn(".bittwist", [path.name for path in (self.swarm.folder / "save").iterdir()])
        self.assertEqual((torrent.left, torrent.tally.wasted), (0, 0))
        self.swarm.quiet()

    def test_what_is_not_wanted_any_more_is_not_fetched_and_what_is_there_stays(self):
        torrent = self.start(upload=20_000)
        self.swarm.network.run_until(lambda: torrent.tally.downloaded > 30_000)
        before = set(self.swarm.there())
        torrent.set_priorities(only(C))
        self.complete()
        self.assertLess(torrent.tally.downloaded, 150_000)
        self.assertEqual(set(self.swarm.there()), before)
        self.assertEqual(self.swarm.there()["share/b/c"], CONTENT["b/c"])
        self.swarm.quiet()

    def test_wanting_nothing_more_completes_it(self):
        torrent = self.start(upload=20_000)
        self.swarm.network.advance(1)
        torrent.set_priorities(only())
        self.assertIs(torrent.state, State.SEEDING)
        self.swarm.quiet()

    def test_what_is_wanted_most_comes_first(self):
        torrent = self.start(upload=50_000)
        torrent.set_priorities({A: LOW, E: LOW, D: HIGH})
        self.swarm.network.run_until(lambda: torrent.files()[D].done == 60_000)
        self.assertLess(torrent.tally.downloaded, 150_000)
        self.complete()
        self.swarm.quiet()

    def test_in_order_the_first_bytes_come_first(self):
        torrent = self.start(upload=50_000)
        torrent.set_sequential(True)
        self.swarm.network.run_until(lambda: torrent.files()[A].done == 40_000)
        self.assertLess(torrent.tally.downloaded, 150_000)
        self.complete()
        self.swarm.quiet()

    def test_the_ends_of_files_come_first_when_asked_for(self):
        torrent = self.start([E], upload=50_000)
        torrent.set_first_and_last(True)
        ends = (METAINFO.info.geometry.pieces_of_file(E)[0], METAINFO.info.geometry.pieces_of_file(E)[-1])
        self.swarm.network.run_until(lambda: all(end in torrent._course.progress.have for end in ends))
        self.assertLess(torrent.tally.downloaded, 130_000)
        self.complete()
        self.swarm.quiet()

    def test_a_piece_with_a_deadline_comes_next(self):
        torrent = self.start(upload=40_000)
        self.swarm.network.advance(1)
        have = torrent._course.progress.have
        last = max(have.missing())
        torrent.set_deadline(last, 1.0)
        before = torrent.tally.downloaded
        self.swarm.network.run_until(lambda: last in torrent._course.progress.have)
        self.assertLess(torrent.tally.downloaded - before, 150_000)
        torrent.clear_deadlines()
        self.complete()
        self.assertRaises(IndexError, torrent.set_deadline, 10**6, 1.0)
        self.swarm.quiet()

    def test_wishes_that_make_no_sense_are_refused(self):
        torrent = self.start([A])
        self.assertRaises(IndexError, torrent.set_priorities, {17: LOW})
        self.assertRaises(ValueError, torrent.set_priorities, {A: 3})
        magnet = Magnet.parse(f"magnet:?xt=urn:btih:{'ab' * 20}")
        unknown = self.swarm.fetch(self.session, magnet)
        self.assertRaises(SessionError, unknown.set_priorities, {0: LOW})
        self.assertEqual(unknown.files(), ())
        self.swarm.quiet()

    def test_a_magnet_link_that_names_files_wants_no_others(self):
        self.swarm = FiledSwarm(self, METAINFO, DATA)
        link = Magnet.parse(f"magnet:?xt=urn:btih:{METAINFO.info.info_hash}&x.pe={SEED_HOST}:6881&so=0,3")
        self.torrent = self.swarm.fetch(self.swarm.leech(), link)
        self.complete()
        self.assertThere("a", "b/d")
        self.swarm.quiet()

    # Nothing is fetched that was not chosen

    def link(self, parts=""):
        return Magnet.parse(f"magnet:?xt=urn:btih:{METAINFO.info.info_hash}&x.pe={SEED_HOST}:6881{parts}")

    def again(self):
        """The torrent in another session, after a restart."""
        self.swarm.network.result_of(self.session.stopService())
        self.swarm.sessions.remove(self.session)
        self.session = self.swarm.leech()
        (self.torrent,) = self.session.torrents
        self.swarm.network.advance(2)
        self.session.add_peers(self.torrent, [f"{SEED_HOST}:6881"])
        return self.torrent

    def assertUnchosen(self, torrent, why):
        self.swarm.network.advance(10)
        self.assertIs(torrent.state, State.FAILED)
        self.assertIn(why, torrent.reason)
        self.assertEqual((torrent.tally.downloaded, self.swarm.there()), (0, {}))

    def assertGoesOnWith(self, torrent):
        """It fetches a file that is chosen now, and nothing else."""
        self.assertEqual({file.priority for file in torrent.files()}, {SKIP})
        torrent.set_priorities({A: NORMAL})
        torrent.start()
        self.session.add_peers(torrent, [f"{SEED_HOST}:6881"])
        self.complete()
        self.assertThere("a")
        torrent = self.again()
        self.complete()
        self.assertEqual([file.priority for file in torrent.files()][:2], [NORMAL, SKIP])
        self.assertThere("a")

    def test_a_link_that_names_no_file_there_is_fetches_nothing_whoever_starts_it(self):
        self.swarm = FiledSwarm(self, METAINFO, DATA)
        self.session = self.swarm.leech()
        self.torrent = self.swarm.fetch(self.session, self.link("&so=99"))
        self.assertUnchosen(self.torrent, "the link wants files that share has not")
        self.torrent.start()
        self.assertUnchosen(self.torrent, "the link wants files that share has not")
        self.torrent.set_priorities({})
        self.torrent.retry()
        self.assertUnchosen(self.again(), "the link wants files that share has not")
        self.assertUnchosen(self.again(), "the link wants files that share has not")
        self.assertGoesOnWith(self.torrent)
        self.swarm.quiet()

    def test_a_choice_that_fails_is_not_everything_after_a_restart_either(self):
        def choose(_info):
            raise SessionError("none of these files")

        self.swarm = FiledSwarm(self, METAINFO, DATA)
        self.session = self.swarm.leech()
        self.torrent = self.swarm.fetch(self.session, self.link(), choose=choose)
        self.assertUnchosen(self.torrent, "none of these files")
        self.assertUnchosen(self.again(), "none of these files")
        self.assertGoesOnWith(self.torrent)
        self.swarm.quiet()

    def test_a_choice_of_a_file_that_there_is_not_wants_none(self):
        self.swarm = FiledSwarm(self, METAINFO, DATA)
        self.session = self.swarm.leech()
        self.torrent = self.swarm.fetch(self.session, self.link(), choose=lambda info: {99: SKIP})
        self.assertUnchosen(self.torrent, "could not be chosen")
        self.assertEqual(len(self.swarm.network.flush_failures(IndexError)), 1)
        self.flushLoggedErrors(IndexError)
        self.assertUnchosen(self.again(), "could not be chosen")
        self.swarm.quiet()

    def test_a_choice_that_a_restart_came_before_is_asked_of_the_user(self):
        self.swarm = FiledSwarm(self, METAINFO, DATA)
        self.session = self.swarm.leech()
        link = Magnet.parse(f"magnet:?xt=urn:btih:{METAINFO.info.info_hash}")
        adding = self.session.add(link, self.swarm.folder / "save", choose=lambda info: only(A))
        self.torrent = self.swarm.network.result_of(adding)
        self.swarm.network.advance(1)
        self.assertUnchosen(self.again(), "to be chosen")
        self.assertGoesOnWith(self.torrent)
        self.swarm.quiet()

    def test_a_link_whose_choice_cannot_be_read_is_refused_unless_the_user_chooses(self):
        self.swarm = FiledSwarm(self, METAINFO, DATA)
        self.session = self.swarm.leech()
        refused = self.session.add(self.link("&so=7-4"), self.swarm.folder / "save")
        self.assertIn("so=7-4", str(self.failureResultOf(refused, MagnetError).value))
        self.torrent = self.swarm.fetch(self.session, self.link("&so=7-4"), choose=lambda info: only(A))
        self.complete()
        self.assertThere("a")
        self.swarm.quiet()

    def test_a_file_that_cannot_be_made_fails_the_torrent_and_a_retry_goes_on(self):
        torrent = self.start([A])
        self.complete()
        stranger = self.swarm.folder / "save/share/e"
        stranger.write_bytes(b"precious")
        torrent.set_priorities({E: NORMAL})
        self.swarm.network.advance(1)
        self.assertIs(torrent.state, State.FAILED)
        self.assertEqual(stranger.read_bytes(), b"precious")
        stranger.unlink()
        torrent.start()
        self.complete()
        self.assertThere("a", "e")
        self.swarm.quiet()

    def test_a_file_that_there_is_no_room_for_is_made_when_there_is(self):
        torrent = self.start([A], allocation="full")
        self.complete()
        full = mock.patch.object(os, "posix_fallocate", side_effect=OSError(28, "No space left on device"))
        with full:
            torrent.set_priorities({E: NORMAL})
            self.swarm.network.advance(1)
            self.assertIs(torrent.state, State.WAITING)
            self.swarm.network.advance(100)
            self.assertIs(torrent.state, State.WAITING)
        self.swarm.network.advance(31)
        self.complete()
        self.assertThere("a", "e")
        self.swarm.quiet()

    def test_trackers_are_told_that_it_is_a_partial_seed(self):
        torrent = self.start([A])
        self.complete()
        self.assertTrue(torrent._course.content.partial)
        self.assertGreater(torrent.left, 0)
        self.swarm.quiet()

    def test_what_is_wanted_is_remembered(self):
        torrent = self.start([A, D])
        torrent.set_sequential(True)
        self.complete()
        self.swarm.network.result_of(self.session.stopService())
        again = self.swarm.leech()
        (torrent,) = again.torrents
        self.swarm.network.run_until(lambda: torrent.state is State.SEEDING)
        self.assertEqual([file.priority for file in torrent.files()][:2], [NORMAL, SKIP])
        self.assertTrue(torrent.wishes.sequential)
        self.assertThere("a", "b/d")
        self.swarm.sessions.remove(self.session)
        self.swarm.quiet()

    def test_wishes_during_a_check_hold_after_it(self):
        torrent = self.start([A])
        self.complete()
        torrent.recheck()
        torrent.set_priorities({D: NORMAL})
        self.complete()
        self.assertThere("a", "b/d")
        self.swarm.quiet()

    def test_when_it_is_removed_nothing_is_left_of_what_was_skipped(self):
        torrent = self.start([A])
        self.complete()
        self.assertTrue((self.swarm.folder / "save/.bittwist").exists())
        self.swarm.network.result_of(self.session.remove(torrent.info_hash))
        self.assertFalse((self.swarm.folder / "save/.bittwist").exists())
        self.assertThere("a")
        self.swarm.quiet()

    # Names and places

    def test_a_file_is_renamed_while_it_is_fetched(self):
        torrent = self.start(upload=50_000)
        self.swarm.network.run_until(lambda: torrent.tally.downloaded > 100_000)
        named = self.swarm.network.result_of(torrent.rename_file(E, "elsewhere/new name"))
        self.assertEqual(named, PurePosixPath("elsewhere/new name"))
        self.complete()
        self.assertEqual(self.swarm.there()["elsewhere/new name"], CONTENT["e"])
        self.assertNotIn("share/e", self.swarm.there())
        self.swarm.network.result_of(self.session.stopService())
        again = self.swarm.leech()
        self.swarm.network.run_until(lambda: again.torrents[0].state is State.SEEDING)
        self.assertEqual(again.torrents[0].files()[E].path, PurePosixPath("elsewhere/new name"))
        self.assertEqual(again.torrents[0].tally.downloaded, torrent.tally.downloaded)
        self.swarm.sessions.remove(self.session)
        self.swarm.quiet()

    def test_nobody_has_to_wait_for_a_rename(self):
        torrent = self.start(busy=0.5)
        self.complete()
        for moment in (0.0, 0.3, 0.6, 0.9):
            renaming = torrent.rename_file(A, f"share/after {moment}")
            self.swarm.network.advance(moment)
            renaming.cancel()
            renaming.addErrback(lambda failure: failure.trap(CancelledError))
            self.swarm.network.advance(5)
            self.assertEqual(torrent.files()[A].path, PurePosixPath(f"share/after {moment}"))
            self.assertEqual(self.swarm.there()[f"share/after {moment}"], CONTENT["a"])
        self.swarm.quiet()

    def test_one_that_fails_when_nobody_waits_any_more_is_logged(self):
        torrent = self.start(busy=0.5)
        self.complete()
        (self.swarm.folder / "save/taken").write_bytes(b"precious")
        renaming = torrent.rename_file(A, "taken")
        renaming.cancel()
        self.failureResultOf(renaming, CancelledError)
        with capturedLogs() as events:
            self.swarm.network.advance(5)
        told = [formatEvent(event) for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(len(told), 1, told)
        self.assertRegex(told[0], "share.*taken")
        self.assertEqual(torrent.files()[A].path, PurePosixPath("share/a"))
        self.swarm.quiet()

    def test_a_stopped_torrents_file_is_renamed(self):
        torrent = self.start()
        self.complete()
        self.swarm.network.result_of(torrent.stop())
        self.swarm.network.result_of(torrent.rename_file(A, "share/z"))
        self.assertEqual(self.swarm.there()["share/z"], CONTENT["a"])
        torrent.start()
        self.swarm.network.run_until(lambda: torrent.state is State.SEEDING)
        self.swarm.quiet()

    def test_names_are_made_safe_and_never_those_of_others(self):
        torrent = self.start([A])
        self.complete()
        named = self.swarm.network.result_of(torrent.rename_file(A, "../up/./x"))
        self.assertEqual(named, PurePosixPath("up/x"))
        self.assertEqual(self.swarm.there()["up/x"], CONTENT["a"])
        for taken in ("share/e", "share/E", "share/b", "share/e/x", "", ".."):
            self.failureResultOf(torrent.rename_file(A, taken), UnsafePath)
        self.failureResultOf(torrent.rename_file(99, "x"), IndexError)
        (self.swarm.folder / "save/taken").write_bytes(b"precious")
        renaming = torrent.rename_file(A, "taken")
        self.swarm.network.advance(0.1)
        self.failureResultOf(renaming, StorageError)
        self.assertEqual(torrent.files()[A].path, PurePosixPath("up/x"))
        self.assertEqual((self.swarm.folder / "save/taken").read_bytes(), b"precious")
        self.swarm.quiet()

    def test_it_moves_while_it_is_fetched_and_goes_on(self):
        torrent = self.start(upload=50_000)
        self.swarm.network.run_until(lambda: torrent.tally.downloaded > 100_000)
        states = []
        self.session.observe(lambda event: states.append(getattr(event.happening, "state", None)))
        moving = torrent.move(self.swarm.folder / "moved")
        self.swarm.network.result_of(moving)
        self.assertIn(State.MOVING, states)
        self.assertEqual(torrent.save_path, self.swarm.folder / "moved")
        self.assertEqual(self.swarm.there("save"), {})
        self.complete()
        self.assertThere("a", "b/c", "b/d", "e", "empty", folder="moved")
        self.assertLess(torrent.tally.downloaded, len(DATA) + 150_000)
        self.swarm.quiet()

    def test_a_seed_has_nothing_to_check_after_a_move(self):
        torrent = self.start([A, D])
        self.complete()
        self.swarm.network.result_of(torrent.move(self.swarm.folder / "moved"))
        self.swarm.network.run_until(lambda: torrent.state is State.SEEDING)
        self.assertThere("a", "b/d", folder="moved")
        self.assertTrue(any(name.endswith(".parts") for name in self.swarm.there("moved")))
        torrent.set_priorities({C: NORMAL, E: NORMAL, EMPTY: NORMAL, PAD: NORMAL})
        self.complete()
        self.assertThere("a", "b/c", "b/d", "e", "empty", folder="moved")
        self.assertEqual(torrent.tally.downloaded, len(DATA))
        self.swarm.quiet()

    def test_a_stopped_torrent_moves_and_stays_stopped(self):
        torrent = self.start()
        self.complete()
        self.swarm.network.result_of(torrent.stop())
        self.swarm.network.result_of(torrent.move(self.swarm.folder / "moved"))
        self.swarm.network.advance(1)
        self.assertIs(torrent.state, State.STOPPED)
        self.assertThere("a", "b/c", "b/d", "e", "empty", folder="moved")
        self.swarm.quiet()

    def overtaken(self, moving):
        self.assertTrue(moving.called)
        moving.addErrback(lambda failure: failure.trap(SessionError))

    def test_a_move_that_the_sessions_stop_overtakes_goes_on_in_the_next_one(self):
        for overtaken_after in (0.0, 0.3, 0.6, 1.0, 1.5):
            torrent = self.start(busy=0.5)
            self.complete()
            moving = torrent.move(self.swarm.folder / "moved")
            self.swarm.network.advance(overtaken_after)
            self.swarm.network.result_of(self.session.stopService())
            self.swarm.network.advance(10)
            self.overtaken(moving)
            self.assertIs(torrent.state, State.STOPPED)
            again = self.swarm.leech()
            self.swarm.network.advance(5)
            (torrent,) = again.torrents
            self.assertIs(torrent.state, State.SEEDING)
            self.assertEqual(len(self.swarm.there(torrent.save_path)), 5)
            self.assertEqual(len(self.swarm.there("save")) + len(self.swarm.there("moved")), 5)
            self.swarm.quiet()

    def test_one_that_is_removed_while_it_is_about_to_move_does_not_live_on(self):
        for overtaken_after in (0.0, 0.3, 0.6, 1.0, 1.5):
            torrent = self.start(busy=0.5)
            self.complete()
            moving = torrent.move(self.swarm.folder / "moved")
            self.swarm.network.advance(overtaken_after)
            self.swarm.network.result_of(self.session.remove(torrent.info_hash))
            self.swarm.network.advance(10)
            self.overtaken(moving)
            self.assertEqual((torrent.state, self.session.torrents), (State.STOPPED, ()))
            self.swarm.quiet()

    def test_it_does_not_move_over_files_that_are_there(self):
        torrent = self.start()
        self.complete()
        (self.swarm.folder / "moved/share").mkdir(parents=True)
        (self.swarm.folder / "moved/share/a").write_bytes(b"precious")
        moving = torrent.move(self.swarm.folder / "moved")
        self.swarm.network.advance(1)
        self.failureResultOf(moving, StorageError)
        self.assertIs(torrent.state, State.SEEDING)
        self.assertEqual(torrent.save_path, self.swarm.folder / "save")
        self.swarm.quiet()

    def test_to_where_it_is_it_moves_by_staying(self):
        torrent = self.start()
        self.complete()
        (self.swarm.folder / "link").symlink_to(self.swarm.folder / "save")
        for folder in ("save", "link"):
            self.swarm.network.result_of(torrent.move(self.swarm.folder / folder))
            self.assertIs(torrent.state, State.SEEDING)
        self.assertThere("a", "b/c", "b/d", "e", "empty")
        self.swarm.quiet()

    def test_a_magnet_link_is_saved_where_it_was_moved_to(self):
        self.swarm = FiledSwarm(self, METAINFO, DATA)
        session = self.swarm.leech()
        link = Magnet.parse(f"magnet:?xt=urn:btih:{METAINFO.info.info_hash}")
        self.torrent = self.swarm.network.result_of(session.add(link, self.swarm.folder / "save"))
        self.swarm.network.result_of(self.torrent.move(self.swarm.folder / "moved"))
        session.add_peers(self.torrent, [f"{SEED_HOST}:6881"])
        self.complete()
        self.assertThere("a", "b/c", "b/d", "e", "empty", folder="moved")
        self.swarm.quiet()
