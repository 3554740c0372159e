"""A session's one life: before it starts, while it finds its port, and after it has stopped."""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from unittest.mock import patch

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from bittwist.errors import DuplicateTorrent, MetainfoError, NetworkError, SessionError
from bittwist.metainfo import bencode
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.net.policy import Network
from bittwist.session import Session, SessionSettings
from bittwist.session.lifecycle import State
from bittwist.session.saving import Saving
from bittwist.session.state import SUFFIX, SavedTorrent, StateFolder
from bittwist.storage.memory import MemoryStorage
from bittwist.testing import SimulatedNetwork
from tests.metainfo import torrents
from tests.session.torrents import content, torrent

TRACKER = "http://10.0.0.5/announce"
METAINFO = torrent(content(50_000), trackers=(TRACKER,))
OTHER = torrent(content(60_000), name="other")


class Announces(Resource):
    """A tracker that knows nobody and writes down which ports it is told."""

    isLeaf = True

    def __init__(self):
        super().__init__()
        self.ports = []

    def render_GET(self, request):
        self.ports.append(int(request.args[b"port"][0]))
        return bencode.encode({"interval": 1800, "peers": b""})


class SessionCase(SynchronousTestCase):
    def setUp(self):
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.state = Path(temporary.name) / "state"
        self.network = SimulatedNetwork(3)
        self.host = self.network.host("10.0.0.1")
        self.tracker = Announces()
        server = self.network.host("10.0.0.5")
        server.listenTCP(80, Site(self.tracker, reactor=server))

    def session(self, **settings):
        random = Random(3)
        session = Session(
            self.host,
            SessionSettings(ports=(6881,), state_dir=self.state, **settings),
            storage=lambda _path, info: MemoryStorage(info),
            wall=lambda: 1.6e9 + self.network.seconds(),
            random=random,
            token=random.randbytes,
        )
        self.addCleanup(lambda: self.network.result_of(session.stopService()))
        return session

    def add(self, session, source=METAINFO, **how):
        return self.successResultOf(session.add(source, "/nowhere", **how))

    def remembered(self):
        return StateFolder(self.state).load()[0]

    def restart(self, session):
        self.network.result_of(session.stopService())
        session = self.session()
        session.startService()
        return session


class StartTests(SessionCase):
    def test_nothing_happens_before_the_start(self):
        session = self.session()
        added = self.add(session, Magnet(InfoHash(b"h" * 20), peers=("10.0.0.9:6881",), trackers=(TRACKER,)))
        self.network.advance(5)
        self.assertIs(added.state, State.STOPPED)
        self.assertEqual((self.host.dialed, self.tracker.ports, self.state.exists()), ([], [], False))
        self.assertEqual(session.torrents, (added,))

    def test_what_was_added_before_the_start_begins_with_it(self):
        session = self.session()
        running, resting = self.add(session), self.add(session, OTHER, start=False)
        magnet = self.add(session, Magnet(InfoHash(b"h" * 20), peers=("10.0.0.9:6881",)))
        session.startService()
        self.network.advance(5)
        states = [each.state for each in (running, resting, magnet)]
        self.assertEqual(states, [State.DOWNLOADING, State.STOPPED, State.METADATA])
        self.assertEqual(self.tracker.ports, [6881])
        self.assertIn(("10.0.0.9", 6881), self.host.dialed)
        self.assertEqual(len(self.remembered()), 3)

    def test_one_stopped_or_removed_before_the_start_does_not_begin(self):
        session = self.session()
        stopped, removed = self.add(session), self.add(session, OTHER)
        stopped.stop()
        self.network.result_of(session.remove(removed.info_hash))
        session.startService()
        self.network.advance(5)
        self.assertEqual(session.torrents, (stopped,))
        self.assertIs(stopped.state, State.STOPPED)
        self.assertEqual([each.running for each in self.remembered()], [False])

    def test_no_announce_goes_out_before_the_port_is_known(self):
        StateFolder(self.state).save(SavedTorrent(METAINFO, "/nowhere", True, 0, 0, 1.0))
        session, opening = self.session(), Deferred()
        listen = Network.listen
        with patch.object(Network, "listen", lambda *asked: opening.addCallback(lambda _: listen(*asked))):
            session.startService()
        later = self.add(session, torrent(content(1000), name="third", trackers=(TRACKER,)))
        self.network.advance(60)
        self.assertEqual(self.tracker.ports, [])
        self.assertEqual({each.state for each in session.torrents}, {State.STOPPED})
        opening.callback(None)
        self.network.advance(5)
        self.assertEqual(self.tracker.ports, [6881, 6881])
        self.assertIs(later.state, State.DOWNLOADING)

    def test_a_torrent_runs_once_it_is_remembered(self):
        session, jobs = self.session(), []
        session.startService()
        with patch.object(self.host.getThreadPool(), "callInThread", jobs.append):
            adding = session.add(METAINFO, "/nowhere")
            self.network.advance(60)
            self.assertNoResult(adding)
            (waiting,) = session.torrents
            self.assertEqual((waiting.state, self.remembered()), (State.STOPPED, []))
            while jobs:
                jobs.pop(0)()
        self.assertIs(self.successResultOf(adding), waiting)
        self.assertEqual(len(self.remembered()), 1)
        self.assertIsNot(waiting.state, State.STOPPED)

    def test_one_that_nobody_waits_for_any_more_runs_all_the_same(self):
        session, jobs = self.session(), []
        session.startService()
        with patch.object(self.host.getThreadPool(), "callInThread", jobs.append):
            adding = session.add(METAINFO, "/nowhere")
            adding.cancel()
            self.failureResultOf(adding, CancelledError)
            jobs.pop(0)()
        self.network.advance(1)
        self.assertIsNot(session.torrents[0].state, State.STOPPED)

    def test_one_removed_before_it_is_remembered_does_not_run(self):
        session, jobs = self.session(), []
        session.startService()
        with patch.object(self.host.getThreadPool(), "callInThread", jobs.append):
            adding = session.add(METAINFO, "/nowhere")
            (torrent_,) = session.torrents
            removing = session.remove(torrent_.info_hash)
            for _ in range(10):
                self.network.advance(1)
                while jobs:
                    jobs.pop(0)()
        self.successResultOf(adding)
        self.successResultOf(removing)
        self.assertEqual((torrent_.state, session.torrents), (State.STOPPED, ()))
        self.assertFalse(self.state.exists())

    def test_one_that_cannot_be_remembered_begins_all_the_same(self):
        session = self.session()
        session.startService()
        with patch("os.fsync", side_effect=OSError(28, "No space left on device")):
            added = self.add(session)
        self.assertIsNot(added.state, State.STOPPED)

    def test_one_started_by_hand_before_the_session_listens_begins_with_it(self):
        session, opening = self.session(), Deferred()
        added = self.add(session, start=False)
        added.start()
        self.assertIs(added.state, State.STOPPED)
        listen = Network.listen
        with patch.object(Network, "listen", lambda *asked: opening.addCallback(lambda _: listen(*asked))):
            session.startService()
        self.add(session, OTHER, start=False).start()
        self.network.advance(60)
        self.assertEqual({each.state for each in session.torrents}, {State.STOPPED})
        self.assertEqual(self.tracker.ports, [])
        opening.callback(None)
        self.network.advance(5)
        self.assertEqual({each.state for each in session.torrents}, {State.DOWNLOADING})
        self.assertEqual(self.tracker.ports, [6881])
        self.assertEqual([each.running for each in self.remembered()], [True, True])

    def test_one_that_moves_before_the_session_listens_runs_only_then(self):
        session = self.session()
        added = self.add(session)
        moving = added.move(self.state.parent / "elsewhere")
        self.network.advance(5)
        self.successResultOf(moving)
        self.assertIs(added.state, State.STOPPED)
        session.startService()
        self.network.advance(5)
        self.assertIs(added.state, State.DOWNLOADING)
        self.assertEqual(self.tracker.ports, [6881])

    def test_without_a_port_torrents_run_and_announce_none(self):
        session = self.session()
        added = self.add(session)
        with patch.object(Network, "listen", lambda *_: fail(NetworkError("0.0.0.0", "in use"))):
            session.startService()
        self.network.advance(5)
        self.assertIs(added.state, State.DOWNLOADING)
        self.assertEqual(set(self.tracker.ports), {0})
        refusal = self.failureResultOf(session.when_listening(), NetworkError)
        self.assertEqual(refusal.getErrorMessage(), "0.0.0.0: in use")

    def test_a_bug_in_listening_is_logged_and_torrents_run(self):
        session = self.session()
        added = self.add(session)
        with patch.object(Network, "listen", lambda *_: fail(ValueError("a bug"))):
            session.startService()
        self.network.advance(5)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertIs(added.state, State.DOWNLOADING)

    def test_what_was_added_before_the_start_holds_against_what_is_remembered(self):
        first = self.session()
        first.startService()
        self.add(first)
        self.network.result_of(first.stopService())
        again = self.session()
        added = self.successResultOf(again.add(METAINFO, "/elsewhere"))
        again.startService()
        self.network.advance(1)
        self.assertEqual(again.torrents, (added,))
        self.assertEqual([each.save_path for each in self.remembered()], ["/elsewhere"])


class StopTests(SessionCase):
    def test_a_stopped_session_takes_no_torrent(self):
        for started in (False, True):
            session = self.session()
            if started:
                session.startService()
            self.network.result_of(session.stopService())
            self.failureResultOf(session.add(METAINFO, "/nowhere"), SessionError)
            self.assertEqual(session.torrents, ())

    def test_nothing_of_a_stopped_session_begins_again(self):
        session = self.session()
        session.startService()
        added = self.add(session)
        self.network.advance(1)
        self.network.result_of(session.stopService())
        with self.assertRaises(SessionError) as caught:
            added.start()
        self.assertEqual(str(caught.exception), "the session is stopped")
        added.retry()
        self.failureResultOf(added.move(self.state.parent / "elsewhere"), SessionError)
        self.failureResultOf(added.rename_file(0, "other"), SessionError)
        self.network.advance(60)
        self.assertIs(added.state, State.STOPPED)

    def test_one_that_was_never_started_listens_no_more(self):
        session = self.session()
        waiting = session.when_listening()
        self.network.result_of(session.stopService())
        self.network.advance(0)
        self.failureResultOf(waiting, NetworkError)

    def test_whoever_waits_for_a_torrent_is_told(self):
        session = self.session()
        session.startService()
        running, resting = self.add(session), self.add(session, OTHER, start=False)
        self.network.advance(1)
        waiting = [each.when_complete() for each in (running, resting)]
        stopped = [each.when_stopped() for each in (running, resting)]
        self.network.result_of(session.stopService())
        self.network.advance(0)
        for each in waiting:
            self.failureResultOf(each, SessionError)
        self.assertEqual([self.successResultOf(each) for each in stopped], [running, resting])

    def test_a_session_is_started_once(self):
        session = self.session()
        session.startService()
        with self.assertRaises(SessionError):
            session.startService()
        self.network.result_of(session.stopService())
        with self.assertRaises(SessionError) as caught:
            session.startService()
        self.assertIn("make another", str(caught.exception))
        self.assertFalse(session.running)

    def test_one_that_is_stopped_before_it_listens_begins_nothing(self):
        session = self.session()
        added = self.add(session)
        with patch.object(Network, "listen", lambda *_: Deferred()):
            session.startService()
        waiting = session.when_listening()
        self.network.result_of(session.stopService())
        self.network.advance(5)
        self.failureResultOf(waiting, NetworkError)
        self.assertIs(added.state, State.STOPPED)
        self.assertEqual(self.tracker.ports, [])

    def test_the_last_states_are_written_in_a_thread(self):
        session = self.session()
        session.startService()
        added = self.add(session)
        self.network.advance(1)
        jobs = []
        with patch.object(self.host.getThreadPool(), "callInThread", jobs.append):
            added.stop()
            stopping = session.stopService()
            self.network.advance(10)
            self.assertNoResult(stopping)
            self.assertTrue(self.remembered()[0].running)
            for _ in range(10):
                self.network.advance(1)
                while jobs:
                    jobs.pop(0)()
            self.successResultOf(stopping)
        self.assertEqual([each.running for each in self.remembered()], [False])

    def test_stopping_is_over_when_nothing_waits_to_be_written(self):
        session, written = self.session(), Deferred()
        session.startService()
        self.add(session)
        with patch.object(Saving, "idle", lambda _: written):
            stopping = session.stopService()
            self.network.advance(60)
        self.assertNoResult(stopping)
        written.callback(None)
        self.successResultOf(stopping)


class RestartTests(SessionCase):
    def test_torrents_run_again_after_a_restart(self):
        session = self.session()
        session.startService()
        for source in (METAINFO, OTHER):
            self.add(session, source)
            self.network.advance(1)
        again = self.restart(session)
        self.network.advance(1)
        self.assertEqual([each.metainfo.info for each in again.torrents], [METAINFO.info, OTHER.info])
        self.assertEqual({each.state for each in again.torrents}, {State.DOWNLOADING})

    def test_superseeding_is_remembered_until_it_is_over(self):
        session = self.session()
        session.startService()
        self.add(session).set_superseeding(True)
        self.network.advance(1)
        again = self.restart(session)
        self.assertTrue(again.torrents[0].superseeding)
        again.torrents[0].set_superseeding(False)
        self.assertFalse(self.restart(again).torrents[0].superseeding)

    def test_a_second_file_of_a_torrent_does_not_keep_a_session_from_starting(self):
        session = self.session()
        session.startService()
        self.add(session)
        self.network.advance(1)
        (own,) = self.state.glob(f"*{SUFFIX}")
        own.with_name("copy" + SUFFIX).write_bytes(own.read_bytes())
        self.assertEqual(len(self.restart(session).torrents), 1)

    def test_one_that_cannot_be_traded_costs_the_others_nothing(self):
        folder = StateFolder(self.state)
        link = Magnet(InfoHash(v2=b"h" * 32))
        folder.save(SavedTorrent(link, "/nowhere", True, 0, 0, 1.0))
        folder.save(SavedTorrent(METAINFO, "/nowhere", True, 0, 0, 2.0))
        session = self.session()
        session.startService()
        self.assertEqual([each.metainfo for each in session.torrents], [METAINFO])
        self.assertEqual(len(folder.load()[0]), 2)

    def test_what_was_removed_does_not_come_back(self):
        session = self.session()
        session.startService()
        removed = self.add(session)
        self.add(session, OTHER)
        self.network.result_of(session.remove(removed.info_hash))
        again = self.restart(session)
        self.assertEqual([each.metainfo.info for each in again.torrents], [OTHER.info])


class HybridTests(SessionCase):
    """A hybrid is traded as v1, whichever way it comes (BEP 52)."""

    def setUp(self):
        super().setUp()
        info, layers = torrents.hybrid()
        self.metainfo = Metainfo.parse(torrents.torrent(info, piece_layers=layers))
        self.hash = self.metainfo.info.info_hash

    def test_a_link_with_only_the_v2_hash_is_refused(self):
        session = self.session()
        session.startService()
        refused = session.add(Magnet(InfoHash(v2=self.hash.v2)), "/nowhere")
        self.assertIn("btih", str(self.failureResultOf(refused, MetainfoError).value))
        self.assertEqual(session.torrents, ())

    def test_a_link_with_both_hashes_is_the_torrent_of_its_v1_hash(self):
        session = self.session()
        session.startService()
        added = self.add(session, Magnet(self.hash))
        self.assertEqual(added.info_hash.short, self.hash.v1)
        for again in (self.metainfo, Magnet(InfoHash(self.hash.v1))):
            self.failureResultOf(session.add(again, "/nowhere"), DuplicateTorrent)
        self.assertEqual([path.name for path in self.state.iterdir()], [f"{self.hash.v1.hex()}{SUFFIX}"])
