"""Every verb in every state, and ends that overlap with beginnings."""

from unittest.mock import patch

from twisted.internet import defer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from bittwist.errors import DiskFull, NoSuchTorrent, SessionError, StorageError
from bittwist.metainfo.magnet import Magnet
from bittwist.session import SessionSettings
from bittwist.session.content import Content
from bittwist.session.lifecycle import State
from bittwist.storage.interfaces import IStorage
from bittwist.storage.memory import MemoryStorage
from bittwist.swarm.priorities import Priority
from tests.session.swarm import Swarm
from tests.session.test_hostile import Failing
from tests.session.torrents import content, torrent

DATA = content(300_000)
METAINFO = torrent(DATA, piece_length=32768)
MAGNET = f"magnet:?xt=urn:btih:{METAINFO.info.info_hash}&x.pe=10.0.0.1:6881"
SETTINGS = SessionSettings(ports=(6881,))


VERBS = ("start", "stop", "close", "retry", "recheck", "statistics", "peers", "trackers", "saved")


class SlowPool:
    """A thread pool whose work is done when the test says so."""

    def __init__(self):
        self.waiting = []

    def callInThread(self, call, *args, **kwargs):
        self.waiting.append(lambda: call(*args, **kwargs))

    def work(self):
        while self.waiting:
            self.waiting.pop(0)()


@implementer(IStorage)
class Broken:
    """A storage that cannot be laid out."""

    error = StorageError("data.bin", "input/output error")

    def __init__(self, info):
        self._inner = MemoryStorage(info)

    def prepare(self, skipped=frozenset()):
        raise self.error

    def __getattr__(self, name):
        return getattr(self._inner, name)


class Full(Broken):
    error = DiskFull("data.bin", "no space left on device")


def in_state(state):
    """A swarm, and a torrent of it in that state."""
    swarm = Swarm()
    session = swarm.session(
        "10.0.0.2",
        DATA if state is State.SEEDING else None,
        storage={State.FAILED: Broken, State.WAITING: Full}.get(state),
    )
    if state is State.METADATA:
        return swarm, swarm.add(session, Magnet.parse(MAGNET))
    if state is State.CHECKING:
        pool = SlowPool()
        swarm.network.host("10.0.0.2").getThreadPool = lambda: pool
        subject = swarm.add(session, METAINFO)
        swarm.pool = pool
    else:
        subject = swarm.add(session, METAINFO)
        swarm.network.advance(1)
    if state is State.STOPPED:
        swarm.network.result_of(subject.stop())
    if state is State.MOVING:
        swarm.pool = SlowPool()
        swarm.network.host("10.0.0.2").getThreadPool = lambda: swarm.pool
        subject._wanted.left = (subject.home,)
        subject._course.move()  # goes on when its content is closed, in the pool
    return swarm, subject


def end(swarm):
    """Let all that is under way end, and see that nothing is left."""
    stops = [session.stopService() for session in swarm.sessions]
    for _ in range(200):
        if hasattr(swarm, "pool"):
            swarm.pool.work()
        swarm.network.advance(0.1)
    for stop in stops:
        assert stop.called
    swarm.network.assert_quiet()


class VerbTests(SynchronousTestCase):
    def test_every_state_can_be_arrived_at(self):
        for state in State:
            swarm, subject = in_state(state)
            self.assertIs(subject.state, state)
            end(swarm)

    def test_every_verb_fits_every_state(self):
        for state in State:
            for verb in VERBS:
                with self.subTest(state=state.value, verb=verb):
                    swarm, subject = in_state(state)
                    getattr(subject, verb)()
                    if verb in ("stop", "close"):
                        self.assertIs(subject.state, State.STOPPED)
                    elif verb == "start" and state is not State.STOPPED and state is not State.FAILED:
                        self.assertIs(subject.state, state)
                    end(swarm)

    def test_every_verb_may_follow_every_other(self):
        verbs = ("start", "stop", "retry", "recheck")
        for state in State:
            for first in verbs:
                for second in verbs:
                    with self.subTest(state=state.value, verbs=(first, second)):
                        swarm, subject = in_state(state)
                        getattr(subject, first)()
                        getattr(subject, second)()
                        end(swarm)
                        self.assertIs(subject.state, State.STOPPED)


class WaitingTests(SynchronousTestCase):
    def test_a_torrent_that_was_retried_and_stopped_does_not_start_itself(self):
        swarm, subject = in_state(State.WAITING)
        subject.retry()
        swarm.network.result_of(subject.stop())
        swarm.network.advance(120)
        self.assertIs(subject.state, State.STOPPED)
        end(swarm)


class RecheckTests(SynchronousTestCase):
    def test_all_pieces_are_hashed_and_the_bad_one_is_fetched_again(self):
        swarm = Swarm()
        swarm.add(swarm.session("10.0.0.1", DATA), METAINFO)
        leech = swarm.session("10.0.0.2")
        fetching = swarm.add(leech, METAINFO, ["10.0.0.1:6881"])
        swarm.until_complete(fetching)
        swarm.storages["10.0.0.2"].write(3, 100, memoryview(b"rot"))
        fetching.recheck()
        self.assertIs(fetching.state, State.DOWNLOADING)
        waiting = fetching.when_complete()
        swarm.network.advance(0)
        self.assertNoResult(waiting)
        swarm.until_complete(fetching)
        swarm.network.advance(0)
        self.assertIs(self.successResultOf(waiting), fetching)
        self.assertEqual(swarm.data("10.0.0.2", METAINFO.info), DATA)
        swarm.quiet()

    def test_asked_for_during_a_check_that_does_not_hash_it_begins_anew(self):
        for asked_before in (False, True):
            swarm, subject = in_state(State.CHECKING)
            if asked_before:
                subject.stop()
                subject.recheck()
                subject.start()
            swarm.network.advance(0)
            looked = []
            swarm.sessions[0].observe(lambda event, looked=looked: looked.append(event.happening))
            subject.recheck()
            with patch.object(Content, "check", autospec=True, side_effect=Content.check) as check:
                for _ in range(20):
                    swarm.pool.work()
                    swarm.network.advance(0.1)
            self.assertEqual([call.kwargs["everything"] for call in check.call_args_list], [True])
            self.assertIs(subject.state, State.DOWNLOADING)
            end(swarm)

    def test_a_recheck_while_peers_are_served_goes_well(self):
        swarm = Swarm()
        seed = swarm.session("10.0.0.1", DATA)
        swarm.network.host("10.0.0.1").limit(upload=50_000)
        seeding = swarm.add(seed, METAINFO)
        fetching = swarm.add(swarm.session("10.0.0.2"), METAINFO, ["10.0.0.1:6881"])
        swarm.network.run_until(lambda: fetching.tally.downloaded > 100_000)
        seeding.recheck()
        swarm.until_complete(seeding, limit=30)
        swarm.until_complete(fetching, limit=1200)
        swarm.quiet()


class OverlapTests(SynchronousTestCase):
    def test_stop_start_stop_ends_the_first_before_the_second_begins(self):
        swarm, subject = in_state(State.CHECKING)
        first = subject.stop()
        subject.start()
        second = subject.stop()
        swarm.network.advance(0.1)
        self.assertNoResult(first)
        self.assertNoResult(second)
        for _ in range(10):
            swarm.pool.work()
            swarm.network.advance(0.1)
        self.successResultOf(defer.gatherResults([first, second]))
        self.assertIs(subject.state, State.STOPPED)
        end(swarm)

    def test_a_stop_that_a_start_overtakes_still_fires(self):
        swarm, subject = in_state(State.SEEDING)
        stopping = subject.stop()
        subject.start()
        swarm.network.result_of(stopping)
        swarm.until_complete(subject)
        end(swarm)


class RemovalTests(SynchronousTestCase):
    def test_a_removed_torrent_cannot_be_started(self):
        swarm, subject = in_state(State.SEEDING)
        (session,) = swarm.sessions
        complete, removing = subject.when_metadata(), session.remove(subject.info_hash)
        self.assertRaises(SessionError, subject.start)
        subject.retry()
        swarm.network.result_of(removing)
        self.assertRaises(SessionError, subject.start)
        self.assertRaises(NoSuchTorrent, session.torrent, subject.info_hash)
        self.successResultOf(complete)
        end(swarm)

    def test_it_does_not_move_nor_live_on(self):
        swarm, subject = in_state(State.DOWNLOADING)
        removing = swarm.sessions[0].remove(subject.info_hash)
        self.failureResultOf(subject.move("/elsewhere"), SessionError)
        swarm.network.result_of(removing)
        self.failureResultOf(subject.move("/elsewhere"), SessionError)
        swarm.network.advance(5)
        self.assertIs(subject.state, State.STOPPED)
        end(swarm)

    def test_one_that_was_refused_leaves_nothing_behind(self):
        swarm = Swarm()
        session = swarm.session("10.0.0.1")

        def choose(_info):
            raise SessionError("no file is like that")

        for _ in range(3):
            self.failureResultOf(session.add(METAINFO, "/nowhere", choose=choose), SessionError)
        self.assertEqual((len(session._throttling._lanes), session._throttling._torrents), (0, {}))
        end(swarm)

    def test_whoever_waits_for_it_is_told(self):
        swarm, subject = in_state(State.DOWNLOADING)
        waiting = subject.when_complete()
        swarm.network.result_of(swarm.sessions[0].remove(subject.info_hash))
        swarm.network.advance(0)
        self.failureResultOf(waiting, SessionError)
        end(swarm)

    def test_it_can_be_removed_twice_at_once_and_added_again(self):
        swarm, subject = in_state(State.CHECKING)
        (session,) = swarm.sessions
        removals = [session.remove(subject.info_hash) for _ in range(2)]
        swarm.pool.work()
        swarm.network.result_of(defer.gatherResults(removals))
        again = swarm.add(session, METAINFO)
        self.assertIs(again.state, State.CHECKING)
        end(swarm)


class MagnetTests(SynchronousTestCase):
    def test_the_peers_that_gave_the_metadata_are_kept_for_the_data(self):
        swarm = Swarm()
        swarm.add(swarm.session("10.0.0.1", DATA), METAINFO)
        fetching = swarm.add(swarm.session("10.0.0.2"), Magnet.parse(MAGNET))
        took = swarm.until_complete(fetching)
        self.assertLess(took, 5)
        swarm.quiet()

    def test_a_choice_that_cannot_be_made_fails_the_torrent_until_files_are_chosen(self):
        def no_file(_info):
            raise SessionError("no file is like that")

        def bug(_info):
            raise ZeroDivisionError("a bug")

        for choose, logged in ((no_file, 0), (bug, 1)):
            swarm = Swarm()
            swarm.add(swarm.session("10.0.0.1", DATA), METAINFO)
            leech = swarm.session("10.0.0.2")
            adding = leech.add(Magnet.parse(MAGNET), "/nowhere", choose=choose)
            fetching = swarm.network.result_of(adding)
            swarm.network.advance(2)
            self.assertIs(fetching.state, State.FAILED)
            self.assertEqual(len(swarm.network.flush_failures(ZeroDivisionError)), logged)
            self.flushLoggedErrors(ZeroDivisionError)
            fetching.start()
            swarm.network.advance(5)
            self.assertEqual((fetching.state, fetching.tally.downloaded), (State.FAILED, 0))
            fetching.set_priorities({0: Priority.NORMAL})
            fetching.start()
            swarm.network.advance(1)
            leech.add_peers(fetching, ["10.0.0.1:6881"])
            swarm.until_complete(fetching)
            self.assertEqual(fetching.tally.downloaded, len(DATA))
            swarm.quiet()

    def test_one_that_was_stopped_and_started_again_goes_on(self):
        swarm = Swarm()
        swarm.add(swarm.session("10.0.0.1", DATA), METAINFO)
        leech = swarm.session("10.0.0.2")
        magnet = f"magnet:?xt=urn:btih:{METAINFO.info.info_hash}&tr=http%3A%2F%2F10.0.0.9%2Fannounce"
        fetching = swarm.add(leech, Magnet.parse(magnet))
        fetching.stop()
        fetching.start()
        swarm.network.advance(5)
        leech.add_peers(fetching, ["10.0.0.1:6881"])
        swarm.until_complete(fetching)
        swarm.quiet()


class StorageTests(SynchronousTestCase):
    def test_what_the_disk_lost_is_checked_again_before_it_is_given(self):
        swarm = Swarm()
        swarm.add(swarm.session("10.0.0.1", DATA), METAINFO)
        leech = swarm.session("10.0.0.2", storage=Failing)
        fetching = swarm.add(leech, METAINFO, ["10.0.0.1:6881"])
        swarm.until_complete(fetching)
        fetching._course._lost(DiskFull("data.bin", "no space left on device"))
        self.assertIs(fetching.state, State.WAITING)
        self.assertIsNone(fetching.conversation())
        swarm.until_complete(fetching, limit=40)
        swarm.quiet()
