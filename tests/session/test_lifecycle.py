"""Every transition of a torrent's life, and every fact that comes too late."""

from automat import NoTransition
from twisted.trial.unittest import SynchronousTestCase

from bittwist.session.lifecycle import IGNORED, TRANSITIONS, Life, State, lifecycle

REASONED = ("disk_filled", "broke")

PATHS = {
    State.STOPPED: [],
    State.METADATA: ["started_without_metadata"],
    State.CHECKING: ["started"],
    State.DOWNLOADING: ["started", "checked_incomplete"],
    State.SEEDING: ["started", "checked_complete"],
    State.WAITING: ["started", "checked_incomplete", "disk_filled"],
    State.FAILED: ["started", "broke"],
    State.MOVING: ["started", "checked_incomplete", "move_asked"],
}


def tell(facts, fact):
    getattr(facts, fact)(*(["because"] if fact in REASONED else []))


def arrive(state):
    life = Life()
    facts = lifecycle(life)
    for fact in PATHS[state]:
        tell(facts, fact)
    assert life.state is state
    life.entered.clear()
    return life, facts


class LifecycleTests(SynchronousTestCase):
    def test_each_listed_fact_leads_to_the_state_listed(self):
        for (source, fact), target in TRANSITIONS.items():
            life, facts = arrive(source)
            tell(facts, fact)
            self.assertEqual((life.state, life.entered), (target, [target]), (source, fact))

    def test_facts_that_come_too_late_change_nothing(self):
        for source, fact in IGNORED:
            life, facts = arrive(source)
            tell(facts, fact)
            self.assertEqual((life.state, life.entered), (source, []), (source, fact))

    def test_no_fact_is_both_a_transition_and_ignored(self):
        self.assertEqual(set(TRANSITIONS) & IGNORED, set())

    def test_a_fact_that_fits_no_state_is_a_bug_that_shows(self):
        _, facts = arrive(State.SEEDING)
        self.assertRaises(NoTransition, facts.checked_incomplete)

    def test_the_reason_is_kept_until_the_next_state(self):
        life, facts = arrive(State.DOWNLOADING)
        facts.disk_filled("no room")
        self.assertEqual(life.reason, "no room")
        facts.room_made()
        self.assertEqual(life.reason, "")

    def test_a_recheck_can_be_asked_in_every_state_that_has_pieces(self):
        for state in (State.DOWNLOADING, State.SEEDING, State.WAITING):
            life, facts = arrive(state)
            facts.recheck_asked()
            self.assertEqual(life.state, State.CHECKING)
