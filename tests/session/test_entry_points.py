"""One torrent, one verdict, whichever way it comes: a file, a URL, peers (SECURITY.md T1, A0-A15)."""

import re
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from bittwist.app.sources import find
from bittwist.errors import MetainfoError
from bittwist.metainfo import bencode
from bittwist.metainfo.geometry import BLOCK
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.session import Session, SessionSettings
from bittwist.session.lifecycle import State
from bittwist.storage.files import FileStorage
from bittwist.testing import Conduct, FakePeers, SimulatedNetwork, speech
from bittwist.testing.speech import Id
from tests.metainfo import torrents
from tests.scale import SEED

METADATA_BLOCK = 16384
TAKEN = (State.DOWNLOADING, State.SEEDING)
NAMES = [b"..", b".", b"", b"/", b"../../x", b"/etc/passwd", b"a/../../b", b"C:\\x", b"con", b"x" * 300]
NAMES += [b"a\0b", b"\x1b[2J", b"\xff\xfe", "e\u0301".encode(), "\u202egpj.exe".encode(), b" ", b"x."]


def unsorted(info):
    """An info dictionary whose keys stand in the wrong order, as some in circulation have it."""
    return b"d%be" % b"".join(
        bencode.encode(key) + bencode.encode(info[key]) for key in sorted(info, reverse=True)
    )


def with_key(info, raw_key_and_value):
    """`info`, and at its end these bytes."""
    return bencode.encode(info)[:-1] + raw_key_and_value + b"e"


def corpus():
    """Names, and the bytes of info dictionaries: the values are whole, or a file could not hold them."""
    single, multi = torrents.v1_single, torrents.v1_multi
    v2, _ = torrents.v2()
    hybrid, _ = torrents.hybrid()
    link = {b"length": 0, b"path": [b"l"], b"attr": b"l", b"symlink path": [b"..", b"..", b"etc"]}
    two = {b"length": 30000, b"path": [b"a"]}
    infos = {
        "one file": single(),
        "a folder": multi(),
        "v2": v2,
        "hybrid": hybrid,
        "hybrid with another list": {**hybrid, b"files": hybrid[b"files"][::-1]},
        "v2 with an odd piece length": {**v2, b"piece length": 3 * BLOCK},
        "v2 with a short root": {**v2, b"file tree": {b"a": {b"": {b"length": 5, b"pieces root": b"x"}}}},
        "v2 with no tree": {key: value for key, value in v2.items() if key != b"file tree"},
        "another version": single(meta_version=3),
        "private": single(private=1),
        "oddly private": single(private=b"yes"),
        "no name": single(name=None),
        "a number for a name": single(name=7),
        "no length": single(length=None),
        "both forms": single(files=multi()[b"files"]),
        "a negative length": single(length=-1),
        "a huge length": single(length=1 << 63),
        "no pieces": single(pieces=None),
        "half a hash": single(pieces=b"x" * 30),
        "too few hashes": single(pieces=b"x" * 20),
        "a piece length of 0": single(piece_length=0),
        "a negative piece length": single(piece_length=-BLOCK),
        "a huge piece length": single(piece_length=1 << 31),
        "a text for a piece length": single(piece_length=b"16384"),
        "no files": multi(files=()),
        "files that are none": {**multi(), b"files": [b"x", 7]},
        "a file without a path": {**multi(), b"files": [{b"length": 35000}]},
        "an empty path": multi(files=[([], 35000)]),
        "one path twice": multi(files=[(["a"], 17500), (["a"], 17500)]),
        "two cases of one path": multi(files=[(["a"], 17500), (["A"], 17500)]),
        "a file where a folder is": multi(files=[(["a"], 17500), (["a", "b"], 17500)]),
        "a deep path": multi(files=[(["d"] * 150, 35000)]),
        "a link out": {**multi(), b"files": [link, two], b"pieces": bytes(40)},
        "padding": {**multi(), b"files": [two, {**two, b"attr": b"p"}], b"pieces": bytes(80)},
        **{f"named {name!r:.20}": single(name=name) for name in NAMES},
        **{f"a file named {name!r:.20}": multi(files=[([name, "x"], 35000)]) for name in NAMES},
    }
    raw = {name: bencode.encode(info) for name, info in infos.items()}
    raw["unsorted"] = unsorted(single())
    raw["unsorted v2"] = unsorted(v2)
    raw["an odd integer"] = bencode.encode(single(private=1)).replace(b"i1e", b"i01e")
    raw["an odd zero"] = bencode.encode(single(private=0)).replace(b"i0e", b"i-0e")
    raw["a name twice"] = with_key(single(), b"4:name1:b")
    raw["pieces twice"] = with_key(single(), bencode.encode(b"pieces") + bencode.encode(bytes(60)))
    raw["more"] = with_key(single(), b"1:zd1:ai5e1:bli6eee" + b"2:zzle")
    raw["very deep"] = with_key(single(), b"1:z" + b"l" * 150 + b"e" * 150)
    raw["a list"] = b"l4:name1:xe"
    raw["a number"] = b"i5e"
    raw["a long one"] = with_key(single(), b"1:z40000:" + b"z" * 40000)
    return raw


class EntryPointTests(SynchronousTestCase):
    """A verdict is what became of it, the hash, the names on disk; for what is refused, the reason."""

    def test_every_way_in_gives_the_same_verdict(self):
        taken = []
        for name, raw in corpus().items():
            with self.subTest(name):
                verdicts = {way.__name__: self.verdict(way, raw) for way in (by_file, by_url, by_peers)}
                first = verdicts["by_file"]
                self.assertEqual(verdicts, dict.fromkeys(verdicts, first))
                if first[0] == "taken":
                    taken.append(name)
                    self.assertEqual(first[1], str(InfoHash.of(raw, v1=True, v2=b"meta version" in raw)))
        self.assertGreater(len(taken), 20)
        for name in ("one file", "a folder", "hybrid", "unsorted", "private"):
            self.assertIn(name, taken)
        for name in ("v2", "pieces twice", "a piece length of 0", "too few hashes", "a list"):
            self.assertNotIn(name, taken)

    def verdict(self, way, raw):
        with TemporaryDirectory() as base:
            outside = Path(base)
            save = outside / "in" / "save"
            save.mkdir(parents=True)
            network = SimulatedNetwork(SEED)
            random = Random(SEED)
            session = Session(
                network.host("10.0.0.1"),
                SessionSettings(ports=(6881,)),
                storage=lambda path, info: FileStorage(Path(path), info),
                wall=network.seconds,
                random=random,
                token=random.randbytes,
            )
            session.startService()
            try:
                torrent = way(network, session, raw, save, outside)
                network.run_until(lambda: torrent.state in (*TAKEN, State.FAILED), 60)
                return self.became(torrent, raw, save)
            except MetainfoError as error:
                return "refused", reason_of(str(error))
            finally:
                network.result_of(session.stopService())
                there = {path.name for path in outside.iterdir()} | {
                    path.name for path in save.parent.iterdir()
                }
                self.assertLessEqual(there, {"in", "save", "the.torrent"})

    def became(self, torrent, raw, save):
        if torrent.state is State.FAILED:
            return "refused", reason_of(torrent.reason)
        info = torrent.metainfo.info
        self.assertEqual(info.raw, raw)
        kept = tuple(sorted(str(path.relative_to(save)) for path in save.rglob("*")))
        return "taken", str(info.info_hash), info.name, info.private, kept


def reason_of(text):
    """Without where it was found, and at which byte of that."""
    inner = text.rpartition(".torrent: ")[2].removeprefix("its metadata cannot be used: ")
    return re.sub(" at byte [0-9]+$", "", inner)


def by_file(network, session, raw, save, folder):
    path = folder / "the.torrent"
    path.write_bytes(b"d4:info%be" % raw)
    found = network.result_of(find(network.host("10.0.0.1"), str(path)))
    return network.result_of(session.add(found, save))


def by_url(network, session, raw, save, folder):
    root = Resource()
    root.putChild(b"the.torrent", Data(b"d4:info%be" % raw, "application/x-bittorrent"))
    server = network.host("10.0.0.9")
    server.listenTCP(80, Site(root, reactor=server))
    found = network.result_of(find(network.host("10.0.0.1"), "http://10.0.0.9/the.torrent"))
    return network.result_of(session.add(found, save))


def by_peers(network, session, raw, save, folder):
    """A peer that gives these bytes for their v1 hash (BEP 9): links without one are refused."""
    info_hash = InfoHash.of(raw, v1=True, v2=False)
    hello = bencode.encode({"m": {"ut_metadata": 3}, "metadata_size": len(raw)})
    opening = speech.message(Id.EXTENDED, b"\0" + hello)
    conduct = Conduct(info_hash.short, reserved=speech.EXTENDED, opening=opening)
    givers = FakePeers(network.host("10.0.0.9"), conduct)
    givers.listen(6881)
    torrent = network.result_of(session.add(Magnet(info_hash, peers=("10.0.0.9:6881",)), save))
    given = 0

    def gave():
        nonlocal given
        for frame in givers.peers[0].got(Id.EXTENDED)[given:] if givers.peers else []:
            given += 1
            if frame.payload[0]:
                give(givers.peers[0], raw, bencode.decode(frame.payload[1:]))
        return torrent.state is not State.METADATA

    network.run_until(gave, 60)
    return torrent


def give(peer, raw, request):
    piece = request[b"piece"]
    head = bencode.encode({"msg_type": 1, "piece": piece, "total_size": len(raw)})
    block = raw[piece * METADATA_BLOCK : (piece + 1) * METADATA_BLOCK]
    peer.send(speech.message(Id.EXTENDED, b"\1" + head + block))


class RestartTests(SynchronousTestCase):
    def test_what_was_taken_is_taken_again_from_the_state_folder(self):
        """The fourth way in: what a session wrote down, whichever way it had come."""
        for name, raw in corpus().items():
            try:
                metainfo = Metainfo.parse(b"d4:info%be" % raw)
            except MetainfoError:
                continue
            again = Metainfo.parse(Metainfo.from_info(metainfo.info).encode())
            self.assertEqual((again.info.raw, again.info.info_hash), (raw, metainfo.info.info_hash), name)
