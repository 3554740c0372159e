"""What we and one tracker are to each other: an Automat machine, without I/O (BEP 3, "event")."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from automat import TypeMachineBuilder

from bittwist.announce.values import AnnounceResponse, Event


class TrackerState(Enum):
    """How a tracker stands, in the words shown to people."""

    WAITING = "waiting"  # not asked yet
    ANNOUNCING = "announcing"
    WORKING = "working"
    FAILING = "failing"  # asked again later
    REFUSED = "refused"  # never asked again
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(slots=True)
class Account:
    """What is remembered of one tracker; only its Relation writes here."""

    next_at: float
    failures: int = 0  # in a row
    last_error: str | None = None
    last_answer: AnnounceResponse | None = None
    sent: Event = Event.NONE  # with the last announce
    owed: Event = Event.NONE  # goes out with the next one


class Relation(Protocol):
    """Facts about one tracker, already judged."""

    def announce(self) -> Event:
        """An announce goes out now; returns the event it carries."""

    def answered(self, answer: AnnounceResponse, next_at: float) -> None:
        """The tracker lists us now."""

    def failed(self, reason: str, next_at: float) -> None:
        """The announce came to nothing."""

    def refused(self, reason: str) -> None:
        """The tracker wants no announce of this torrent ever again, or cannot be spoken to at all."""

    def complete(self) -> None:
        """The torrent became complete."""

    def leave(self) -> bool:
        """We stop; returns whether the tracker may list us and so is owed a `stopped`."""

    def left(self) -> None:
        """The `stopped` was answered, or never will be."""

    def state(self) -> TrackerState:
        """How the tracker stands."""


_builder = TypeMachineBuilder(Relation, Account)

_stranger = _builder.state("stranger")  # does not list us
_greeting = _builder.state("greeting")  # `started` is under way
_known = _builder.state("known")  # lists us
_reporting = _builder.state("reporting")  # lists us, and the next announce is under way
_barred = _builder.state("barred")
_leaving = _builder.state("leaving")  # `stopped` is under way
_gone = _builder.state("gone")


@_stranger.upon(Relation.announce).to(_greeting)
def _greet(relation: Relation, account: Account) -> Event:
    account.sent = Event.STARTED
    return account.sent


@_known.upon(Relation.announce).to(_reporting)
def _report(relation: Relation, account: Account) -> Event:
    account.sent = account.owed
    return account.sent


@_greeting.upon(Relation.answered).to(_known)
@_reporting.upon(Relation.answered).to(_known)
def _note_answer(relation: Relation, account: Account, answer: AnnounceResponse, next_at: float) -> None:
    account.failures = 0
    account.last_error = None
    account.last_answer = answer
    if account.owed is account.sent:
        account.owed = Event.NONE
    account.next_at = next_at


@_greeting.upon(Relation.failed).to(_stranger)
def _note_unheard(relation: Relation, account: Account, reason: str, next_at: float) -> None:
    account.owed = Event.NONE
    _note_failure(relation, account, reason, next_at)


@_reporting.upon(Relation.failed).to(_known)
def _note_failure(relation: Relation, account: Account, reason: str, next_at: float) -> None:
    account.failures += 1
    account.last_error = reason
    account.next_at = next_at


@_stranger.upon(Relation.refused).to(_barred)
@_greeting.upon(Relation.refused).to(_barred)
@_reporting.upon(Relation.refused).to(_barred)
def _note_refusal(relation: Relation, account: Account, reason: str) -> None:
    account.failures += 1
    account.last_error = reason
    account.next_at = math.inf


@_greeting.upon(Relation.complete).loop()
@_known.upon(Relation.complete).loop()
@_reporting.upon(Relation.complete).loop()
def _owe_completed(relation: Relation, account: Account) -> None:
    account.owed = Event.COMPLETED  # only to those that heard `started`: they count downloads by it


@_greeting.upon(Relation.leave).to(_leaving)
def _leave_early(relation: Relation, account: Account) -> bool:
    return account.failures == 0  # the `started` may have arrived, unless the tracker is known to be dead


_known.upon(Relation.leave).to(_leaving).returns(True)
_reporting.upon(Relation.leave).to(_leaving).returns(True)
_stranger.upon(Relation.leave).to(_gone).returns(False)
_barred.upon(Relation.leave).to(_gone).returns(False)
_leaving.upon(Relation.left).to(_gone).returns(None)

# What changes nothing where it arrives.
for _state in (_stranger, _barred, _leaving, _gone):
    _state.upon(Relation.complete).loop().returns(None)
_gone.upon(Relation.left).loop().returns(None)


@_stranger.upon(Relation.state).loop()
def _stranger_state(relation: Relation, account: Account) -> TrackerState:
    return TrackerState.FAILING if account.failures else TrackerState.WAITING


@_known.upon(Relation.state).loop()
def _known_state(relation: Relation, account: Account) -> TrackerState:
    return TrackerState.FAILING if account.failures else TrackerState.WORKING


_greeting.upon(Relation.state).loop().returns(TrackerState.ANNOUNCING)
_reporting.upon(Relation.state).loop().returns(TrackerState.ANNOUNCING)
_barred.upon(Relation.state).loop().returns(TrackerState.REFUSED)
_leaving.upon(Relation.state).loop().returns(TrackerState.STOPPING)
_gone.upon(Relation.state).loop().returns(TrackerState.STOPPED)

new_relation: Callable[[Account], Relation] = _builder.build()
"""Begin a relation with a tracker that has not heard of us."""
