"""A torrent's life as an Automat machine: which states there are and what leads from one to the next.

Inputs are facts already judged. Outputs only record which state was entered; the torrent acts on
that record afterwards, so nothing here raises, does I/O or calls back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from automat import TypeMachineBuilder


class State(Enum):
    """Where a torrent is; the value is the word shown everywhere."""

    STOPPED = "stopped"
    METADATA = "metadata"
    CHECKING = "checking"
    DOWNLOADING = "downloading"
    SEEDING = "seeding"
    MOVING = "moving"
    WAITING = "waiting"
    FAILED = "failed"


class Facts(Protocol):
    """What can happen to a torrent."""

    def started_without_metadata(self) -> None: ...
    def started(self) -> None: ...
    def metadata_arrived(self) -> None: ...
    def checked_incomplete(self) -> None: ...
    def checked_complete(self) -> None: ...
    def completed(self) -> None: ...
    def more_wanted(self) -> None: ...
    def move_asked(self) -> None: ...
    def moved(self) -> None: ...
    def disk_filled(self, reason: str) -> None: ...
    def room_made(self) -> None: ...
    def recheck_asked(self) -> None: ...
    def broke(self, reason: str) -> None: ...
    def stopped(self) -> None: ...


@dataclass(slots=True)
class Life:
    """The state, why it was entered, and the entries not yet acted upon (in order)."""

    state: State = State.STOPPED
    reason: str = ""
    entered: list[State] = field(default_factory=list)


_METADATA, _CHECKING, _DOWNLOADING = State.METADATA, State.CHECKING, State.DOWNLOADING
_SEEDING, _WAITING, _STOPPED, _FAILED = State.SEEDING, State.WAITING, State.STOPPED, State.FAILED
_MOVING = State.MOVING
_HAS_FILES = (_STOPPED, _CHECKING, _DOWNLOADING, _SEEDING, _WAITING, _FAILED)  # if the metadata is known

TRANSITIONS: dict[tuple[State, str], State] = {
    (_STOPPED, "started_without_metadata"): _METADATA,
    (_STOPPED, "started"): _CHECKING,
    (_FAILED, "started_without_metadata"): _METADATA,
    (_FAILED, "started"): _CHECKING,
    (_METADATA, "metadata_arrived"): _CHECKING,
    (_CHECKING, "checked_incomplete"): _DOWNLOADING,
    (_CHECKING, "checked_complete"): _SEEDING,
    (_DOWNLOADING, "completed"): _SEEDING,
    (_SEEDING, "more_wanted"): _DOWNLOADING,
    **{(state, "move_asked"): _MOVING for state in _HAS_FILES},
    (_MOVING, "moved"): _CHECKING,
    # Where there is no room for it, waiting is of no use: it is to go elsewhere, or back.
    (_MOVING, "disk_filled"): _FAILED,
    (_DOWNLOADING, "disk_filled"): _WAITING,
    # What was written last did not reach the disk after all.
    (_SEEDING, "disk_filled"): _WAITING,
    (_WAITING, "room_made"): _DOWNLOADING,
    # A piece that was being written when the disk filled may still be the last one.
    (_WAITING, "completed"): _SEEDING,
    # No room to lay the files out: the check is made again when there is.
    (_CHECKING, "disk_filled"): _WAITING,
    (_WAITING, "started"): _CHECKING,
    # Of what was not to be hashed: it begins again.
    (_CHECKING, "recheck_asked"): _CHECKING,
    (_DOWNLOADING, "recheck_asked"): _CHECKING,
    (_SEEDING, "recheck_asked"): _CHECKING,
    (_WAITING, "recheck_asked"): _CHECKING,
    **{(state, "broke"): _FAILED for state in State if state not in (_STOPPED, _FAILED)},
    **{(state, "stopped"): _STOPPED for state in State if state is not _STOPPED},
}

# Facts that arrive late, from work begun in an earlier state, change nothing.
IGNORED: frozenset[tuple[State, str]] = frozenset(
    {(state, "disk_filled") for state in (_WAITING, _STOPPED, _FAILED)}
    | {(state, "broke") for state in (_STOPPED, _FAILED)}
    | {(_STOPPED, "stopped")}
    | {(state, "room_made") for state in State if state is not _WAITING}
    | {(state, "completed") for state in (_STOPPED, _FAILED, _CHECKING, _SEEDING, _MOVING)}
    | {(state, "more_wanted") for state in State if state is not _SEEDING}
    | {(_MOVING, "move_asked")}
)


def lifecycle(life: Life) -> Facts:
    """A new machine that records into `life`; a fact that fits no state raises automat.NoTransition."""
    return _build(life)


def _entering(target: State) -> Callable[..., None]:
    def enter(_facts: Facts, life: Life, reason: str = "") -> None:
        life.state = target
        life.reason = reason
        life.entered.append(target)

    return enter


def _staying(_facts: Facts, _life: Life, reason: str = "") -> None:
    return None


def _machine() -> Callable[[Life], Facts]:
    builder = TypeMachineBuilder(Facts, Life)
    states = {state: builder.state(state.value) for state in State}
    for (source, fact), target in TRANSITIONS.items():
        states[source].upon(getattr(Facts, fact)).to(states[target])(_entering(target))
    for source, fact in sorted(IGNORED, key=lambda pair: (pair[0].value, pair[1])):
        states[source].upon(getattr(Facts, fact)).loop()(_staying)
    return builder.build()


_build = _machine()
