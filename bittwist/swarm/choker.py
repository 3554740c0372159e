"""Whom to unchoke (BEP 3, "choking").

While we download: the `upload_slots` interested peers that give us most, and with them the peers
that give more but are not interested; and one by chance, changed every 30 s, new peers three times
as likely. A peer that snubs us has no slot by its rate. Slots that nobody earns go by chance too.

While we seed, slots go by turns (the anti-leech rule): interested peers wait in a queue, in it since
they connected or since their last turn ended. A turn lasts `turn` seconds as long as others wait,
and ends early for a peer that takes nothing. Neither speed nor being new helps: both can be
feigned, and a peer that connects anew only goes to the back. Further connections of one host come
after all who have none.

Only each 10 s is anyone choked; between these rounds only free slots are filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from bittwist.settings import COUNT_OR_NONE, SECONDS, SECONDS_OR_NONE, check_bounds

PeerKey = int

NEW_PEER_WEIGHT = 3  # new connections are three times as likely to be unchoked by chance (BEP 3)
ROUND_SLACK = 0.5  # seconds a round may come early: the caller's clock ticks in whole seconds


@dataclass(frozen=True, slots=True)
class ChokerSettings:
    """Times in seconds."""

    upload_slots: int = (
        7  # BEP 3 says 4, of a time of slower lines; current clients use 8 with the optimistic one
    )
    interval: float = 10.0  # between rounds, against fibrillation (BEP 3)
    optimistic_interval: float = 30.0  # how long a peer chosen by chance stays (BEP 3)
    new_for: float = 60.0  # how long a connection counts as new
    turn: float = 60.0  # of a peer when seeding: some pieces' worth, even for a slow one
    idle_after: float = 20.0  # a turn in which nothing was taken for so long ends

    def __post_init__(self) -> None:
        check_bounds(
            self,
            {
                "upload_slots": COUNT_OR_NONE,
                "interval": SECONDS,
                "optimistic_interval": SECONDS,
                "new_for": SECONDS_OR_NONE,
                "turn": SECONDS,
                "idle_after": SECONDS,
            },
        )


@dataclass(frozen=True, slots=True)
class PeerRates:
    """One peer, as the choker sees it; rates in bytes/s: `download_rate` from it, `upload_rate` to it."""

    key: PeerKey
    interested: bool  # it wants pieces of ours
    download_rate: float
    upload_rate: float
    snubbed: bool  # it owes us blocks and sends none
    connected_at: float
    host: str = ""  # "": a host of its own


class Choker:
    """Chooses who is unchoked; owns the turns and when they began."""

    def __init__(self, settings: ChokerSettings, random: Random) -> None:
        self._settings = settings
        self._random = random
        self._slots = settings.upload_slots + 1  # with the one by chance
        self._shared = False
        self._round_at = float("-inf")
        self._rotate_at = float("-inf")
        self._earned: tuple[PeerKey, ...] = ()  # unchoked for their rate
        self._lucky: tuple[PeerKey, ...] = ()  # unchoked by chance
        self._serving: dict[PeerKey, float] = {}  # when seeding: whose turn it is, and since when
        self._served: dict[PeerKey, float] = {}  # when each one's last turn ended

    def choose(
        self, peers: Sequence[PeerRates], *, now: float, seeding: bool, most: int | None = None
    ) -> tuple[PeerKey, ...]:
        """Who is to be unchoked from now on; everyone else is to be choked.

        Call it every `interval` seconds; sooner, when a peer becomes interested or leaves. `most` bounds how
        many there are, the one by chance included, where torrents share their slots.
        """
        self._slots = self._settings.upload_slots + 1
        self._shared = most is not None
        if most is not None:
            self._slots = min(self._slots, most)
        due = now >= self._round_at - ROUND_SLACK
        if due:
            self._round_at = now + self._settings.interval
        if seeding:
            self._earned = self._lucky = ()
            return self._by_turns(peers, now, due)
        self._serving.clear()
        self._served.clear()
        return self._by_rate(peers, now, due)

    def _by_rate(self, peers: Sequence[PeerRates], now: float, due: bool) -> tuple[PeerKey, ...]:
        interested = {peer.key: peer for peer in peers if peer.interested}
        if due:
            self._earned = self._fastest(peers)
        else:
            here = {peer.key for peer in peers}
            self._earned = tuple(key for key in self._earned if key in here)
        earned = frozenset(self._earned)
        free = max(0, self._slots - sum(key in interested for key in self._earned))
        before = self._lucky
        kept = [key for key in before if key in interested and key not in earned]
        if due and now >= self._rotate_at - ROUND_SLACK:
            self._rotate_at = now + self._settings.optimistic_interval
            kept = []
        kept = kept[:free]
        pool = [peer for peer in interested.values() if peer.key not in earned and peer.key not in kept]
        fresh = [peer for peer in pool if peer.key not in before]
        kept += self._by_chance(fresh, free - len(kept), now)
        kept += self._by_chance([peer for peer in pool if peer.key in before], free - len(kept), now)
        self._lucky = tuple(kept)
        return self._earned + self._lucky

    def _fastest(self, peers: Sequence[PeerRates]) -> tuple[PeerKey, ...]:
        giving = [peer for peer in peers if peer.download_rate > 0 and not peer.snubbed]
        giving.sort(key=lambda peer: (-peer.download_rate, peer.connected_at, peer.key))
        slots = self._slots - 1
        others = 0 if self._shared else slots  # they would need a slot when they become interested
        earned: list[PeerKey] = []
        if slots <= 0:
            return ()
        for peer in giving:
            if peer.interested:
                slots -= 1
            else:
                others -= 1
            if peer.interested or others >= 0:
                earned.append(peer.key)
            if slots == 0:
                break
        return tuple(earned)

    def _by_chance(self, peers: Sequence[PeerRates], count: int, now: float) -> list[PeerKey]:
        left = {
            peer.key: NEW_PEER_WEIGHT if now - peer.connected_at < self._settings.new_for else 1
            for peer in peers
        }
        chosen: list[PeerKey] = []
        while left and len(chosen) < count:
            key = self._random.choices(tuple(left), tuple(left.values()))[0]
            del left[key]
            chosen.append(key)
        return chosen

    def _by_turns(self, peers: Sequence[PeerRates], now: float, due: bool) -> tuple[PeerKey, ...]:
        interested = {peer.key: peer for peer in peers if peer.interested}
        here = {peer.key for peer in peers}
        slots = self._slots
        crowded = len(interested) > slots
        for key, since in tuple(self._serving.items()):
            if key not in interested or (
                due and crowded and self._turn_is_over(interested[key], now - since)
            ):
                del self._serving[key]
                self._served[key] = now
        surplus = max(0, len(self._serving) - slots) if due else 0
        for key in tuple(self._serving)[:surplus]:  # the longest turns, where there are fewer slots now
            del self._serving[key]
            self._served[key] = now
        self._served = {key: at for key, at in self._served.items() if key in here}
        waiting = [peer for peer in interested.values() if peer.key not in self._serving]
        waiting.sort(key=lambda peer: (self._served.get(peer.key, peer.connected_at), peer.key))
        hosts = {interested[key].host for key in self._serving} - {""}
        for further in (False, True):  # first those whose host has no slot
            for peer in waiting:
                if len(self._serving) >= slots:
                    break
                if peer.key not in self._serving and (further or peer.host not in hosts):
                    self._serving[peer.key] = now
                    hosts.add(peer.host or str(peer.key))
        return tuple(self._serving)

    def _turn_is_over(self, peer: PeerRates, lasted: float) -> bool:
        settings = self._settings
        idle = lasted >= settings.idle_after and peer.upload_rate <= 0
        return idle or lasted >= settings.turn - ROUND_SLACK
