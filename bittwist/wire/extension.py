"""The extension handshake: who understands which extension, under which number (BEP 10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from bittwist.errors import BencodeError, RemoteProtocolError
from bittwist.metainfo import bencode
from bittwist.metainfo.bencode import Value
from bittwist.wire.ut_metadata import MAX_METADATA

EXTENDED_HANDSHAKE = 0  # the extended message identifier of the handshake itself

# The numbers under which peers send us these.
OURS: Mapping[str, int] = {"ut_metadata": 1, "ut_pex": 2, "lt_donthave": 3}

MAX_HANDSHAKE = 16 << 10  # bytes; real ones have under 300
MAX_EXTENSIONS = 64  # names kept of one peer; real ones have under 12
MAX_NAME = 64  # bytes of an extension's name
MAX_VERSION = 100  # characters of a client's name and version, for people to read
MAX_REQQ = 1 << 16  # outstanding requests a peer may claim to bear; nobody sends as many
MAX_AGO = 1 << 31  # seconds; longer than there has been BitTorrent

KEPT = ("version", "reqq", "port", "yourip", "ipv4", "ipv6", "metadata_size", "upload_only", "complete_ago")


@dataclass(frozen=True, slots=True)
class ExtensionHandshake:
    """What a peer says of itself; every part may be missing.

    `m` maps extension names to the peer's numbers for them; 0 turns an extension off.
    `port` is where it listens, `yourip` the address it sees us at, `ipv4` and `ipv6` are its own addresses.
    `upload_only`: it wants nothing, or (False) wants something again (BEP 21). `complete_ago`: how many
    seconds ago it was last sure of a whole copy in the swarm.
    """

    m: Mapping[str, int] = field(default_factory=dict)
    version: str | None = None
    reqq: int | None = None
    port: int | None = None
    yourip: str | None = None
    ipv4: str | None = None
    ipv6: str | None = None
    metadata_size: int | None = None
    upload_only: bool | None = None
    complete_ago: int | None = None

    def encode(self) -> bytes:
        """The payload of the `Extended` message."""
        found: dict[bytes, bencode.Encodable] = {b"m": {k.encode(): v for k, v in self.m.items()}}
        if self.version is not None:
            found[b"v"] = self.version
        if self.reqq is not None:
            found[b"reqq"] = self.reqq
        if self.port is not None:
            found[b"p"] = self.port
        if self.yourip is not None:
            found[b"yourip"] = ip_address(self.yourip).packed
        if self.ipv4 is not None:
            found[b"ipv4"] = ip_address(self.ipv4).packed
        if self.ipv6 is not None:
            found[b"ipv6"] = ip_address(self.ipv6).packed
        if self.metadata_size is not None:
            found[b"metadata_size"] = self.metadata_size
        if self.upload_only is not None:
            found[b"upload_only"] = int(self.upload_only)
        if self.complete_ago is not None:
            found[b"complete_ago"] = self.complete_ago
        return bencode.encode(found)

    @classmethod
    def decode(cls, payload: bytes) -> ExtensionHandshake:
        """Read a payload. Parts that cannot be used are as if missing.

        Raises RemoteProtocolError only where it is no bencoded dictionary, or a far too long one.
        """
        if len(payload) > MAX_HANDSHAKE:
            raise RemoteProtocolError(f"an extension handshake of {len(payload)} bytes")
        try:
            found = bencode.decode(payload)
        except BencodeError as error:
            raise RemoteProtocolError(f"an extension handshake that is not bencoded: {error}") from error
        if not isinstance(found, dict):
            raise RemoteProtocolError("an extension handshake that is no dictionary")
        return cls(
            m=_extensions(found.get(b"m")),
            version=_text(found.get(b"v")),
            reqq=_number(found.get(b"reqq"), 1, MAX_REQQ),
            port=_number(found.get(b"p"), 1, 0xFFFF),
            yourip=_host(found.get(b"yourip"), 4, 16),
            ipv4=_host(found.get(b"ipv4"), 4),
            ipv6=_host(found.get(b"ipv6"), 16),
            metadata_size=_number(found.get(b"metadata_size"), 1, MAX_METADATA),
            upload_only=_flag(found.get(b"upload_only")),
            complete_ago=_number(found.get(b"complete_ago"), 0, MAX_AGO),
        )

    def updated(self, later: ExtensionHandshake) -> ExtensionHandshake:
        """This, with what a later handshake of the same peer changes: `m` is additive, 0 removes."""
        together = {name: number for name, number in {**self.m, **later.m}.items() if number}
        kept = {
            name: getattr(later, name) if getattr(later, name) is not None else getattr(self, name)
            for name in KEPT
        }
        m = dict(list(together.items())[:MAX_EXTENSIONS])
        return replace(later, m=m, **kept)


def _extensions(value: Value | None) -> dict[str, int]:
    if not isinstance(value, dict):
        return {}
    usable = {
        name.decode("ascii", "replace"): number
        for name, number in value.items()
        if len(name) <= MAX_NAME and isinstance(number, int) and 0 <= number <= 255
    }
    return dict(list(usable.items())[:MAX_EXTENSIONS])


def _text(value: Value | None) -> str | None:
    return value.decode("utf-8", "replace")[:MAX_VERSION] if isinstance(value, bytes) else None


def _number(value: Value | None, least: int, most: int) -> int | None:
    return value if isinstance(value, int) and least <= value <= most else None


def _flag(value: Value | None) -> bool | None:
    return value != 0 if isinstance(value, int) else None


def _host(value: Value | None, *sizes: int) -> str | None:
    return str(ip_address(value)) if isinstance(value, bytes) and len(value) in sizes else None
