"""Peer exchange: whom a peer is connected with, and whom no longer (BEP 11: ut_pex)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag
from itertools import islice

from bittwist.address import Address
from bittwist.errors import BencodeError, RemoteProtocolError
from bittwist.metainfo import bencode
from bittwist.metainfo.bencode import Value

MAX_CONTACTS = 50  # added, or dropped, in one message but for the first (BEP 11)
MAX_READ = 200  # of one message: the first may hold all that a large client is connected with
MAX_PAYLOAD = 16 << 10  # bytes; one of 200 added and dropped IPv6 peers has under 8 KiB


class PexFlags(IntFlag):
    """What is known of a contact; unknown bits are passed over."""

    NONE = 0
    PREFERS_ENCRYPTION = 0x01
    SEED = 0x02  # or a partial one: it only uploads
    UTP = 0x04
    HOLEPUNCH = 0x08
    REACHABLE = 0x10  # it was dialed, so others can dial it


@dataclass(frozen=True, slots=True)
class Contact:
    """A peer that another is connected with."""

    address: Address
    flags: PexFlags = PexFlags.NONE


@dataclass(frozen=True, slots=True)
class PexMessage:
    """What has changed since the last message."""

    added: tuple[Contact, ...] = ()
    dropped: tuple[Address, ...] = ()


def encode(message: PexMessage) -> bytes:
    """The payload of the `Extended` message. It is not empty: BEP 11 wants one field at least."""
    found: dict[bytes, bencode.Encodable] = {}
    for suffix, six in ((b"", False), (b"6", True)):
        added = [contact for contact in message.added if contact.address.is_ipv6 is six]
        if added:
            found[b"added" + suffix] = b"".join(contact.address.packed for contact in added)
            found[b"added" + suffix + b".f"] = bytes(contact.flags for contact in added)
        dropped = [address for address in message.dropped if address.is_ipv6 is six]
        if dropped:
            found[b"dropped" + suffix] = b"".join(address.packed for address in dropped)
    return bencode.encode(found or {b"added": b""})


def decode(payload: bytes) -> PexMessage:
    """Read a payload: each host once, the first MAX_READ of each list. Fields that cannot be used are as
    if missing; RemoteProtocolError where it is no bencoded dictionary, or a far too long one."""
    if len(payload) > MAX_PAYLOAD:
        raise RemoteProtocolError(f"a peer exchange of {len(payload)} bytes")
    try:
        found = bencode.decode(payload, strict=False)
    except BencodeError as error:
        raise RemoteProtocolError(f"a peer exchange that is not bencoded: {error}") from error
    if not isinstance(found, dict):
        raise RemoteProtocolError("a peer exchange that is no dictionary")
    added = [
        *_contacts(found.get(b"added"), found.get(b"added.f"), 6),
        *_contacts(found.get(b"added6"), found.get(b"added6.f"), 18),
    ]
    dropped = [*_addresses(found.get(b"dropped"), 6), *_addresses(found.get(b"dropped6"), 18)]
    # One address of a host: more are an attempt to have it dialed again and again (BEP 11, Security).
    hosts: dict[str, Contact] = {}
    for contact in added:
        hosts.setdefault(contact.address.host, contact)
    return PexMessage(tuple(hosts.values()), tuple(dict.fromkeys(dropped)))


def _contacts(packed: Value | None, flags: Value | None, width: int) -> list[Contact]:
    marks = flags if isinstance(flags, bytes) else b""
    known = PexFlags(0x1F)
    contacts = []
    for at, address in enumerate(_addresses(packed, width)):
        mark = PexFlags(marks[at] & known) if at < len(marks) else PexFlags.NONE
        if address.port:
            contacts.append(Contact(address, mark))
    return contacts


def _addresses(packed: Value | None, width: int) -> list[Address]:
    if not isinstance(packed, bytes):
        return []
    whole: Iterable[int] = range(0, len(packed) - width + 1, width)
    return [Address.unpack(packed[at : at + width]) for at in islice(whole, MAX_READ)]
