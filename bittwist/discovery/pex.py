"""Peer exchange: what one peer was told of the others, and what it may tell us (BEP 11), without I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from bittwist.address import Address
from bittwist.errors import RemoteProtocolError
from bittwist.net.urls import Reach, reach
from bittwist.wire.ut_pex import MAX_CONTACTS, Contact, PexFlags, PexMessage

INTERVAL = 60.0  # seconds between messages to a peer (BEP 11)
GATHERING = 5.0  # seconds from a handshake to the first message: by then there is more to tell
MAX_PARTED = 25  # contacts of a family, below which recently parted ones are told too (BEP 11)
MAX_EARLY = 5  # messages a peer may send besides those that are due: some wait, and arrive together
HEARD_EVERY = 50.0  # seconds from one message of a peer to the next that is due: timers drift
MAX_TAKEN = 500  # contacts of one peer: nobody alone decides whom we dial


@dataclass(frozen=True, slots=True)
class PexSettings:
    """`enabled`: tell peers of each other, and listen to them; never for private torrents."""

    enabled: bool = True


class Parted:
    """Peers that are as good as others, but that we parted from: so many of each family, the latest.

    They are told where there are few others to tell of (BEP 11, "Filling underpopulated lists").
    """

    def __init__(self) -> None:
        self.number = 0  # of the latest
        self._latest: dict[bool, deque[tuple[int, Contact]]] = {
            family: deque(maxlen=MAX_PARTED) for family in (False, True)
        }

    def add(self, contact: Contact) -> None:
        """Once as the latest, whoever was parted from twice."""
        self.number += 1
        latest = self._latest[contact.address.is_ipv6]
        for entry in [entry for entry in latest if entry[1].address == contact.address]:
            latest.remove(entry)
        latest.append((self.number, contact))

    def since(self, number: int, *, ipv6: bool) -> list[Contact]:
        """Those after that number, the latest first."""
        return [contact for at, contact in reversed(self._latest[ipv6]) if at > number]


class Exchange:
    """Both directions of peer exchange with one peer."""

    def __init__(self, now: float) -> None:
        self.due_at = now + GATHERING
        self.behind = False  # there is more to tell with the next message, whether or not anything changes
        self._told: dict[Address, None] = {}
        self._parted = 0  # the number of the latest parted one that was told
        self._early = float(MAX_EARLY)  # messages the peer may send now, besides the one that is due
        self._heard_at = now
        self._taken = 0

    def update(
        self, live: Mapping[Address, PexFlags], parted: Parted, host: str, now: float
    ) -> PexMessage | None:
        """What to tell the peer at `host` now; None where nothing has changed for it, or it is not time.

        `live` are all that we are connected with, but for the peer itself.
        """
        if now < self.due_at:
            return None
        dropped = [address for address in self._told if address not in live][:MAX_CONTACTS]
        gone = set(dropped)
        added = [
            Contact(address, flags)
            for address, flags in live.items()
            if address not in self._told and may_name(address.host, host)
        ][:MAX_CONTACTS]
        for ipv6 in (False, True):
            if sum(1 for address in live if address.is_ipv6 is ipv6) < MAX_PARTED:
                added += [
                    contact
                    for contact in parted.since(self._parted, ipv6=ipv6)
                    if contact.address not in live
                    and contact.address not in gone
                    and contact.address not in self._told
                    and contact.address.host != host
                    and may_name(contact.address.host, host)
                ]
        del added[MAX_CONTACTS:]
        self._parted = parted.number
        self.behind = MAX_CONTACTS in (len(added), len(dropped)) or any(c.address not in live for c in added)
        if not added and not dropped:
            return None
        for address in dropped:
            del self._told[address]
        self._told.update(dict.fromkeys(contact.address for contact in added))
        self.due_at = now + INTERVAL
        return PexMessage(tuple(added), tuple(dropped))

    def heard(self, message: PexMessage, host: str, now: float) -> tuple[Contact, ...]:
        """The contacts to take from a message of the peer at `host`. RemoteProtocolError for one too many."""
        self._early = min(self._early + (now - self._heard_at) / HEARD_EVERY, MAX_EARLY)
        self._heard_at = now
        if self._early < 0:
            raise RemoteProtocolError("peer exchange messages too often")
        self._early -= 1
        usable = [contact for contact in message.added if may_name(contact.address.host, host)]
        taken = tuple(usable[: MAX_TAKEN - self._taken])
        self._taken += len(taken)
        return taken


def may_name(host: str, beside: str) -> bool:
    """Whether a peer at `beside` can reach `host`, and has a right to name it: local peers are the business
    of local peers, and this machine that of those on it."""
    where = reach(host)
    if where is Reach.LOCAL:
        return (
            ip_address(beside).is_loopback if ip_address(host).is_loopback else reach(beside) is Reach.LOCAL
        )
    return where is Reach.GLOBAL
