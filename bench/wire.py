"""The wire by itself: a seed process and a leech process over loopback, memory to memory.

No session, no disk, no hashing: `PeerFactory` at both ends with the least callbacks that transfer anything.
Prints the rate, and the CPU seconds per GiB of each end.

    python -m bench.wire [--mib 4096] [--runs 3] [--copy] [--profile seed|leech]
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import resource
import subprocess
import sys
import time

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint

from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.metainfo.infohash import InfoHash
from bittwist.peer.factory import PeerFactory
from bittwist.peer.protocol import PeerProtocol
from bittwist.wire.connection import Run
from bittwist.wire.handshake import Handshake
from bittwist.wire.messages import HaveAll, HaveNone, Interested, Unchoke
from bittwist.wire.runs import Block, Pieces, Requests

TORRENT = InfoHash(v1=b"bittwist wire bench.")
PIECE_LENGTH = 1 << 20
AHEAD = 512 << 10  # bytes a seed keeps queued for one peer
OUTSTANDING = 192  # blocks a leech has asked for: 3 MiB, more than a loopback socket holds


class Seed:
    """Answers every request from one buffer."""

    takes_runs = True

    def __init__(self) -> None:
        self.piece = memoryview(bytes(range(256)) * (PIECE_LENGTH // 256))
        self.asked: list[Block] = []

    def handshaken(self, peer: PeerProtocol, handshake: Handshake) -> None:
        peer.know(Geometry(PIECE_LENGTH, PIECE_LENGTH << 16))
        peer.send(HaveAll(), Unchoke())

    def received(self, peer: PeerProtocol, run: Run) -> None:
        if type(run) is Requests:
            self.asked += run.blocks

    def settled(self, peer: PeerProtocol) -> None:
        room = (AHEAD - peer.unsent) // BLOCK
        if room > 0 and self.asked:
            now, self.asked = self.asked[:room], self.asked[room:]
            peer.send_blocks([(index, begin, self.piece[begin : begin + size]) for index, begin, size in now])

    drained = settled

    def lost(self, peer: PeerProtocol, reason: Exception) -> None:
        reactor.stop()


class Leech:
    """Asks for blocks in order, and counts them."""

    takes_runs = True

    def __init__(self, blocks: int, copy: bool) -> None:
        self.blocks = blocks
        self.copy = copy
        self.asked = self.got = self.turns = 0
        self.buffer = bytearray(PIECE_LENGTH)
        self.began = 0.0

    def handshaken(self, peer: PeerProtocol, handshake: Handshake) -> None:
        peer.know(Geometry(PIECE_LENGTH, PIECE_LENGTH << 16))
        peer.send(HaveNone(), Interested())

    def received(self, peer: PeerProtocol, run: Run) -> None:
        if type(run) is Pieces:
            if self.copy:
                for _, begin, block in run.blocks:
                    self.buffer[begin : begin + BLOCK] = block
            self.got += len(run.blocks)
        elif type(run) is Unchoke:
            self.began = time.perf_counter()

    def settled(self, peer: PeerProtocol) -> None:
        self.turns += 1
        room = min(self.got + OUTSTANDING, self.blocks) - self.asked
        if room > 0 and self.began:
            first, self.asked = self.asked, self.asked + room
            peer.request([_block(number) for number in range(first, self.asked)])
        if self.got == self.blocks:
            self.took = time.perf_counter() - self.began
            reactor.stop()

    def lost(self, peer: PeerProtocol, reason: Exception) -> None:
        pass


def _block(number: int) -> Block:
    index, block = divmod(number, PIECE_LENGTH // BLOCK)
    return index, block * BLOCK, BLOCK


def run_seed() -> dict[str, float]:
    seed = Seed()
    factory = PeerFactory(reactor, b"-bW0100-benchseed---", lambda info_hash: seed)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")  # type: ignore[arg-type]  # no ServerFactory, but an IProtocolFactory
    print(port.getHost().port, flush=True)  # type: ignore[attr-defined]  # an IPv4Address
    reactor.run()
    return {}


def run_leech(port: int, mib: int, copy: bool) -> dict[str, float]:
    leech = Leech(mib * (1 << 20) // BLOCK, copy)
    factory = PeerFactory(reactor, b"-bW0100-benchleech--", lambda info_hash: leech)
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    endpoint.connect(factory.outgoing(TORRENT))
    reactor.run()
    return {"rate": mib / leech.took, "turns": leech.turns}


def part(arguments: argparse.Namespace) -> None:
    """One end, in its own process: prints what it measured as its last line."""
    profile = cProfile.Profile()
    if arguments.profile == arguments.part:
        profile.enable()
    if arguments.part == "seed":
        measured = run_seed()
    else:
        measured = run_leech(arguments.port, arguments.mib, arguments.copy)
    profile.disable()
    if arguments.profile == arguments.part:
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(18)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    measured["cpu"] = usage.ru_utime + usage.ru_stime
    measured["peak_mib"] = usage.ru_maxrss / 1024
    print(json.dumps(measured), flush=True)


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.wire", *sys.argv[1:], *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def once(arguments: argparse.Namespace) -> float:
    with start("--part", "seed") as seed:
        assert seed.stdout is not None
        port = seed.stdout.readline().strip()
        with start("--part", "leech", "--port", port) as leech:
            assert leech.stdout is not None
            of_leech = json.loads(leech.stdout.read())
        of_seed = json.loads(seed.stdout.read())
    gib = arguments.mib / 1024
    print(
        f"{of_leech['rate']:7.0f} MiB/s   CPU s/GiB: seed {of_seed['cpu'] / gib:.2f}, "
        f"leech {of_leech['cpu'] / gib:.2f}   peak MiB: {of_seed['peak_mib']:.0f}, "
        f"{of_leech['peak_mib']:.0f}   {arguments.mib * 1024 / of_leech['turns']:.0f} KiB a turn"
    )
    return float(of_leech["rate"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=4096)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--copy", action="store_true", help="copy each block once, as a download does")
    parser.add_argument("--profile", choices=["seed", "leech"])
    parser.add_argument("--part", choices=["seed", "leech"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        part(arguments)
    else:
        for _ in range(arguments.runs):
            once(arguments)


if __name__ == "__main__":
    main()
