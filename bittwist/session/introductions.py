"""The peers of a torrent told of each other, and what they tell of others (BEP 11)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from bittwist.address import Address
from bittwist.discovery.pex import Exchange, Parted
from bittwist.wire.extension import OURS, ExtensionHandshake
from bittwist.wire.messages import Extended
from bittwist.wire.ut_pex import Contact, PexFlags, decode, encode

NAME = "ut_pex"
OUR_ID = OURS[NAME]  # the extended message identifier under which peers send us ut_pex


class PexPeer(Protocol):
    """A peer as far as peer exchange goes."""

    @property
    def key(self) -> int: ...
    @property
    def address(self) -> Address: ...
    @property
    def outgoing(self) -> bool: ...
    @property
    def extensions(self) -> ExtensionHandshake | None: ...
    @property
    def wants_nothing(self) -> bool: ...
    def send_extended(self, message: Extended) -> None: ...


class Introductions:
    """There is one while peer exchange is on. Owns whom each peer was told of."""

    def __init__(self, found: Callable[[Sequence[Address], str], None]) -> None:
        self._found = found
        self._peers: dict[int, PexPeer] = {}
        self._contacts: dict[int, Address] = {}
        self._exchanges: dict[int, Exchange] = {}
        self._parted = Parted()
        self._news = 0  # counts what has changed
        self._told: dict[int, int] = {}  # the news that a peer knows all of

    def met(self, peer: PexPeer, now: float) -> None:
        """It has shaken hands, or sent an extension handshake."""
        self._peers[peer.key] = peer
        address = contact_of(peer)
        if address is not None and address != self._contacts.get(peer.key):
            self._contacts[peer.key] = address
            self._news += 1
        if peer.key not in self._exchanges and self._number(peer):
            self._exchanges[peer.key] = Exchange(now)

    def left(self, peer: PexPeer, *, as_good_as_others: bool) -> None:
        """It is gone; `as_good_as_others` where we parted from it for no fault of its own."""
        if self._peers.pop(peer.key, None) is None:
            return
        address = self._contacts.pop(peer.key, None)
        if address is not None and as_good_as_others:
            self._parted.add(Contact(address, flags_of(peer)))
        self._exchanges.pop(peer.key, None)
        self._told.pop(peer.key, None)
        self._news += 1

    def received(self, peer: PexPeer, payload: bytes, now: float, *, seeding: bool) -> None:
        """A message came. RemoteProtocolError for what is none, or one too many."""
        message = decode(payload)
        exchange = self._exchanges.setdefault(peer.key, Exchange(now))
        contacts = exchange.heard(message, peer.address.host, now)
        wanted = [each.address for each in contacts if not (seeding and each.flags & PexFlags.SEED)]
        if wanted:
            self._found(wanted, "pex")

    def tick(self, now: float) -> None:
        """Tell those their news whose minute is over."""
        waiting = [
            key
            for key, exchange in self._exchanges.items()
            if exchange.due_at <= now and self._told.get(key) != self._news
        ]
        if not waiting:
            return
        live = {address: flags_of(self._peers[key]) for key, address in self._contacts.items()}
        for key in waiting:
            self._tell(key, live, now)

    def _tell(self, key: int, live: dict[Address, PexFlags], now: float) -> None:
        peer, exchange = self._peers[key], self._exchanges[key]
        number = self._number(peer)
        if not number:
            return  # it has turned the extension off
        others = dict(live)
        others.pop(self._contacts.get(key, peer.address), None)
        message = exchange.update(others, self._parted, peer.address.host, now)
        if not exchange.behind:
            self._told[key] = self._news
        if message is not None:
            peer.send_extended(Extended(number, encode(message)))

    @staticmethod
    def _number(peer: PexPeer) -> int:
        """Under which the peer takes our messages; 0 where it takes none."""
        return peer.extensions.m.get(NAME, 0) if peer.extensions is not None else 0


def contact_of(peer: PexPeer) -> Address | None:
    """Where others can dial it: where we did, or where it says that it listens."""
    if peer.outgoing:
        return peer.address
    if peer.extensions is None or peer.extensions.port is None:
        return None
    return Address(peer.address.host, peer.extensions.port)


def flags_of(peer: PexPeer) -> PexFlags:
    """What is known of it."""
    flags = PexFlags.NONE
    if peer.wants_nothing:
        flags |= PexFlags.SEED
    if peer.outgoing:
        flags |= PexFlags.REACHABLE
    if peer.extensions is not None and peer.extensions.m.get("ut_holepunch"):
        flags |= PexFlags.HOLEPUNCH
    return flags
