"""When a torrent has seeded enough."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from bittwist.session import observe
from bittwist.session.lifecycle import State
from bittwist.session.rules import GoalKind, Goals, Seeding
from tests.session.swarm import Swarm
from tests.session.torrents import content, torrent

DATA = content(300_000)
METAINFO = torrent(DATA, piece_length=32768)


class GoalTests(SynchronousTestCase):
    def test_a_goal_is_reached_when_it_is_met_and_the_first_one_counts(self):
        for goals, expected in (
            (Goals(), None),
            (Goals(ratio=1.0), GoalKind.RATIO),
            (Goals(ratio=1.1), None),
            (Goals(seed_time=60), GoalKind.SEED_TIME),
            (Goals(seed_time=61), None),
            (Goals(idle=10), GoalKind.IDLE),
            (Goals(idle=11), None),
            (Goals(ratio=0), GoalKind.RATIO),
            (Goals(2.0, 60, 10), GoalKind.SEED_TIME),
        ):
            with self.subTest(goals=goals):
                self.assertIs(goals.reached(ratio=1.0, seeded=60.0, idle=10.0), expected)

    def test_a_goal_below_nothing_is_refused(self):
        for wrong in ({"ratio": -1}, {"seed_time": -0.1}, {"idle": -5}):
            self.assertRaises(ValueError, Goals, **wrong)

    def test_time_counts_while_it_seeds_and_idleness_from_the_last_byte(self):
        seeding = Seeding(100.0)
        for now, uploaded in ((0.0, 0), (1.0, 0), (2.0, 5), (3.0, 5), (4.0, 5)):
            seeding.tick(now, uploaded)
        self.assertEqual((seeding.seeded, seeding.idle), (104.0, 2.0))
        seeding.stopped()
        seeding.tick(1000.0, 9)
        self.assertEqual((seeding.seeded, seeding.idle), (104.0, 0.0))


class SeedTests(SynchronousTestCase):
    def start(self, goals=None, of_settings=None):
        self.swarm = Swarm()
        session = self.swarm.session("10.0.0.1", DATA)
        if of_settings is not None:
            session.apply(replace(session.settings, goals=of_settings))
        self.events = []
        session.observe(lambda event: self.events.append(event.happening))
        seeding = self.swarm.add(session, METAINFO)
        if goals is not None:
            seeding.set_goals(goals)
        return seeding

    def leech(self):
        leech = self.swarm.add(self.swarm.session("10.0.0.2"), METAINFO, ["10.0.0.1:6881"])
        self.swarm.until_complete(leech)

    def assertReached(self, kind):
        reached = [event.goal for event in self.events if isinstance(event, observe.GoalReached)]
        self.assertEqual(reached, [kind])
        self.swarm.quiet()

    def test_a_seed_stops_when_it_has_given_enough(self):
        seeding = self.start(Goals(ratio=1.0))
        self.swarm.network.advance(60)
        self.assertIs(seeding.state, State.SEEDING)
        self.leech()
        self.swarm.network.advance(2)
        self.assertIs(seeding.state, State.STOPPED)
        self.assertFalse(seeding.saved().running)
        self.assertReached(GoalKind.RATIO)

    def test_a_seed_stops_after_its_time(self):
        seeding = self.start(Goals(seed_time=60))
        self.swarm.network.advance(55)
        self.assertIs(seeding.state, State.SEEDING)
        self.swarm.network.advance(10)
        self.assertIs(seeding.state, State.STOPPED)
        self.assertAlmostEqual(seeding.saved().seeded, 60, delta=2)
        self.assertReached(GoalKind.SEED_TIME)

    def test_a_seed_that_nobody_wants_stops_and_one_that_gives_goes_on(self):
        seeding = self.start(of_settings=Goals(idle=30))
        self.swarm.network.advance(20)
        self.leech()
        self.swarm.network.advance(20)
        self.assertIs(seeding.state, State.SEEDING)
        self.swarm.network.advance(20)
        self.assertIs(seeding.state, State.STOPPED)
        self.assertReached(GoalKind.IDLE)

    def test_its_own_goals_go_before_those_of_the_settings(self):
        seeding = self.start(Goals(), of_settings=Goals(seed_time=1))
        self.swarm.network.advance(10)
        self.assertIs(seeding.state, State.SEEDING)
        seeding.set_goals(None)
        self.swarm.network.advance(2)
        self.assertIs(seeding.state, State.STOPPED)
        self.assertReached(GoalKind.SEED_TIME)

    def test_a_download_has_no_goals(self):
        self.swarm = Swarm()
        fetching = self.swarm.add(self.swarm.session("10.0.0.2"), METAINFO)
        fetching.set_goals(Goals(ratio=0, seed_time=0, idle=0))
        self.swarm.network.advance(10)
        self.assertIs(fetching.state, State.DOWNLOADING)
        self.swarm.quiet()
