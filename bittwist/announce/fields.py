"""Messages as objects of JSON whose texts can be bytes (the WebTorrent tracker protocol).

A binary string (a hash, an id) is a text whose code points, U+0000 to U+00FF, are its bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bittwist.announce.query import MAX_NUMBER
from bittwist.errors import TrackerFailure

MAX_SDP = 16 << 10  # bytes of a session description; one with twenty candidates has 4 KiB
MAX_OFFER_ID = 64  # bytes; they have 20, but nothing says that they must


@dataclass(frozen=True, slots=True)
class Offer:
    """A session description (SDP) and the id that its answer will name: 1 to 64 bytes, as a rule 20.

    The answer to an offer is one too, with the offer's id.
    """

    offer_id: bytes
    sdp: str


class MessageFailure(TrackerFailure):
    """A message that cannot be used: what it was to be, and for which torrent, as far as that can be read.

    A browser reads a failure only where it names its own torrent.
    """

    def __init__(self, reason: str, action: str = "announce", info_hash: bytes | None = None) -> None:
        super().__init__(reason)
        self.action = action
        self.info_hash = info_hash


def text(binary: bytes) -> str:
    """Bytes, as this protocol writes them."""
    return binary.decode("latin-1")


def to_json(fields: Mapping[str, object]) -> bytes:
    """An object of JSON without the fields that are None."""
    given = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode()


class Fields:
    """The fields of a message, read one by one; TrackerFailure names the one that cannot be used."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._fields = fields

    @classmethod
    def read(cls, payload: bytes) -> Fields:
        """Those of an object of JSON; MessageFailure for anything else."""
        try:
            found = json.loads(payload.decode(), parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise MessageFailure("this is no JSON") from error
        if not isinstance(found, dict):
            raise MessageFailure("this is no object of JSON")
        return cls(found)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def get(self, name: str) -> object:
        """The value as JSON has it; None where there is none."""
        return self._fields.get(name)

    def binary(self, name: str, length: int) -> bytes:
        """A binary string of exactly so many bytes."""
        found = self.optional(name, length)
        if found is None:
            raise TrackerFailure(f"{name}: missing")
        if len(found) != length:
            raise TrackerFailure(f"{name}: {len(found)} bytes instead of {length}")
        return found

    def optional(self, name: str, most: int) -> bytes | None:
        """A binary string of at most so many bytes, or None."""
        value = self._fields.get(name)
        return None if value is None else binary(value, name, most)

    def number(self, name: str, default: int) -> int:
        """An integer from 0 to 2^64 - 1; JavaScript may write it with a fraction of 0, or as null."""
        value = self._fields.get(name)
        if value is None:
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
            raise TrackerFailure(f"{name}: not a number from 0 to 2^64 - 1")
        return value

    def within(self, name: str) -> Fields:
        """The fields of the object of that name."""
        value = self._fields.get(name)
        if not isinstance(value, dict):
            raise TrackerFailure(f"{name}: not an object")
        return Fields(value)

    def offer(self, kind: str) -> Offer:
        """The offer or answer that stands here as `{kind: {"type": kind, "sdp": …}, "offer_id": …}`."""
        offer_id = self.optional("offer_id", MAX_OFFER_ID)
        if not offer_id:
            raise TrackerFailure("offer_id: missing")
        described = self.within(kind)
        sdp = described.get("sdp")
        if described.get("type") != kind or not isinstance(sdp, str):
            raise TrackerFailure(f"{kind}: not a session description of that type")
        try:
            size = len(sdp.encode())
        except UnicodeEncodeError as error:  # half a surrogate pair, which could not be sent on
            raise TrackerFailure(f"{kind}: its session description is no text") from error
        if size > MAX_SDP:
            raise TrackerFailure(f"{kind}: a session description of {size} bytes is too long")
        return Offer(offer_id, sdp)

    def failure(self, reason: str) -> MessageFailure:
        """What to tell whoever sent this."""
        try:
            info_hash = self.binary("info_hash", 20)
        except TrackerFailure:
            info_hash = None
        return MessageFailure(reason, "scrape" if self.get("action") == "scrape" else "announce", info_hash)


def binary(value: object, name: str, most: int) -> bytes:
    """The bytes that a text means; TrackerFailure where it is none, or of more bytes than `most`."""
    if not isinstance(value, str):
        raise TrackerFailure(f"{name}: not a string")
    try:
        found = value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise TrackerFailure(f"{name}: not a binary string") from error
    if len(found) > most:
        raise TrackerFailure(f"{name}: {len(found)} bytes are too many")
    return found


def _no_number(word: str) -> object:
    raise ValueError(f"{word} is no number of JSON")
