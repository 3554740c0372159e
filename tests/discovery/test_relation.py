"""Every transition of the relation with one tracker."""

from __future__ import annotations

import math

from automat import NoTransition
from twisted.trial.unittest import SynchronousTestCase

from bittwist.announce.values import AnnounceResponse, Event
from bittwist.discovery.relation import Account, Relation, TrackerState, new_relation

ANSWER = AnnounceResponse()
THEN = 100.0

# How to come to each state, by inputs from the first one.
WAYS: dict[str, tuple[str, ...]] = {
    "stranger": (),
    "greeting": ("announce",),
    "known": ("announce", "answered"),
    "reporting": ("announce", "answered", "announce"),
    "barred": ("refused",),
    "leaving": ("announce", "leave"),
    "gone": ("leave",),
}

# state, input → what it returns, and how the tracker stands afterwards; every other input is our bug.
TRANSITIONS: dict[tuple[str, str], tuple[object, TrackerState]] = {
    ("stranger", "announce"): (Event.STARTED, TrackerState.ANNOUNCING),
    ("stranger", "refused"): (None, TrackerState.REFUSED),
    ("stranger", "complete"): (None, TrackerState.WAITING),
    ("stranger", "leave"): (False, TrackerState.STOPPED),
    ("greeting", "answered"): (None, TrackerState.WORKING),
    ("greeting", "failed"): (None, TrackerState.FAILING),
    ("greeting", "refused"): (None, TrackerState.REFUSED),
    ("greeting", "complete"): (None, TrackerState.ANNOUNCING),
    ("greeting", "leave"): (True, TrackerState.STOPPING),
    ("known", "announce"): (Event.NONE, TrackerState.ANNOUNCING),
    ("known", "complete"): (None, TrackerState.WORKING),
    ("known", "leave"): (True, TrackerState.STOPPING),
    ("reporting", "answered"): (None, TrackerState.WORKING),
    ("reporting", "failed"): (None, TrackerState.FAILING),
    ("reporting", "refused"): (None, TrackerState.REFUSED),
    ("reporting", "complete"): (None, TrackerState.ANNOUNCING),
    ("reporting", "leave"): (True, TrackerState.STOPPING),
    ("barred", "complete"): (None, TrackerState.REFUSED),
    ("barred", "leave"): (False, TrackerState.STOPPED),
    ("leaving", "complete"): (None, TrackerState.STOPPING),
    ("leaving", "left"): (None, TrackerState.STOPPED),
    ("gone", "complete"): (None, TrackerState.STOPPED),
    ("gone", "left"): (None, TrackerState.STOPPED),
}
INPUTS = ("announce", "answered", "failed", "refused", "complete", "leave", "left")


def tell(relation: Relation, name: str) -> object:
    match name:
        case "answered":
            relation.answered(ANSWER, THEN)
            return None
        case "failed":
            relation.failed("connection refused", THEN)
            return None
        case "refused":
            relation.refused("not a tracker")
            return None
    method = getattr(relation, name)
    return method()


def at(state: str) -> tuple[Relation, Account]:
    account = Account(-math.inf)
    relation = new_relation(account)
    for name in WAYS[state]:
        tell(relation, name)
    return relation, account


class TransitionTests(SynchronousTestCase):
    def test_every_input_in_every_state(self) -> None:
        for state in WAYS:
            for name in INPUTS:
                with self.subTest(f"{state} {name}"):
                    relation, _ = at(state)
                    if (state, name) in TRANSITIONS:
                        returned, stands = TRANSITIONS[state, name]
                        self.assertEqual(tell(relation, name), returned)
                        self.assertIs(relation.state(), stands)
                    else:
                        self.assertRaises(NoTransition, tell, relation, name)


class AccountTests(SynchronousTestCase):
    def test_an_answer_clears_failures_and_sets_the_times(self) -> None:
        relation, account = at("greeting")
        tell(relation, "failed")
        self.assertEqual((account.failures, account.last_error), (1, "connection refused"))
        tell(relation, "announce")
        tell(relation, "answered")
        self.assertEqual((account.failures, account.last_error, account.last_answer), (0, None, ANSWER))
        self.assertEqual(account.next_at, THEN)

    def test_a_refusal_plans_nothing(self) -> None:
        _, account = at("barred")
        self.assertEqual((account.next_at, account.last_error), (math.inf, "not a tracker"))

    def test_completed_is_owed_until_an_answer_to_it(self) -> None:
        relation, _ = at("known")
        tell(relation, "complete")
        self.assertEqual(tell(relation, "announce"), Event.COMPLETED)
        tell(relation, "failed")
        self.assertEqual(tell(relation, "announce"), Event.COMPLETED)
        tell(relation, "answered")
        self.assertEqual(tell(relation, "announce"), Event.NONE)

    def test_completed_during_another_announce_is_owed_after_it(self) -> None:
        relation, _ = at("reporting")
        tell(relation, "complete")
        tell(relation, "answered")
        self.assertEqual(tell(relation, "announce"), Event.COMPLETED)

    def test_completed_is_not_owed_to_one_that_heard_no_started(self) -> None:
        relation, account = at("stranger")
        tell(relation, "complete")
        tell(relation, "announce")
        tell(relation, "answered")
        self.assertIs(account.owed, Event.NONE)

    def test_completed_while_a_started_that_fails_was_under_way_is_not_owed(self) -> None:
        relation, account = at("greeting")
        tell(relation, "complete")
        tell(relation, "failed")
        self.assertIs(tell(relation, "announce"), Event.STARTED)
        tell(relation, "answered")
        self.assertIs(account.owed, Event.NONE)

    def test_one_that_failed_before_is_not_owed_a_stopped_while_it_is_greeted(self) -> None:
        relation, _ = at("greeting")
        tell(relation, "failed")
        tell(relation, "announce")
        self.assertEqual(tell(relation, "leave"), False)
        tell(relation, "left")
        self.assertIs(relation.state(), TrackerState.STOPPED)
