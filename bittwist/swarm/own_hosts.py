"""At which addresses others see us (BEP 24; BEP 10, yourip): what most of them say, since any may lie."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, IPv6Address, ip_address

from bittwist.address import Address
from bittwist.swarm.priority import peer_priority

MAX_VOICES = 64  # of each kind of network; the oldest are forgotten, as an address may change


class OwnHosts:
    """Our address on the internet and in private networks, for each family by itself. One host, one voice."""

    def __init__(self, fixed: str | None = None) -> None:
        """`fixed` is what the user says: nobody outvotes it. A name, for trackers to look up, is none."""
        self._voices: dict[tuple[int, bool], dict[str, str]] = {}  # by family and reach: speaker, host
        try:
            self._fixed = {_kind(ip_address(fixed)): fixed} if fixed is not None else {}
        except ValueError:
            self._fixed = {}

    def told(self, host: str, by: str) -> None:
        """The host `by` sees us at `host`. What it cannot see from where it is, is passed over.

        A name, such as a tracker has, is taken to be on the internet.
        """
        seen = ip_address(host)
        try:
            sees = _kind(seen) == _kind(ip_address(by))
        except ValueError:
            sees = seen.is_global
        if not sees or seen.is_unspecified or seen.is_multicast:
            return
        voices = self._voices.setdefault(_kind(seen), {})
        voices.pop(by, None)
        voices[by] = host
        if len(voices) > MAX_VOICES:
            del voices[next(iter(voices))]

    def towards(self, host: str) -> str | None:
        """Where `host` would see us; None where nobody of its kind has said so."""
        return self._elected(_kind(ip_address(host)))

    def public(self, version: int) -> str | None:
        """Our address on the internet of that version (4 or 6); None where nobody has said so."""
        return self._elected((version, True))

    def _elected(self, kind: tuple[int, bool]) -> str | None:
        if kind in self._fixed:
            return self._fixed[kind]
        voices = self._voices.get(kind)
        return Counter(voices.values()).most_common(1)[0][0] if voices else None

    def priority(self, address: Address, port: int) -> int | None:
        """The peer priority of an address (BEP 40); None where our own is not known. `port` is ours."""
        ours = self.towards(address.host)
        return peer_priority(Address(ours, port), address) if ours is not None else None


def _kind(address: IPv4Address | IPv6Address) -> tuple[int, bool]:
    return address.version, address.is_global
