"""What one torrent asks of its sources, and what becomes of the blocks that arrive.

Owns the picker, the assembler and the blame of one torrent. A *source* is whatever blocks can be
asked of: a peer now, a web seed later; both meet `BlockSource`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from bittwist.errors import BitTwistError, RemoteProtocolError, StorageError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.session.statistics import Tally
from bittwist.storage.assembler import Assembler
from bittwist.storage.disk import Kept, Store
from bittwist.swarm.blame import Blame
from bittwist.swarm.picker import Picker
from bittwist.swarm.pipeline import Pipeline
from bittwist.wire.runs import Block, BlockData

MAX_UNASKED = 64  # blocks nobody asked for (late ones after a cancel among them) before a source is dropped
MAX_REJECTS = 50  # in a row, without a block between, before a source is left alone (SECURITY.md B9)
REST = 30.0  # seconds for which it is
NOTHING = memoryview(b"")
MAX_HOSTS = 4096  # whose contributions can be told apart at once; the oldest are forgotten first


class BlockSource(Protocol):
    """Something blocks can be asked of; `key` is its running number in the session."""

    @property
    def key(self) -> int: ...
    @property
    def host(self) -> str: ...
    @property
    def pipeline(self) -> Pipeline: ...

    downloaded: int

    def askable(self) -> Collection[int] | bool:
        """True: any piece it has; False: nothing now; a container: only those pieces (allowed fast)."""
        ...

    def request(self, blocks: Sequence[Block]) -> None: ...
    def cancel(self, block: Block) -> None: ...
    def interest(self, wanted: bool) -> None:
        """Told whenever it may have changed whether the source has a piece that is wanted."""
        ...

    def close(self, reason: BitTwistError) -> None: ...


class DownloadsOwner(Protocol):
    """Who is told of what came of it: the torrent."""

    def piece_verified(self, index: int) -> None: ...
    def piece_failed(self, index: int) -> None: ...
    def storage_failed(self, error: StorageError) -> None: ...
    def host_guilty(self, host: str) -> None: ...


class Downloads:
    """Asks sources for blocks, gathers them into pieces, has these checked and kept."""

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        geometry: Geometry,
        picker: Picker,
        assembler: Assembler,
        store: Store,
        blame: Blame,
        tally: Tally,
        owner: DownloadsOwner,
    ) -> None:
        self._clock = clock
        self._geometry = geometry
        self._picker = picker
        self._assembler = assembler
        self._store = store
        self._blame = blame
        self._owner = owner
        self._sources: dict[int, BlockSource] = {}
        self._idle: dict[int, BlockSource] = {}  # could be asked more than there was to ask
        self._hosts: dict[int, str] = {}
        self._unasked: dict[int, int] = {}
        self._rejects: dict[int, int] = {}  # since it last gave a block
        self._resting: dict[int, float] = {}  # until when
        self._running = False
        self._tally = tally
        self.more_to_come = False  # pieces that will be wanted when the files are there that they are for
        self.most_outstanding: int | None = None  # blocks of all sources together; None for no limit

    @property
    def finished(self) -> bool:
        """Nothing is wanted any more, nor about to be."""
        return self._picker.wanted_left == 0 and not self.more_to_come

    @property
    def have(self) -> Bitfield:
        """The pieces that are verified and kept."""
        return self._picker.have

    def start(self) -> None:
        """Ask whoever can be asked."""
        self._running = True
        for source in tuple(self._sources.values()):
            self.review(source)

    def stop(self) -> None:
        """Ask nobody; what is on its way still counts."""
        self._running = False

    # What is wanted

    def prioritise(self, levels: bytes, *, sequential: bool) -> None:
        """How much each piece is wanted from now on (`swarm.priorities.levels`), and whether in order."""
        self._picker.prioritise(levels, sequential=sequential)
        self._drop_forgotten()
        if self._running:
            self.start()

    def set_deadline(self, index: int, at: float) -> None:
        """The piece is needed by then, if it is wanted at all."""
        if index not in self._picker.have:
            self._picker.deadlines.add(index, at)
            self._measure()
            for source in tuple(self._sources.values()):
                self.ask(source)

    def clear_deadlines(self) -> None:
        self._picker.deadlines.clear()

    def _measure(self) -> None:
        """Tell who is fast: pieces with a deadline are asked of nobody else."""
        now = self._clock.seconds()
        self._picker.deadlines.measured(
            {
                key: source.pipeline.rate.per_second(now)
                for key, source in self._sources.items()
                if key not in self._resting and source.askable() is True
            }
        )

    def _drop_forgotten(self) -> None:
        for index in self._picker.forgotten():
            self._assembler.drop(index)

    async def offer(self, index: int, view: memoryview) -> bool:
        """Bytes that may be a wanted piece, not from a source: whether they are, and are kept now."""
        try:
            kept = await self._store.keep(index, view)
        except StorageError as error:
            self._owner.storage_failed(error)
            raise
        if kept.good and index not in self._picker.have:
            self._assembler.drop(index)
            self._picker.verified(index)
            self._drop_forgotten()
            self._owner.piece_verified(index)
            self._ask_the_idle()
        return kept.good

    # What sources say of themselves

    def joined(self, source: BlockSource, has: Bitfield, *, in_rows: bool = False) -> None:
        """It has these pieces; with `in_rows` it is best asked for pieces that follow one another."""
        self._sources[source.key] = source
        self._hosts[source.key] = source.host
        if len(self._hosts) > MAX_HOSTS:
            del self._hosts[next(iter(self._hosts))]
        self._picker.joined(source.key, has, in_rows=in_rows)
        self.review(source)

    def have_announced(self, source: BlockSource, index: int) -> None:
        self._picker.peer_have(source.key, index)
        if index not in self._picker.have:
            self.review(source)

    def suggested(self, source: BlockSource, index: int) -> None:
        """It would rather be asked for this piece (BEP 6)."""
        if source.key in self._sources:
            self._picker.suggested(source.key, index)

    def have_withdrawn(self, source: BlockSource, has: Bitfield, lost: Sequence[int]) -> None:
        """A source has these pieces no longer, and `has` is what is left: nothing of them will come."""
        self._picker.joined(source.key, has)
        blocks = [block for index in lost for block in source.pipeline.withdrawn(index)]
        self._picker.released(source.key, blocks)
        self._ask_the_idle()

    def left(self, source: BlockSource) -> None:
        if self._sources.pop(source.key, None) is None:
            return
        self._idle.pop(source.key, None)
        self._unasked.pop(source.key, None)
        self._rejects.pop(source.key, None)
        self._resting.pop(source.key, None)
        self._picker.left(source.key)
        self._ask_the_idle()

    def choked(self, source: BlockSource) -> None:
        """What was asked of it will not come (BEP 3; with BEP 6 each is rejected by itself)."""
        if source.downloaded:  # some reject first and choke then: that was no refusal to give anything
            self._rejects.pop(source.key, None)
            self._resting.pop(source.key, None)
        blocks = source.pipeline.clear()
        if blocks:
            self._picker.released(source.key, blocks)
            self._idle[source.key] = source
            self._ask_the_idle(but=source.key)

    def rejected(self, source: BlockSource, block: Block) -> None:
        if not source.pipeline.rejected(*block):
            return
        self._picker.released(source.key, [block])
        self._idle[source.key] = source
        count = self._rejects[source.key] = self._rejects.get(source.key, 0) + 1
        if count >= MAX_REJECTS and source.key not in self._resting:
            self._resting[source.key] = self._clock.seconds() + REST
        self._ask_the_idle(but=source.key)

    def gave_up(self, source: BlockSource, blocks: Sequence[Block]) -> None:
        """These will not come of what was asked of it."""
        owed = [block for block in blocks if source.pipeline.rejected(*block)]
        if owed:
            self._picker.released(source.key, owed)
            self._ask_the_idle(but=source.key)

    def review(self, source: BlockSource) -> None:
        """A source may have become interesting: say so, and ask it for blocks."""
        if self._running and self._picker.interesting(source.key):
            source.interest(True)
        self.ask(source)

    def ask(self, source: BlockSource) -> None:
        """Ask a source for as many blocks as its pipeline has room for."""
        askable = source.askable()
        if not self._running or askable is False or source.key in self._resting:
            return
        now = self._clock.seconds()
        room = allowed = source.pipeline.room(now)
        if room <= 0:
            return
        if self.most_outstanding is not None:
            owed = sum(other.pipeline.outstanding for other in self._sources.values())
            allowed = max(0, min(room, self.most_outstanding - owed))
        only = None if askable is True else askable
        blocks = self._picker.pick(source.key, allowed, now=now, only=only)
        self._drop_forgotten()
        if blocks:
            source.pipeline.requested(blocks, now)
            source.request(blocks)
        if len(blocks) < room:
            self._idle[source.key] = source
        else:
            self._idle.pop(source.key, None)

    # The way of a block

    def blocks(self, source: BlockSource, blocks: Sequence[BlockData]) -> None:
        """Blocks came in a row; they are valid only during the call."""
        asked = source.pipeline.came(blocks, self._clock.seconds())
        if len(asked) < len(blocks):
            self._not_asked(source, blocks, asked)
        for index, begin, block in asked:
            if len(block) != BLOCK and len(block) != self._geometry.block_length(index, begin):
                source.close(RemoteProtocolError(f"a block of {len(block)} bytes that was not asked for"))
                return
        if asked and self._rejects:
            self._rejects.pop(source.key, None)
            self._resting.pop(source.key, None)
        came = self._picker.came(source.key, asked)
        size = 0
        current, piece = -1, NOTHING
        for index, begin, block in came.fresh:
            if index != current:
                current, piece = index, self._assembler.buffer(index)
            end = begin + len(block)
            piece[begin:end] = block
            size += end - begin
        source.downloaded += size
        self._tally.downloaded += size
        if len(came.fresh) < len(asked):
            self._tally.wasted += sum(len(block) for _, _, block in asked) - size
        for key, index, begin in came.others:
            other = self._sources.get(key)
            if other is not None:
                other.pipeline.cancelled(index, begin)
                self._idle[key] = other
                other.cancel((index, begin, self._geometry.block_length(index, begin)))
        for index in came.whole:
            keeping = Deferred.fromCoroutine(self._keep(index))
            keeping.addErrback(lambda failure: self._log.failure("A piece could not be kept", failure))

    def _not_asked(
        self, source: BlockSource, blocks: Sequence[BlockData], asked: Sequence[BlockData]
    ) -> None:
        self._tally.wasted += sum(len(block[2]) for block in blocks) - sum(len(block[2]) for block in asked)
        count = self._unasked.get(source.key, 0) + len(blocks) - len(asked)
        self._unasked[source.key] = count
        if count > MAX_UNASKED:
            source.close(RemoteProtocolError("blocks that were not asked for"))

    async def _keep(self, index: int) -> None:
        view = self._assembler.take(index)
        try:
            kept = await self._store.keep(index, view, digests=self._blame.suspect(index))
        except StorageError as error:
            self._picker.failed(index)
            self._owner.storage_failed(error)
            return
        finally:
            self._assembler.release(view)
        if kept.good:
            self._verified(index, kept)
        else:
            self._failed(index, kept)
        self._ask_the_idle()

    def _verified(self, index: int, kept: Kept) -> None:
        if kept.digests is not None:
            self._judge(self._blame.passed(index, kept.digests))
        if index in self._picker.have:
            return  # it came from elsewhere meanwhile
        self._picker.verified(index)
        self._drop_forgotten()
        self._owner.piece_verified(index)

    def _failed(self, index: int, kept: Kept) -> None:
        self._tally.failed_pieces += 1
        contributions = {begin: self._hosts.get(key, "") for begin, key in self._picker.failed(index).items()}
        self._judge(self._blame.failed(index, contributions, kept.digests))
        # Proof needs the piece whole from one source (SECURITY.md, rule 5).
        holders = {
            source.host: key
            for key, source in self._sources.items()
            if source.askable() is True and self._picker.offers(key, index)
        }
        if holders:
            self._picker.reserve(index, holders[self._blame.choose(index, tuple(holders))])
        self._owner.piece_failed(index)

    def _judge(self, guilty: Sequence[str]) -> None:
        for host in guilty:
            self._owner.host_guilty(host)

    # The second hand

    def tick(self) -> None:
        """Once a second: blocks that are overdue are wanted from others, the idle are asked again."""
        now = self._clock.seconds()
        for source in tuple(self._sources.values()):
            overdue = source.pipeline.timed_out(now)
            if overdue:
                self._picker.released(source.key, overdue)
                self._idle[source.key] = source
            # Only here, so that interest does not come and go with every piece.
            source.interest(self._running and self._picker.interesting(source.key))
        if self._picker.deadlines:
            self._measure()
        for key in [key for key, until in self._resting.items() if now >= until]:
            del self._resting[key], self._rejects[key]
        self._ask_the_idle()

    def _ask_the_idle(self, but: int | None = None) -> None:
        for key, source in tuple(self._idle.items()):
            if key != but:
                self.ask(source)
