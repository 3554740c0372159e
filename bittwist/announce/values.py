"""What is said in an announce and in a scrape, whatever carries it (BEP 3, 48)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum
from types import FunctionType
from typing import ParamSpec, TypeVar, cast

from bittwist.address import Address

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_INTERVAL = 1800  # seconds between announces; what most trackers ask for


class Event(Enum):
    """Why a peer announces (BEP 3); the value is the word in the query."""

    NONE = ""
    STARTED = "started"
    COMPLETED = "completed"
    STOPPED = "stopped"
    PAUSED = "paused"  # a partial seed: it has all it wants, and not all there is (BEP 21)


@dataclass(frozen=True, slots=True)
class AnnounceRequest:
    """A peer tells a tracker about itself and asks for others.

    `info_hash` and `peer_id` are 20 bytes; `uploaded`, `downloaded` and `left` are bytes of the torrent.
    `numwant` is None where the tracker shall choose. `ip` is what the peer says its address is; `address`
    is what the tracker takes it to be, filled in by the tracker's front and never sent.
    """

    info_hash: bytes
    peer_id: bytes
    port: int
    uploaded: int = 0
    downloaded: int = 0
    left: int = 0
    event: Event = Event.NONE
    numwant: int | None = None
    key: bytes | None = None
    compact: bool = True
    no_peer_id: bool = False
    ip: str | None = None
    tracker_id: bytes | None = None
    address: Address | None = None

    @property
    def is_seed(self) -> bool:
        return self.left == 0


@dataclass(frozen=True, slots=True)
class AnnounceResponse:
    """A tracker's answer: when to come back (seconds), how large the swarm is, and some of its peers.

    `peer_ids` is empty, or as long as `peers`, with b"" where an id is not known. `interval` is as the
    tracker said it, however odd: whoever schedules announces bounds it.
    """

    interval: int = DEFAULT_INTERVAL
    min_interval: int | None = None
    complete: int | None = None
    incomplete: int | None = None
    downloaded: int | None = None
    peers: tuple[Address, ...] = ()
    peer_ids: tuple[bytes, ...] = ()
    warning: str | None = None
    tracker_id: bytes | None = None
    external_ip: str | None = None


@dataclass(frozen=True, slots=True)
class ScrapeEntry:
    """The size of one swarm (BEP 48): seeds, downloads ever completed, leeches.

    `downloaders` are the leeches that are no partial seeds (BEP 21); None where nobody counts them apart.
    """

    complete: int = 0
    downloaded: int = 0
    incomplete: int = 0
    downloaders: int | None = None


def quick(value: Callable[P, T]) -> Callable[P, T]:
    """A constructor of this frozen, slotted dataclass that takes a quarter of the time.

    A frozen value's own sets each field past its own guard, by a call. This one fills a draft of the same
    slots and then makes it the value. For what is made with every announce, and has no `__post_init__`.
    """
    kind = cast(type, value)
    assert not hasattr(kind, "__post_init__") and kind.__bases__ == (object,)
    names = [field.name for field in fields(kind)]
    draft = type(f"{kind.__name__}Draft", (), {"__slots__": names})
    lines = [f" draft.{name} = {name}" for name in names]
    given: dict[str, object] = {"new": draft.__new__, "Draft": draft, "kind": kind}
    head = [f"def make({', '.join(names)}):", " draft = new(Draft)"]
    exec("\n".join([*head, *lines, " draft.__class__ = kind", " return draft"]), given)  # as dataclass does
    make = cast(FunctionType, given["make"])
    make.__defaults__ = cast(FunctionType, vars(kind)["__init__"]).__defaults__
    return cast(Callable[P, T], make)
