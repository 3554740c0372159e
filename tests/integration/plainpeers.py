"""Peers on plain sockets, in threads of the test: a seed that takes its time, and a leech that watches.

They keep the pace of a download slow from outside, without a limit in the program under test, and count what
it asks for, announces and gives while it lives and dies.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from threading import Event, Lock, Thread

from bittwist.metainfo.geometry import BLOCK
from bittwist.metainfo.info import Info
from bittwist.testing import speech
from bittwist.testing.speech import Answer, Frame, Id

RECEIVE = 1 << 16
BACKLOG = 128
TICK = 0.05  # seconds between looks at what has to be done next


class PacedSeed:
    """Seeds `content` from 127.0.0.N, on all its connections together one block each `pace` seconds.

    `given` counts the blocks (index, begin) that went out whole, `asked` those asked for, and `wrong` has the
    pieces in which `spoil` changed a block.
    """

    def __init__(
        self, address: str, info: Info, content: bytes, *, pace: float = 0.0, spoil: Spoil | None = None
    ) -> None:
        self.asked: Counter[tuple[int, int]] = Counter()
        self.given: Counter[tuple[int, int]] = Counter()
        self.wrong: set[int] = set()
        self._info = info
        self._answer: Answer = speech.honest(content, info.piece_length)
        self.pace = pace
        self._spoil = spoil
        self._lock = Lock()  # guards the counts, and keeps the pace
        self._over = Event()
        self._threads: list[Thread] = []
        self._source = (address, 0)
        self._listening = socket.create_server(self._source, backlog=BACKLOG)
        self._listening.settimeout(TICK)
        self.endpoint = "{}:{}".format(*self._listening.getsockname()[:2])
        self._start(self._accept)

    def __enter__(self) -> PacedSeed:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._listening.close()
        for thread in self._threads:
            thread.join()

    def dial(self, host: str, port: int) -> None:
        """Be there for the peer that listens on `port`, dialing again whenever the connection ends."""
        self._start(self._keep_dialing, (host, port))

    def counts(self) -> tuple[Counter[tuple[int, int]], Counter[tuple[int, int]]]:
        """What was asked and what was given so far; both begin anew."""
        with self._lock:
            counts = self.asked, self.given
            self.asked, self.given = Counter(), Counter()
            return counts

    def _start(self, run: Callable[..., None], *args: object) -> None:
        thread = Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            with suppress(TimeoutError, OSError):
                connection, _ = self._listening.accept()
                self._start(self._serve, connection)

    def _keep_dialing(self, endpoint: tuple[str, int]) -> None:
        while not self._over.is_set():
            with suppress(OSError):
                self._serve(socket.create_connection(endpoint, timeout=1.0, source_address=self._source))
            self._over.wait(TICK)

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            talk = Talk(connection)
            talk.shake(self._info)
            pieces = self._info.geometry.num_pieces
            connection.sendall(speech.bitfield(range(pieces), pieces))
            wanted: dict[tuple[int, ...], None] = {}
            while not self._over.is_set() and talk.open:
                for frame in talk.frames(0.0 if wanted else TICK):
                    if frame.identifier == Id.INTERESTED:
                        connection.sendall(speech.message(Id.UNCHOKE))
                    elif frame.identifier == Id.REQUEST:
                        wanted[frame.numbers] = None
                        with self._lock:
                            self.asked[frame.numbers[0], frame.numbers[1]] += 1
                    elif frame.identifier == Id.CANCEL:
                        wanted.pop(frame.numbers, None)
                if wanted:
                    block = next(iter(wanted))
                    del wanted[block]
                    self._give(connection, *block)

    def _give(self, connection: socket.socket, index: int, begin: int, length: int) -> None:
        with self._lock:
            time.sleep(self.pace)
            block = self._answer(index, begin, length)
            assert block is not None
            if self._spoil is not None and self._spoil(index, begin):
                block = bytes((block[0] ^ 0xFF,)) + block[1:]
                self.wrong.add(index)
            connection.sendall(speech.piece(index, begin, block))
            self.given[index, begin] += 1


Spoil = Callable[[int, int], bool]


def one_in(share: int, random: Random) -> Spoil:
    """Spoils one block in so many."""
    return lambda _index, _begin: random.randrange(share) == 0


class Watcher:
    """A leech that has nothing: remembers what the peer at `endpoint` announces, and checks what it gives.

    `announced` are the pieces it claimed to have, `served` counts the blocks it gave, `lies` has those that
    were wrong. Connects as often as needed until `stop`.
    """

    def __init__(self, source: str, endpoint: tuple[str, int], info: Info, content: bytes, random: Random):
        self.announced: set[int] = set()
        self.served = 0
        self.lies: list[tuple[int, int]] = []
        self._source = source
        self._endpoint = endpoint
        self._info = info
        self._right = speech.honest(content, info.piece_length)
        self._random = random
        self._over = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            with suppress(OSError):
                source = (self._source, 0)
                with socket.create_connection(self._endpoint, timeout=1.0, source_address=source) as dialed:
                    self._watch(Talk(dialed))
            self._over.wait(TICK)

    def _watch(self, talk: Talk) -> None:
        talk.shake(self._info)
        talk.connection.sendall(speech.message(Id.INTERESTED))
        asking = unchoked = False
        while talk.open and not self._over.is_set():
            for frame in talk.frames(TICK):
                match frame.identifier:
                    case Id.HAVE:
                        self.announced.add(frame.numbers[0])
                    case Id.BITFIELD:
                        self.announced.update(_indices(frame.payload))
                    case Id.UNCHOKE:
                        unchoked = True
                    case Id.CHOKE:
                        unchoked = asking = False
                    case Id.PIECE:
                        asking = False
                        self._compare(frame)
            if unchoked and not asking and self.announced:
                asking = True
                index = self._random.choice(sorted(self.announced))
                length = min(BLOCK, self._info.geometry.piece_size(index))
                talk.connection.sendall(speech.numbered(Id.REQUEST, index, 0, length))

    def _compare(self, frame: Frame) -> None:
        index, begin = frame.numbers[:2]
        block = frame.payload[8:]
        self.served += 1
        if block != self._right(index, begin, len(block)):
            self.lies.append((index, begin))


class Talk:
    """A connection that speaks BEP 3; `open` until the other end has closed it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.open = True
        self._unread = bytearray()

    def shake(self, info: Info, peer_id: bytes | None = None) -> None:
        """Handshake: OSError when the other end does not answer with its own."""
        self.connection.settimeout(5.0)
        chance = Random()
        self.connection.sendall(speech.handshake(info.info_hash.short, peer_id or chance.randbytes(20)))
        while len(self._unread) < speech.HANDSHAKE_LENGTH:
            if not self._read():
                raise ConnectionError("no handshake")
        del self._unread[: speech.HANDSHAKE_LENGTH]

    def frames(self, patience: float) -> list[Frame]:
        """The messages that are there, or come within `patience` seconds."""
        found = speech.frames(self._unread)
        if found:
            return found
        self.connection.settimeout(patience)
        with suppress(TimeoutError, BlockingIOError):
            self._read()
        self.connection.settimeout(5.0)
        return speech.frames(self._unread)

    def _read(self) -> bool:
        data = self.connection.recv(RECEIVE)
        self.open = bool(data)
        self._unread += data
        return self.open


def _indices(bits: bytes) -> list[int]:
    return [8 * at + bit for at, octet in enumerate(bits) for bit in range(8) if octet & 0x80 >> bit]
