"""The peer handshake, without I/O (BEP 3; the reserved bits of BEP 5, 6 and 10).

The value, and the life of one handshake as a machine. Its inputs are facts already judged by the reader
in `connection`; its outputs only record what is to be sent, or why it is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from automat import TypeMachineBuilder

from bittwist.errors import LocalProtocolError

PROTOCOL = b"\x13BitTorrent protocol"
NAMED = len(PROTOCOL) + 8 + 20  # bytes after which the torrent is known: some wait for our answer here
LENGTH = NAMED + 20


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a peer says first: the torrent, itself (20 bytes each), and 8 bytes of what it can."""

    info_hash: bytes
    peer_id: bytes
    reserved: bytes = bytes(8)

    def __post_init__(self) -> None:
        if (len(self.info_hash), len(self.peer_id), len(self.reserved)) != (20, 20, 8):
            raise LocalProtocolError(f"{self!r} has parts of a wrong length")

    @property
    def fast(self) -> bool:
        """The fast extension (BEP 6)."""
        return bool(self.reserved[7] & 0x04)

    @property
    def extended(self) -> bool:
        """The extension protocol (BEP 10)."""
        return bool(self.reserved[5] & 0x10)

    @property
    def dht(self) -> bool:
        """A DHT node stands beside the peer (BEP 5)."""
        return bool(self.reserved[7] & 0x01)

    def encode(self) -> bytes:
        return PROTOCOL + self.reserved + self.info_hash + self.peer_id


def reserved(*, fast: bool = True, extended: bool = True, dht: bool = False) -> bytes:
    """The 8 reserved bytes that offer these."""
    return bytes((0, 0, 0, 0, 0, 0x10 * extended, 0, 0x04 * fast | 0x01 * dht))


@dataclass(slots=True)
class HandshakeRecord:
    """What has come of a handshake so far; owned by its machine."""

    outbox: list[bytes] = field(default_factory=list)  # to be sent, in order
    theirs: Handshake | None = None  # set once all is well
    refusal: str | None = None  # set once nothing can come of it


class PeerHandshake(Protocol):
    """The facts a handshake moves by."""

    def dialed(self, ours: Handshake) -> None:
        """We called them, so we speak first."""

    def answered(self) -> None:
        """They called us, so they speak first."""

    def named(self) -> None:
        """They called and named a torrent; whether it is served here is being asked."""

    def admitted(self, ours: Handshake) -> None:
        """The torrent they named is served here."""

    def matched(self) -> None:
        """They answered with the torrent we called them for."""

    def greeted(self, theirs: Handshake) -> None:
        """Their handshake is whole, and they are not us."""

    def refused(self, reason: str) -> None:
        """Something is wrong: not BitTorrent, another torrent, ourselves, too slow."""


_builder = TypeMachineBuilder(PeerHandshake, HandshakeRecord)
_idle = _builder.state("idle")
_calling = _builder.state("calling")  # ours is sent, theirs is awaited
_listening = _builder.state("listening")  # theirs is awaited
_asking = _builder.state("asking")  # they named a torrent; the owner is asked whether it is served
_knowing = _builder.state("knowing")  # the torrent is settled, their peer id is awaited
_done = _builder.state("done")
_over = _builder.state("over")

_idle.upon(PeerHandshake.answered).to(_listening).returns(None)
_listening.upon(PeerHandshake.named).to(_asking).returns(None)
_calling.upon(PeerHandshake.matched).to(_knowing).returns(None)


@_idle.upon(PeerHandshake.dialed).to(_calling)
@_asking.upon(PeerHandshake.admitted).to(_knowing)
def _send_ours(machine: PeerHandshake, record: HandshakeRecord, ours: Handshake) -> None:
    record.outbox.append(ours.encode())


@_knowing.upon(PeerHandshake.greeted).to(_done)
def _keep_theirs(machine: PeerHandshake, record: HandshakeRecord, theirs: Handshake) -> None:
    record.theirs = theirs


@_listening.upon(PeerHandshake.refused).to(_over)
@_asking.upon(PeerHandshake.refused).to(_over)
@_calling.upon(PeerHandshake.refused).to(_over)
@_knowing.upon(PeerHandshake.refused).to(_over)
def _give_up(machine: PeerHandshake, record: HandshakeRecord, reason: str) -> None:
    record.refusal = reason


handshake_machine = _builder.build()
