"""What is shared in the tests, and whether it arrived whole."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from random import Random

NAMES = (
    "naïve",
    "日本語",
    "Ελληνικά",
    "emoji 🎈",
    "a b",
    "x'y",
    "ordinary",
    "ünï-ço∂é",
    "it's;fun&safe",
    "#hash%20",
)


def single_file(folder: Path, size: int = (8 << 20) + 12345) -> Path:
    """A file whose last piece and last block are short."""
    path = folder / "single ƒile.bin"
    path.write_bytes(Random(1).randbytes(size))
    return path


def many_files(folder: Path, count: int = 200) -> Path:
    """A folder of `count` files: nested, some empty, some in other alphabets, some larger than a piece."""
    random = Random(2)
    root = folder / "many ƒiles"
    for number in range(count):
        depth = number % 4
        parts = [NAMES[(number + level) % len(NAMES)] for level in range(depth)]
        path = root.joinpath(*parts, f"{number:03d} {NAMES[number % len(NAMES)]}.bin")
        path.parent.mkdir(parents=True, exist_ok=True)
        size = 0 if number % 10 == 3 else random.choice((1, 100, 16384, 40000, 65536, 150000))
        path.write_bytes(random.randbytes(size))
    return root


def make_torrent(source: Path, torrent: Path, trackers: Sequence[str], piece_power: int = 16) -> None:
    """Write a torrent of `source` with another program than ours."""
    told = [word for url in trackers for word in ("-a", url)]
    command = ["mktorrent", "-l", str(piece_power), *told, "-o", str(torrent), str(source)]
    subprocess.run(command, check=True, capture_output=True)


def differences(original: Path, copy: Path) -> list[str]:
    """In what `copy` differs from `original`, file by file and byte by byte; empty when in nothing."""
    wanted, found = _files(original), _files(copy)
    both = sorted(wanted.keys() & found.keys())
    return [
        *(f"missing: {name}" for name in sorted(wanted.keys() - found.keys())),
        *(f"not asked for: {name}" for name in sorted(found.keys() - wanted.keys())),
        *(f"differs: {name}" for name in both if not _same(wanted[name], found[name])),
    ]


def _files(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {path.name: path}
    return {str(file.relative_to(path)): file for file in path.rglob("*") if file.is_file()}


def _same(one: Path, other: Path) -> bool:
    with one.open("rb") as left, other.open("rb") as right:
        while block := left.read(1 << 20):
            if block != right.read(1 << 20):
                return False
        return not right.read(1)
