"""Storage in real threads of a real reactor: the same results as inline."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import gatherResults

from bittwist.storage.disk import Disk, DiskSettings
from bittwist.storage.files import FileStorage
from bittwist.storage.resume import Journal
from tests.storage.torrents import content_of, make_info, pieces_of


@pytest_twisted.ensureDeferred
async def test_pieces_kept_and_blocks_read_side_by_side_are_right(tmp_path: Path) -> None:
    content = content_of(3_000_000)
    info = make_info(content, [(f"{n:02}", 100_000) for n in range(30)], piece_length=65_536)
    pieces = pieces_of(info, content)
    order = list(range(len(pieces)))
    Random(1).shuffle(order)

    disk = Disk(reactor, DiskSettings(threads=3, sync_after=0.01, read_cache=200_000, read_memory=400_000))
    store = disk.open(FileStorage(tmp_path, info), info, Journal(tmp_path / "journal"))
    await store.start()
    kept = await gatherResults([store.keep(index, memoryview(pieces[index])) for index in order])
    assert all(each.good for each in kept)

    blocks = [(index, begin, length) for index in order for begin, length in info.geometry.blocks(index)]
    views = await gatherResults([store.read(*block) for block in blocks])
    for (index, begin, length), view in zip(blocks, views):
        assert view == pieces[index][begin : begin + length]
    del views, view
    recovered = await store.recheck()
    assert recovered.have.complete and recovered.checked == len(pieces)
    await disk.stop()

    disk = Disk(reactor, DiskSettings())
    store = disk.open(FileStorage(tmp_path, info), info, Journal(tmp_path / "journal"))
    recovered = await store.start()
    assert recovered.have.complete and recovered.checked == 0
    await disk.stop()
    assert disk.cache.memory.used == 0
