"""Mutated sessions in random chunks (SECURITY.md T5): nothing is logged, nothing grows, lost is told once."""

import resource
import time
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from bittwist.wire import messages as m
from bittwist.wire.extension import ExtensionHandshake
from bittwist.wire.ut_metadata import MetadataPiece, MetadataRequest
from bittwist.wire.ut_metadata import encode as encode_metadata
from tests.scale import SEED, SOAK, runs

from .doubles import THEIRS, End, Recorder, RunRecorder

MAX_BUFFERED = 256 << 10

SESSIONS = [
    [
        m.BitfieldMessage(b"\xff\xc0"),
        m.Extended(0, ExtensionHandshake(m={"ut_metadata": 1}, metadata_size=100).encode()),
        m.Unchoke(),
        *[m.Piece(0, begin, bytes(range(256)) * 64) for begin in (0, 16384)],
        m.Have(3),
        m.Choke(),
        m.RejectRequest(1, 0, 16384),
    ],
    [
        m.Extended(0, b"d1:md11:ut_metadatai3eee"),
        m.HaveNone(),
        m.AllowedFast(1),
        m.Interested(),
        *[m.Request(1, begin, 16384) for begin in (0, 16384)],
        m.Cancel(1, 0, 16384),
        m.KeepAlive(),
        m.Port(6881),
        m.SuggestPiece(9),
        m.Extended(1, encode_metadata(MetadataRequest(0))),
        m.Extended(1, encode_metadata(MetadataPiece(0, 100, bytes(100)))),
        m.NotInterested(),
    ],
]
RECORDED = [THEIRS.encode() + b"".join(map(m.encode, session)) for session in SESSIONS]
TELLING = [
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\0\x02\x10\0",
    b"\x14",
    b"\x07",
]


def mutated(random):
    stream = bytearray(random.choice(RECORDED))
    first = 0 if random.random() < 0.2 else 68  # a handshake that is wrong ends all: leave it alone, mostly
    for _ in range(random.randrange(6)):
        at = random.randrange(first, len(stream))
        match random.randrange(4):
            case 0:
                stream[at] = random.randrange(256)
            case 1:
                telling = random.choice(TELLING)
                stream[at : at + len(telling)] = telling
            case 2:
                del stream[at : at + random.randrange(1, 40)]
            case _:
                other = random.randrange(len(stream))
                stream[at:at] = stream[other : other + random.randrange(200)]
        if len(stream) <= first:
            break
    return bytes(stream)


def chunks(random, stream):
    at = 0
    while at < len(stream):
        size = random.choice((1, 3, 17, 1000, 20000))
        yield stream[at : at + size]
        at += size


class FuzzPeer(SynchronousTestCase):
    def one(self, random):
        end = End(
            outgoing=random.random() < 0.5, callbacks=Recorder() if random.random() < 0.8 else Recorder(None)
        )
        twin = End(outgoing=end.protocol.outgoing, callbacks=RunRecorder(end.callbacks.geometry))
        for chunk in chunks(random, mutated(random)):
            end.receive(chunk)
            twin.receive(chunk)
            self.assertEqual(
                twin.callbacks.messages, end.callbacks.messages, "runs are not what they stand for"
            )
            self.assertLessEqual(end.protocol._wire.buffered, MAX_BUFFERED)
            if end.transport.disconnecting:
                break
        end.turn()
        end.transport.lose()
        shaken = len(end.callbacks.handshakes)
        self.assertLessEqual(shaken, 1)
        self.assertEqual(len(end.callbacks.reasons), 1 if end.protocol.outgoing else shaken)
        self.assertEqual(end.clock.getDelayedCalls(), [])

    def test_no_stream_of_bytes_does_more_than_lose_its_connection(self):
        random = Random(SEED)
        count = runs(1000, 100_000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        for _ in range(count):
            self.one(random)
        took = time.perf_counter() - began
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        if SOAK:
            self.assertGreaterEqual(count / took, 500)
            self.assertLessEqual(grown, 64)
