"""Who has to go when a torrent has enough peers and another one comes (BEP 40)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bittwist.session.conversation import Conversation
from bittwist.session.introductions import contact_of
from bittwist.swarm.own_hosts import OwnHosts


class Ranks:
    """The peers of a torrent by their priority; `port` is the one that we listen on."""

    def __init__(self, own_hosts: OwnHosts, port: Callable[[], int]) -> None:
        self._own_hosts = own_hosts
        self._port = port

    def outranked(
        self, newcomer: Conversation, others: Iterable[Conversation], now: float
    ) -> Conversation | None:
        """The one of the lowest priority, if that of the newcomer is higher.

        Nobody who gives us blocks has to go: else whoever has many addresses could cut us off.
        """
        idle = [other for other in others if not other.download_rate.per_second(now)]
        weakest = min(idle, key=lambda other: (self.of(other), other.key), default=None)
        return weakest if weakest is not None and self.of(weakest) < self.of(newcomer) else None

    def of(self, talk: Conversation) -> int:
        """Its peer priority; 0 where our own address is not known."""
        return self._own_hosts.priority(contact_of(talk) or talk.address, self._port()) or 0
