"""Which addresses are on a list: ranges, however many, found by bisection.

A range is written as an address, a network ("10.0.0.0/8", "2001:db8::/32") or "first-last". The formats of
other programs' filters, which `filterlists` reads, become the same numbers.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import AF_INET, AF_INET6, inet_pton

MAX_LINE = 256  # characters of a range: two IPv6 addresses take 79
_MAPPED = 0xFFFF << 32  # ::ffff:0:0, below which an IPv4 address is written as an IPv6 one
_MAPPED_LAST = _MAPPED + 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class AddressRange:
    """The addresses from `first` to `last`, both included, as numbers of one family."""

    first: int
    last: int
    is_ipv6: bool

    @classmethod
    def parse(cls, text: str) -> AddressRange:
        """Read an address, a network or `first-last`, mapped addresses as IPv4. ValueError says why not."""
        text = text.strip()
        if not text or len(text) > MAX_LINE:
            raise ValueError("not an address, a network or a range")
        if "/" in text:
            try:
                network = ip_network(text)
            except ValueError as error:
                raise ValueError(f"{text!r} is not a network: {_without_quote(error)}") from None
            return cls.between(network.network_address, network.broadcast_address)
        first, dash, last = text.partition("-")
        lowest = _address(first)
        return cls.between(lowest, _address(last) if dash else lowest)

    @classmethod
    def between(cls, first: IPv4Address | IPv6Address, last: IPv4Address | IPv6Address) -> AddressRange:
        if first.version != last.version:
            raise ValueError(f"{first}-{last} mixes IPv4 and IPv6")
        low, high = int(first), int(last)
        if low > high:
            raise ValueError(f"{first}-{last} ends before it begins")
        if first.version == 6 and low >= _MAPPED and high <= _MAPPED_LAST:
            return cls(low - _MAPPED, high - _MAPPED, False)
        return cls(low, high, first.version == 6)


class Gathered:
    """Ranges while they are gathered, IPv4 ones as one number: `first` << 32 | `last`."""

    __slots__ = ("four", "six")

    def __init__(self) -> None:
        self.four: list[int] = []
        self.six: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self.four) + len(self.six)

    def add(self, found: AddressRange) -> None:
        if found.is_ipv6:
            self.six.append((found.first, found.last))
        else:
            self.four.append(found.first << 32 | found.last)


class AddressRanges:
    """A set of addresses, kept as ranges that neither touch nor overlap: 8 bytes an IPv4 range.

    `host in ranges` takes a bisection. What is no IP address is in no range.
    """

    __slots__ = ("_first4", "_first6", "_last4", "_last6")

    def __init__(self, ranges: Iterable[AddressRange] | Gathered = ()) -> None:
        """A `Gathered` is used up."""
        if isinstance(ranges, Gathered):
            gathered = ranges
        else:
            gathered = Gathered()
            for each in ranges:
                gathered.add(each)
        self._first4, self._last4 = _merged4(gathered.four)
        merged6 = _merged(gathered.six)
        self._first6: Sequence[int] = [first for first, _ in merged6]
        self._last6: Sequence[int] = [last for _, last in merged6]

    def __len__(self) -> int:
        """How many ranges are left after merging."""
        return len(self._first4) + len(self._first6)

    def __contains__(self, host: object) -> bool:
        if not isinstance(host, str):
            return False
        try:
            if ":" not in host:
                return _within(int.from_bytes(inet_pton(AF_INET, host)), self._first4, self._last4)
            number = int.from_bytes(inet_pton(AF_INET6, host.partition("%")[0]))
        except (OSError, ValueError):  # ValueError: a NUL, or what is no ASCII
            return False
        if _MAPPED <= number <= _MAPPED_LAST and _within(number - _MAPPED, self._first4, self._last4):
            return True
        return _within(number, self._first6, self._last6)


def _within(number: int, firsts: Sequence[int], lasts: Sequence[int]) -> bool:
    place = bisect_right(firsts, number) - 1
    return place >= 0 and number <= lasts[place]


def _merged4(packed: list[int]) -> tuple[array[int], array[int]]:
    packed.sort()
    firsts, lasts = array("I"), array("I")
    highest = -2
    for both in packed:
        first, last = both >> 32, both & 0xFFFFFFFF
        if first > highest + 1:
            firsts.append(first)
            lasts.append(last)
            highest = last
        elif last > highest:
            lasts[-1] = highest = last
    packed.clear()
    return firsts, lasts


def _merged(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    pairs.sort()
    merged: list[tuple[int, int]] = []
    for first, last in pairs:
        if merged and first <= merged[-1][1] + 1:
            if last > merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        address = ip_address(text.strip())
    except ValueError:
        raise ValueError(f"{text.strip()!r} is not an IP address") from None
    if isinstance(address, IPv6Address) and address.scope_id:
        raise ValueError(f"{text.strip()!r} has a scope")
    return address


def _without_quote(error: ValueError) -> str:
    """ipaddress repeats the text in front of its reason."""
    return "it has host bits set" if "host bits" in str(error) else "no address and prefix length"
