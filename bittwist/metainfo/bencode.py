"""Bencoding: one iterative, linear-time decoder and a canonical encoder (BEP 3, "bencoding")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeAlias, Union

from bittwist.errors import BencodeError, LocalProtocolError

Value: TypeAlias = Union[int, bytes, "list[Value]", "dict[bytes, Value]"]
Encodable: TypeAlias = Union[
    int, bytes, str, "Sequence[Encodable]", "Mapping[bytes, Encodable]", "Mapping[str, Encodable]"
]

MAX_DEPTH = 100  # containers in containers; torrents need 4, hostile ones ask for a stack overflow
MAX_TOKENS = 3_000_000  # values, keys and ends; more than a 10 MiB torrent of small files has
MAX_INTEGER_DIGITS = 20  # an unsigned 64-bit integer fits; nothing in BitTorrent needs more
MAX_LENGTH_DIGITS = 10  # of a string's length; nobody has read more bytes than that

_DICT, _END, _INT, _LIST, _COLON, _ZERO, _NINE = b"deil:09"


def decode(data: bytes | memoryview, strict: bool = True, *, max_depth: int = MAX_DEPTH) -> Value:
    """The value that `data` is the bencoding of; BencodeError (reason and offset) if it is none.

    Strict refuses all but the canonical form. Lenient, for torrent files only, also takes unsorted keys,
    zeros before a number, `-0` and bytes after the value; duplicate keys are refused always.
    """
    reader = _Reader(data, strict, max_depth)
    value = reader.value()
    if strict and reader.offset != len(reader.data):
        raise BencodeError("more bytes after the value", reader.offset)
    return value


def decode_prefix(
    data: bytes | memoryview, strict: bool = True, *, max_depth: int = MAX_DEPTH
) -> tuple[Value, int]:
    """The value at the start of `data`, and the offset of what follows it (BEP 9 needs that)."""
    reader = _Reader(data, strict, max_depth)
    return reader.value(), reader.offset


def decode_spans(
    data: bytes | memoryview, strict: bool = True
) -> tuple[dict[bytes, Value], dict[bytes, tuple[int, int]]]:
    """The dictionary that `data` encodes, and from where to where in `data` each of its values stands."""
    reader = _Reader(data, strict, MAX_DEPTH - 1)
    values: dict[bytes, Value] = {}
    spans: dict[bytes, tuple[int, int]] = {}
    last: bytes | None = None
    reader.open_dictionary()
    while not reader.at_end():
        key_at = reader.offset
        key = reader.value()
        if not isinstance(key, bytes):
            raise BencodeError("a dictionary key is not a string", key_at)
        if key in values:
            raise BencodeError("a dictionary key comes twice", key_at)
        if strict and last is not None and key < last:
            raise BencodeError("dictionary keys are not sorted", key_at)
        value_at = reader.offset
        if reader.at_end():
            raise BencodeError("a dictionary key has no value", value_at)
        values[key] = reader.value()
        spans[key] = (value_at, reader.offset)
        last = key
    end = reader.offset + 1
    if strict and end != len(reader.data):
        raise BencodeError("more bytes after the value", end)
    return values, spans


def encode(value: Encodable) -> bytes:
    """The canonical bencoding of ints, bytes, str (as UTF-8), lists, tuples and dictionaries.

    LocalProtocolError for anything else, and for what our own decoder would refuse.
    """
    parts: list[bytes] = []
    _encode(value, parts, 0)
    return b"".join(parts)


class _Reader:
    """Reads values one after the other from `data`, never recursing; owns `offset` and the token budget."""

    def __init__(self, data: bytes | memoryview, strict: bool, max_depth: int) -> None:
        self.data = bytes(data)
        self.offset = 0
        self._strict = strict
        self._max_depth = max_depth
        self._tokens_left = MAX_TOKENS

    def open_dictionary(self) -> None:
        if self.data[:1] != b"d":
            raise BencodeError("not a dictionary", self.offset)
        self.offset = 1

    def at_end(self) -> bool:
        """Whether the container opened by `open_dictionary` ends here."""
        return self.data[self.offset : self.offset + 1] == b"e"

    def value(self) -> Value:
        """The next value. One long loop on purpose: a call for each token would double the time."""
        data, strict, max_depth, at = self.data, self._strict, self._max_depth, self.offset
        size = len(data)
        find = data.find
        # The innermost open container is `mapping` where there is a `key` (its last), else `items`;
        # `outer` holds the ones around it.
        outer: list[tuple[list[Value], dict[bytes, Value], bytes | None]] = []
        items: list[Value] = []
        mapping: dict[bytes, Value] = {}
        key: bytes | None = None
        wants_key = False
        value: Value
        try:
            for token in range(self._tokens_left):
                byte = data[at]
                if _ZERO <= byte <= _NINE:
                    colon = find(b":", at, at + MAX_LENGTH_DIGITS + 1)
                    if colon == at + 1:
                        length = byte - _ZERO
                    else:
                        digits = data[at:colon]
                        if colon < 0 or not digits.isdigit():
                            self._bad_length(at)
                        if byte == _ZERO and strict:
                            raise BencodeError("a zero before a string's length", at)
                        length = int(digits)
                    start = colon + 1
                    end = start + length
                    if end > size:
                        raise BencodeError(f"a string of {length} bytes goes past the end", at)
                    value = data[start:end]
                    if wants_key:
                        if mapping:
                            if value in mapping:
                                raise BencodeError("a dictionary key comes twice", at)
                            if strict and value < key:  # type: ignore[operator]  # wants_key: key is bytes
                                raise BencodeError("dictionary keys are not sorted", at)
                        key = value
                        wants_key = False
                        at = end
                        continue
                    at = end
                elif byte == _END:
                    if not outer:
                        raise BencodeError("an end without a beginning", at)
                    if key is None:
                        value = items
                    elif wants_key:
                        value = mapping
                    else:
                        raise BencodeError("a dictionary key has no value", at)
                    items, mapping, key = outer.pop()
                    wants_key = False
                    at += 1
                elif wants_key:
                    raise BencodeError("a dictionary key is not a string", at)
                elif byte == _INT:
                    end = find(b"e", at + 1, at + MAX_INTEGER_DIGITS + 3)
                    digits = data[at + 1 : end]
                    plain = digits[1:] if digits[:1] == b"-" else digits
                    if end < 0 or not plain.isdigit() or len(plain) > MAX_INTEGER_DIGITS:
                        self._bad_integer(at)
                    if plain[0] == _ZERO and digits != b"0" and strict:
                        raise BencodeError("an integer with a needless zero", at)
                    value = int(digits)
                    at = end + 1
                elif byte in (_DICT, _LIST):
                    if len(outer) >= max_depth:
                        raise BencodeError("nested too deeply", at)
                    outer.append((items, mapping, key))
                    if byte == _DICT:
                        mapping, key, wants_key = {}, b"", True
                    else:
                        items, key = [], None
                    at += 1
                    continue
                else:
                    raise BencodeError("no value begins with this byte", at)
                if not outer:
                    self.offset = at
                    self._tokens_left -= token + 1
                    return value
                if key is None:
                    items.append(value)
                else:
                    mapping[key] = value
                    wants_key = True
        except IndexError:
            raise BencodeError("ends too early", size) from None
        raise BencodeError("too many values", at)

    def _bad_length(self, at: int) -> NoReturn:
        if self.data[at:].isdigit():
            raise BencodeError("ends too early", len(self.data))
        raise BencodeError("a string's length is not a number of at most 10 digits", at)

    def _bad_integer(self, at: int) -> NoReturn:
        raise BencodeError("an integer is not a number of at most 20 digits", at)


def _encode(value: Encodable, parts: list[bytes], depth: int) -> None:
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        parts.append(b"%d:%b" % (len(value), value))
    elif isinstance(value, int):
        if len(str(abs(value))) > MAX_INTEGER_DIGITS:
            raise LocalProtocolError(f"an integer of more than {MAX_INTEGER_DIGITS} digits")
        parts.append(b"i%de" % value)
    elif depth >= MAX_DEPTH:
        raise LocalProtocolError(f"nested more than {MAX_DEPTH} deep")
    elif isinstance(value, (list, tuple)):
        parts.append(b"l")
        for item in value:
            _encode(item, parts, depth + 1)
        parts.append(b"e")
    elif isinstance(value, dict):
        by_key = {_key(key): item for key, item in value.items()}
        if len(by_key) != len(value):
            raise LocalProtocolError("a key comes as bytes and as str")
        parts.append(b"d")
        for key in sorted(by_key):
            parts.append(b"%d:%b" % (len(key), key))
            _encode(by_key[key], parts, depth + 1)
        parts.append(b"e")
    else:
        raise LocalProtocolError(f"{type(value).__name__} has no bencoding")


def _key(key: object) -> bytes:
    if isinstance(key, str):
        return key.encode()
    if isinstance(key, bytes):
        return key
    raise LocalProtocolError(f"a key must be bytes or str, not {type(key).__name__}")
