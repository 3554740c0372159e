"""What a poisoner costs a download, in bytes and in time (SECURITY.md T7)."""

from dataclasses import dataclass
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bittwist.metainfo.metainfo import Metainfo
from bittwist.session.observe import PeerBanned
from bittwist.testing import speech
from bittwist.testing.peer import Conduct, FakePeers
from tests.scale import SEED, SOAK, runs
from tests.session.swarm import Swarm
from tests.session.torrents import content, torrent

UPLOAD = 500_000  # bytes/s of each seed, and of the poisoner
SIZE = 32 << 20 if SOAK else 8 << 20
BAD = 0.10  # the share of its blocks that a poisoner spoils
BAD_PIECES = 3  # that fail until it is banned
OVERHEAD = 0.03  # of the content, fetched in vain
SLOWER = 1.1  # times as long as without it
LONGEST = 900.0  # seconds, simulated

POISONER = "10.0.9.1"
LEECH = "10.0.1.1"


@dataclass(frozen=True)
class Cost:
    """Of one download: seconds, bytes beyond the content, pieces that failed, and who was banned."""

    seconds: float
    overhead: int
    failed: int
    banned: frozenset[str]


def spoiling(metainfo: Metainfo, data: bytes, seed: int) -> Conduct:
    """A seed that spoils some of the blocks it gives, the same ones in every run of a seed."""
    chance = Random(seed)
    info = metainfo.info
    honest = speech.honest(data, info.piece_length)

    def answer(index: int, begin: int, length: int) -> bytes | None:
        block = honest(index, begin, length)
        return bytes([block[0] ^ 1]) + block[1:] if block and chance.random() < BAD else block

    conduct = Conduct.seed(info.info_hash.short, data, info.piece_length, peer_id=b"-XX0001-poisonpoison")
    return Conduct(conduct.info_hash, conduct.peer_id, opening=conduct.opening, answer=answer)


class CostTests(SynchronousTestCase):
    data = content(SIZE)

    def test_a_poisoner_costs_few_bytes_and_little_time_and_no_honest_seed(self):
        worst = {}
        for run in range(runs(2, 100)):
            honest = 1 + 2 * (run % 2)
            length = (1 << 16, 1 << 18)[run // 2 % 2] if SOAK else 1 << 16
            with self.subTest(seed=SEED + run, honest=honest, piece_length=length):
                metainfo = torrent(self.data, piece_length=length)
                without = self.download(metainfo, SEED + run, honest, poisoned=False)
                self.assertEqual(without, Cost(without.seconds, 0, 0, frozenset()))
                cost = self.download(metainfo, SEED + run, honest, poisoned=True)
                figures = (cost.seconds / without.seconds, cost.overhead / SIZE, cost.failed)
                before = worst.get((honest, length), (0.0, 0.0, 0))
                worst[honest, length] = tuple(map(max, before, figures))
                self.assertEqual(cost.banned, {POISONER})
                self.assertLessEqual(cost.failed, BAD_PIECES)
                self.assertLessEqual(figures[1], OVERHEAD)
                self.assertLessEqual(figures[0], SLOWER)
        for (honest, length), (slower, overhead, failed) in sorted(worst.items()):
            print(
                f"{honest} honest, pieces of {length >> 10} KiB: at worst {slower:.3f} times as long,"
                f" {overhead:.2%} fetched in vain, {failed} bad pieces"
            )

    def download(self, metainfo: Metainfo, seed: int, honest: int, *, poisoned: bool) -> Cost:
        swarm = Swarm(seed)
        peers = [f"10.0.0.{number + 1}" for number in range(honest)]
        for address in peers:
            swarm.network.host(address).limit(upload=UPLOAD)
            swarm.add(swarm.session(address, self.data), metainfo)
        ports = []
        if poisoned:
            host = swarm.network.host(POISONER)
            host.limit(upload=UPLOAD)
            ports.append(FakePeers(host, spoiling(metainfo, self.data, seed)).listen(6881))
            peers.append(POISONER)
        leech = swarm.session(LEECH)
        events = []
        leech.observe(lambda event: events.append(event.happening))
        began = swarm.network.seconds()
        fetching = swarm.add(leech, metainfo, [f"{address}:6881" for address in peers])
        swarm.until_complete(fetching, limit=LONGEST)
        seconds = swarm.network.seconds() - began
        self.assertEqual(swarm.data(LEECH, metainfo.info), self.data)
        found = fetching.statistics()
        for port in ports:
            port.stopListening()
        swarm.quiet()
        banned = frozenset(event.host for event in events if isinstance(event, PeerBanned))
        return Cost(seconds, found.downloaded + found.wasted - SIZE, found.failed_pieces, banned)
