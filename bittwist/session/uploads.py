"""What one torrent gives its peers: whom it unchokes, and blocks from disk to them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.errors import StorageError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.session.fastpieces import FastPieces, Newcomer
from bittwist.session.statistics import Tally
from bittwist.storage.disk import Store
from bittwist.swarm.choker import Choker, PeerRates
from bittwist.swarm.slots import Slots
from bittwist.swarm.suggestions import Suggesting
from bittwist.wire.runs import Block, BlockData

MAX_ASKED = 500  # requests a peer may have open (SECURITY.md B4); also told to it as `reqq`
SEND_AHEAD = 512 * 1024  # bytes handed to a connection beyond what the kernel took: a slow peer costs no more
LOOK_AHEAD = 96  # blocks: what SEND_AHEAD lets through, and a chunk of the disk's read-ahead behind it
READ_AHEAD = 2 << 20  # bytes read for a peer that takes nothing: read again and again, caches being small
CHOKE_INTERVAL = 10.0  # seconds between looks at who is unchoked (BEP 3)
MAX_LOOKS = 20  # in a second, between: each costs a sort of all peers, and interest is cheap to feign

NOTHING = memoryview(b"")


@dataclass(slots=True)
class Asked:
    """What one peer asked for and has not been given; owned by Uploads."""

    blocks: dict[Block, None]
    reading: bool = False
    ahead: int = 0  # bytes read since it was last given something


class Taker(Newcomer, Protocol):
    """Who blocks are given to: a peer's conversation."""

    uploaded: int
    knows: Collection[int] | None  # the pieces it was told of; None: all that we have

    @property
    def interested(self) -> bool: ...
    @property
    def choked_by_us(self) -> bool: ...
    @property
    def unsent(self) -> int: ...
    def rates(self, now: float) -> PeerRates: ...
    def choke(self) -> None: ...
    def unchoke(self) -> None: ...
    def reject(self, block: Block) -> None: ...
    def suggest(self, index: int) -> None: ...
    def give(self, blocks: Sequence[BlockData]) -> None: ...


class Uploads:
    """Answers requests in the order they came, reading no further ahead than a peer takes."""

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        choker: Choker,
        store: Store,
        have: Bitfield,
        tally: Tally,
        takers: Callable[[], Iterable[Taker]],
        seeding: Callable[[], bool],
        storage_failed: Callable[[StorageError], None],
        fast: FastPieces,
        suggests: Callable[[], bool] = lambda: False,
    ) -> None:
        """`suggests`: whether peers are told which pieces were read last."""
        self._clock = clock
        self._choker = choker
        self._store = store
        self._have = have
        self._tally = tally
        self._takers = takers
        self._seeding = seeding
        self._storage_failed = storage_failed
        self._fast = fast
        self._suggests = suggests
        self._suggesting = Suggesting()
        self._asked: dict[int, Asked] = {}
        self._choose_at = 0.0
        self._looks = 0  # at newcomers, in this second
        self._stopped = False
        self.slots: tuple[Slots, bytes] | None = None  # those shared with other torrents, and our name there

    def requested(self, taker: Taker, blocks: Sequence[Block]) -> None:
        """A peer asks; what cannot be given is rejected (BEP 6) or passed over (BEP 3)."""
        if self._stopped:
            return
        asked = self._asked.get(taker.key)
        if asked is None:
            asked = self._asked[taker.key] = Asked({})
        queue = asked.blocks
        have: Bitfield | Collection[int] = self._have if taker.knows is None else taker.knows
        if taker.choked_by_us:
            have = ()
            blocks = self._not_allowed(taker, queue, blocks)
        for block in blocks:
            if block[0] in have and len(queue) < MAX_ASKED:
                queue[block] = None
            elif taker.fast:
                taker.reject(block)

    def _not_allowed(
        self, taker: Taker, queue: dict[Block, None], blocks: Iterable[Block]
    ) -> Sequence[Block]:
        """A choked peer asks: what it may have all the same goes to its queue (BEP 6), the rest is said."""
        now = self._clock.seconds()
        refused = []
        for block in blocks:
            index, _, length = block
            if len(queue) < MAX_ASKED and self._fast.take(taker, index, length, now):
                queue[block] = None
            else:
                refused.append(block)
        return refused

    def cancelled(self, taker: Taker, block: Block) -> None:
        asked = self._asked.get(taker.key)
        if asked is not None and block in asked.blocks:
            del asked.blocks[block]
            if taker.fast:
                taker.reject(block)

    def stop(self) -> None:
        """Give nothing more; a read that is under way ends in nothing."""
        self._stopped = True
        self._asked.clear()
        if self.slots is not None:
            slots, name = self.slots
            slots.left(name)

    def left(self, taker: Taker) -> None:
        self._asked.pop(taker.key, None)
        self._fast.left(taker)
        self._suggesting.left(taker.key)

    def came(self, index: int) -> None:
        """We have a piece more."""
        self._suggesting.at_hand(index)

    def give(self, taker: Taker) -> None:
        """Hand over what is asked for, as far as it is read and the connection takes it."""
        asked = self._asked.get(taker.key)
        if asked is None or not asked.blocks:
            return
        room = SEND_AHEAD - taker.unsent
        given: list[BlockData] = []
        within, start, end, chunk = -1, 0, 0, NOTHING
        for index, begin, length in asked.blocks:
            if room <= 0:
                break
            if index != within or begin < start or begin + length > end:
                found = self._store.chunk(index, begin, length)
                if found is None:
                    break
                start, chunk = found
                within, end = index, start + len(chunk)
            given.append((index, begin, chunk[begin - start : begin - start + length]))
            room -= length
        if given:
            self._gave(taker, asked, given)
        if asked.blocks and not asked.reading and (room > 0 or asked.ahead < READ_AHEAD):
            self._read_ahead(taker, asked)

    def _gave(self, taker: Taker, asked: Asked, given: list[BlockData]) -> None:
        asked.ahead = size = 0
        for index, begin, view in given:
            length = len(view)
            del asked.blocks[index, begin, length]
            size += length
        taker.uploaded += size
        self._tally.uploaded += size
        taker.give(given)

    def _read_ahead(self, taker: Taker, asked: Asked) -> None:
        """Read what will be given next, so that the connection does not wait for the disk."""
        within, start, end = -1, 0, 0
        for block in islice(asked.blocks, LOOK_AHEAD):
            index, begin, length = block
            if index == within and start <= begin and begin + length <= end:
                continue
            found = self._store.chunk(index, begin, length)
            if found is None:
                # Where several ask there is always a read under way, and the cache is not for one alone.
                then = asked.blocks if len(self._asked) == 1 and not asked.ahead else ()
                reading = Deferred.fromCoroutine(self._read(taker, asked, block, then))
                reading.addErrback(self._log_bug)
                return
            within, start, end = index, found[0], found[0] + len(found[1])

    async def _read(self, taker: Taker, asked: Asked, block: Block, then: Iterable[Block]) -> None:
        asked.reading = True
        try:
            view = await self._store.read(*block, then)
        except StorageError as error:
            if not self._stopped:
                self._storage_failed(error)
            return
        finally:
            asked.reading = False
        self._suggesting.at_hand(block[0])
        if self._asked.get(taker.key) is not asked:
            return
        found = self._store.chunk(*block)
        if found is not None:
            asked.ahead += len(found[1])
        else:
            # There is no memory to read ahead with: it is given now, or read again when its time comes.
            asked.ahead = READ_AHEAD
            if next(iter(asked.blocks), None) == block and taker.unsent < SEND_AHEAD:
                self._gave(taker, asked, [(block[0], block[1], view)])
        self.give(taker)

    # Choking

    def interest_changed(self, taker: Taker) -> None:
        """A newly interested peer does not wait for the next round while there is room."""
        if self._stopped or not taker.interested or not taker.choked_by_us:
            return
        self._looks += 1
        if self._looks <= MAX_LOOKS:
            self._choose(self._clock.seconds(), between=True)
        if taker.choked_by_us and taker.knows is None:
            self._fast.offer(taker)

    def tick(self) -> None:
        """Once a second; every CHOKE_INTERVAL whom to unchoke is decided anew."""
        if self._stopped:
            return
        now = self._clock.seconds()
        looks, self._looks = self._looks, 0
        if self._suggests():
            self._suggest()
        if now >= self._choose_at:
            self._choose_at = now + CHOKE_INTERVAL
            self._choose(now)
        elif looks > MAX_LOOKS:
            self._choose(now, between=True)

    def _choose(self, now: float, *, between: bool = False) -> None:
        """Between rounds nobody is choked: a peer whose interest comes and goes keeps its place."""
        takers = tuple(self._takers())
        rates = [taker.rates(now) for taker in takers]
        most = None
        if self.slots is not None:
            slots, name = self.slots
            most = slots.room(name, sum(each.interested for each in rates), now)
        chosen = frozenset(self._choker.choose(rates, now=now, seeding=self._seeding(), most=most))
        for taker in takers:
            if taker.key in chosen and taker.choked_by_us:
                taker.unchoke()
                self._fast.unchoked(taker)
            elif not between and taker.key not in chosen and not taker.choked_by_us:
                taker.choke()
                self._fast.choked(taker, now)
                self._forget(taker)
        if self.slots is not None:
            slots, name = self.slots
            slots.uses(name, sum(each.interested and not each.choked_by_us for each in takers))

    def _suggest(self) -> None:
        """Tell each peer that is given blocks of a piece that costs no reading."""
        for taker in self._takers():
            if taker.choked_by_us or not taker.fast or taker.knows is not None or taker.has is None:
                continue
            asked = self._asked.get(taker.key)
            owed = {index for index, _, _ in asked.blocks} if asked is not None else ()
            index = self._suggesting.next(taker.key, taker.has, owed)
            if index is not None and index in self._have:
                taker.suggest(index)

    def choke_all(self) -> None:
        """Nobody is given anything for now."""
        for taker in self._takers():
            if not taker.choked_by_us:
                taker.choke()
            asked = self._asked.pop(taker.key, None)
            if asked is not None and taker.fast:
                for block in asked.blocks:
                    taker.reject(block)

    def _forget(self, taker: Taker) -> None:
        """A choked peer's open requests are void, but for those allowed; with BEP 6 each is rejected."""
        asked = self._asked.get(taker.key)
        if asked is None:
            return
        open_requests = tuple(asked.blocks)
        asked.blocks.clear()
        refused = self._not_allowed(taker, asked.blocks, open_requests)
        if taker.fast:
            for block in refused:
                taker.reject(block)

    def _log_bug(self, failure: Failure) -> None:
        self._log.failure("A block could not be given", failure)
