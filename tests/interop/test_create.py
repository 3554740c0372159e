"""`bittwist create` against libtorrent: the same files in the same order have the same info hash."""

import json
from pathlib import Path
from random import Random

import pytest

from tests.interop.content import NAMES
from tests.interop.shared import bittwist

PIECE_LENGTHS = (16 << 10, 32 << 10, 256 << 10, 1 << 20)


def tree(folder: Path, random: Random) -> Path:
    """A file, or a folder of up to 30 files: hidden, empty, nested, in several alphabets."""
    root = folder / random.choice(NAMES)
    if random.random() < 0.2:
        root.write_bytes(random.randbytes(random.randint(1, 3 << 20)))
        return root
    for number in range(random.randint(1, 30)):
        parts = [random.choice((".hidden", "Folder", *NAMES)) for _ in range(random.randint(0, 4))]
        path = root.joinpath(*parts, f"{random.choice(NAMES)}{number}")
        path.parent.mkdir(parents=True, exist_ok=True)
        size = random.choice((0, 1, 16384, 16385, random.randint(2, 300_000)))
        path.write_bytes(random.randbytes(size or int(number == 0)))
    return root


@pytest.mark.needs("libtorrent")
@pytest.mark.parametrize("seed", range(20))
def test_create_gives_the_hash_that_libtorrent_gives(seed: int, tmp_path: Path) -> None:
    import libtorrent as lt  # the partner may be missing when this module is collected

    random = Random(seed)
    root, torrent = tree(tmp_path, random), tmp_path / "ours.torrent"
    piece_length = random.choice(PIECE_LENGTHS)
    length = ("--piece-length", str(piece_length))
    made = json.loads(bittwist("create", root, "-o", torrent, *length, "--json"))

    files = lt.file_storage()
    for file in made["files"]:
        files.add_file(file["path"], (tmp_path / file["path"]).stat().st_size)
    theirs = lt.create_torrent(files, piece_length, lt.create_torrent.v1_only)
    lt.set_piece_hashes(theirs, str(tmp_path))
    parsed = lt.torrent_info(lt.bencode(theirs.generate()))
    assert made["info_hash_v1"] == str(parsed.info_hash())
