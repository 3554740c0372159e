"""T2, mutate-torrents: valid torrents, broken in ways of all kinds, are read or refused, and nothing else.

What is read must also be usable: its paths stay inside the folder, its arithmetic holds, and it can be
written again.
"""

import gc
from array import array
from random import Random
from resource import RUSAGE_SELF, getrusage
from time import process_time

from bittwist.errors import MetainfoError
from bittwist.metainfo.bencode import encode
from bittwist.metainfo.files import safe_paths
from bittwist.metainfo.geometry import BLOCK
from bittwist.metainfo.info import Info
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from tests.metainfo import torrents
from tests.scale import SEED, SOAK, runs

TOKENS = [
    *(
        b"d",
        b"l",
        b"e",
        b"i",
        b"i0e",
        b"i-1e",
        b"i-0e",
        b"i1e",
        b"le",
        b"de",
        b"0:",
        b"2:..",
        b"1:/",
        b"1:\0",
        b"5:../..\\",
    ),
    *(b"i%de" % number for number in (2**31, 2**32, 2**62, 2**63, 2**64 - 1, BLOCK, 1 << 29)),
    *(
        b"6:length",
        b"4:path",
        b"4:name",
        b"6:pieces",
        b"12:piece length",
        b"5:files",
        b"4:attr1:p",
        b"4:attr1:l",
    ),
    *(
        b"9:file tree",
        b"12:meta versioni2e",
        b"11:pieces root",
        b"999999999:",
        b"12:symlink pathl2:..e",
        b"7:private",
    ),
]


def corpus():
    around = {
        "announce": b"http://t.example/announce",
        "announce_list": [[b"http://t.example/announce"], [b"udp://u.example:1"]],
        "comment": b"x",
        "url_list": [b"http://w.example/"],
        "nodes": [[b"h", 1]],
    }
    v2_info, v2_layers = torrents.v2()
    hybrid_info, hybrid_layers = torrents.hybrid()
    many = [([f"dir {number % 7}", f"file number {number}.bin"], 1000 + number) for number in range(400)]
    return [
        torrents.torrent(torrents.v1_single(private=1, source=b"s"), **around),
        torrents.torrent(torrents.v1_multi(), **around),
        torrents.torrent(torrents.v1_multi(many), **around),
        torrents.torrent(v2_info, piece_layers=v2_layers, **around),
        torrents.torrent(hybrid_info, piece_layers=hybrid_layers, **around),
    ]


def mutated(random, torrent, donors):
    data = bytearray(torrent)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        at = random.randrange(len(data) + 1)
        to = min(len(data), at + random.choice((1, 1, 2, 4, 20, 100)))
        kind = random.randrange(8)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            data[at:to] = random.randbytes(to - at)
        elif kind == 2:
            del data[at:to]
        elif kind == 3:
            data[at:at] = data[at:to] * random.choice((1, 2, 50))
        elif kind == 4:
            data[at:at] = random.choice(TOKENS)
        elif kind == 5:
            data[at:to] = random.choice(TOKENS)
        elif kind == 6:
            donor = random.choice(donors)
            start = random.randrange(len(donor))
            data[at:to] = donor[start : start + random.choice((10, 100, 1000))]
        else:
            token = random.choice(TOKENS)
            where = data.find(random.choice((b"i1", b"4:", b"6:", b"l", b"e", b"12:")), at)
            if where >= 0:
                data[where : where + random.choice((0, 2, len(token)))] = token
    return bytes(data[:40_000])


def use(metainfo):
    """What any program would do with a torrent that was taken."""
    info = metainfo.info
    for path in safe_paths(info):
        assert not path.is_absolute()
        assert ".." not in path.parts
    assert info.total_size == sum(entry.size for entry in info.files)
    if info.is_v1 and info.num_pieces:
        geometry = info.geometry
        last = info.num_pieces - 1
        assert last * geometry.piece_length + geometry.piece_size(last) == info.total_size
        assert geometry.spans(last, geometry.piece_size(last) - 1, 1)
        assert len(info.piece_hash(last)) == 20
    assert Info.parse(info.raw) == info
    assert Metainfo.parse(metainfo.encode()) == metainfo
    assert Magnet.parse(str(Magnet.of(metainfo))).info_hash == info.info_hash


def test_mutated_torrents_are_read_or_refused_with_our_error():
    """T2. Its ceilings, in the soak run, are of CPU time: neighbours must not fail it."""
    random = Random(SEED)
    originals = corpus()
    gc.freeze()  # what other tests left on the heap is not looked through while this one is timed
    times = array("f")  # a list of a million floats would be the growth that is measured
    taken = 0
    before = getrusage(RUSAGE_SELF).ru_maxrss
    for _ in range(runs(10_000, 1_000_000)):
        data = mutated(random, random.choice(originals), originals)
        start = process_time()
        try:
            metainfo = Metainfo.parse(data)
        except MetainfoError:
            metainfo = None
        times.append(process_time() - start)
        if metainfo is None:
            continue
        taken += 1
        try:
            use(metainfo)
        except MetainfoError:
            pass  # a name of which nothing is left
    gc.unfreeze()
    assert taken > len(times) // 100, "the mutations are too wild to say anything"
    if SOAK:
        assert getrusage(RUSAGE_SELF).ru_maxrss - before <= 32 << 10  # KiB
        ordered = sorted(times)
        assert ordered[len(ordered) * 99 // 100] <= 0.003
        assert ordered[-1] <= 0.050


def test_values_of_every_type_in_every_place_are_read_or_refused():
    """A14, C7: the type of each value is checked before it is used."""
    odd = [0, -1, 2**64 - 1, b"", b"x", [], [b"x"], [[]], {}, {b"": b""}, {b"x": {}}]

    def places(value):
        if isinstance(value, dict):
            for key in value:
                yield value, key
                yield from places(value[key])
        elif isinstance(value, list):
            for index in range(len(value)):
                yield value, index
                yield from places(value[index])

    for make in (torrents.v1_single, torrents.v1_multi, torrents.v2, torrents.hybrid):
        made = make()
        info, layers = made if isinstance(made, tuple) else (made, {})
        torrent = {
            b"info": info,
            b"announce": b"http://a/",
            b"announce-list": [[b"http://a/"]],
            b"url-list": [b"http://w/"],
            b"httpseeds": [b"http://w/"],
            b"nodes": [[b"h", 1]],
            b"piece layers": layers,
            b"similar": [b"x" * 20],
            b"collections": [b"c"],
        }
        for container, key in list(places(torrent)):
            kept = container[key]
            for value in odd:
                container[key] = value
                try:
                    use(Metainfo.parse(encode(torrent)))
                except MetainfoError:
                    pass
            container[key] = kept
        use(Metainfo.parse(encode(torrent)))


def test_depth_bombs_and_long_runs_cost_little():
    """A9, A10: each of these once crashed or hung a client. All in less than a second together, by far."""
    head = b"d4:infod"
    bombs = [
        head + b"1:a" + b"l" * 1_000_000,
        head + b"4:name" + b"d1:a" * 200_000,
        b"d" + b"1:a" * 100_000,
        b"1" * 1_000_000,
        b"i" + b"1" * 1_000_000 + b"e",
        head + b"4:name500000:" + "e\u0301".encode() * 166_667,
        torrents.torrent(torrents.v1_single(name="a\u0300\u0327".encode() * 100_000)),
        torrents.torrent(torrents.v1_single(name=b"/" * 1_000_000)),
        torrents.torrent(torrents.v1_single(name=b"a/" * 1_000_000)),
    ]
    start = process_time()
    for bomb in bombs:
        try:
            safe_paths(Metainfo.parse(bomb).info)
        except MetainfoError:
            pass
    if SOAK:
        assert process_time() - start < 1
