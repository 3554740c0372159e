"""A torrent of a folder of mixed files: `bittwist create` against mktorrent and libtorrent.

The programs take turns, run by run, so that a noisy machine is noisy to all; files are on tmpfs and in memory
(`--disk FOLDER` for elsewhere). bittwist and mktorrent get the same number of threads. libtorrent's Python
binding has no setting for it and takes its own; it is handed the files in bittwist's order, and has to come
to the same hash. Times are of whole processes, start-up and all.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from bench.measure import GIB, MIB, machine, median, peak_memory, table

PIECE = 20  # the power of two that makes pieces of 1 MiB
TRACKER = "http://127.0.0.1:6969/announce"
LOOK_EVERY = 0.002  # seconds between looks at a process's memory
LIBTORRENT = """
import json, sys
import libtorrent
name, folder, target, piece_length = sys.argv[1:]
files = libtorrent.file_storage()
for path, size in json.load(sys.stdin):
    files.add_file(path, size)
torrent = libtorrent.create_torrent(files, int(piece_length), libtorrent.create_torrent.v1_only)
libtorrent.set_piece_hashes(torrent, folder)
with open(target, "wb") as file:
    file.write(libtorrent.bencode(torrent.generate()))
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One torrent made: seconds, CPU seconds, bytes of memory."""

    program: str
    seconds: float
    cpu: float
    memory: int


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=4096, metavar="MIB")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--disk", type=Path, metavar="FOLDER", help="files go here instead of /dev/shm")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every run to FILE")
    return parser.parse_args()


def make_content(folder: Path, size: int) -> int:
    """Half of it one file, a quarter in eight, the rest in small ones; the bytes there are."""
    random = Random(2026)
    sizes = [size // 2, *[size // 32] * 8]
    while sum(sizes) < size:
        sizes.append(random.randint(1, 512 << 10))
    for number, length in enumerate(sizes):
        file = folder / f"part {number % 10}" / f"file {number}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(length))
    return sum(sizes)


def commands(content: Path, work: Path, threads: int) -> dict[str, tuple[list[str], bytes]]:
    """What to run, and what it reads from standard input, for each program that is here."""
    bittwist = [sys.executable, "-c", "from bittwist.app.cli import main; main()"]
    bittwist += ["create", str(content), "-o", str(work / "bittwist.torrent"), "--tracker", TRACKER]
    bittwist += ["--piece-length", str(1 << PIECE), "--threads", str(threads), "--force"]
    found = {"bittwist": (bittwist, b"")}
    if shutil.which("mktorrent"):
        target = str(work / "mktorrent.torrent")
        mktorrent = ["mktorrent", "-a", TRACKER, "-l", str(PIECE), "-t", str(threads), "-o", target]
        found["mktorrent"] = ([*mktorrent, str(content)], b"")
    if not subprocess.run([sys.executable, "-c", "import libtorrent"], check=False).returncode:
        names = sorted(
            (file.relative_to(content).as_posix() for file in content.rglob("*") if file.is_file()),
            key=os.fsencode,
        )
        listed = [(f"{content.name}/{name}", (content / name).stat().st_size) for name in names]
        libtorrent = [sys.executable, "-c", LIBTORRENT, content.name, str(content.parent)]
        libtorrent += [str(work / "libtorrent.torrent"), str(1 << PIECE)]
        found["libtorrent"] = (libtorrent, json.dumps(listed).encode())
    return found


def measured(program: str, command: list[str], stdin: bytes, work: Path) -> Run:
    """One run; its torrent of the run before is removed first."""
    (work / f"{program}.torrent").unlink(missing_ok=True)
    said = work / "stdin"
    said.write_bytes(stdin)
    with said.open("rb") as source:
        start = time.perf_counter()
        running = subprocess.Popen(command, stdin=source, stdout=subprocess.DEVNULL)
        memory = 0
        while True:
            try:
                memory = max(memory, peak_memory(running.pid))
            except (KeyError, FileNotFoundError):
                pass  # it has just ended
            pid, status, usage = os.wait4(running.pid, os.WNOHANG)
            if pid:
                seconds = time.perf_counter() - start
                break
            time.sleep(LOOK_EVERY)
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise SystemExit(f"{program} ended with {running.returncode}")
    return Run(program, seconds, usage.ru_utime + usage.ru_stime, memory)


def check_hashes(work: Path) -> None:
    """libtorrent, given our list, must make our info dictionary."""
    from bittwist.app.torrentfile import read_torrent

    hashes = {
        name: read_torrent(str(work / f"{name}.torrent")).info.info_hash
        for name in ("bittwist", "libtorrent")
        if (work / f"{name}.torrent").exists()
    }
    if len(set(hashes.values())) != 1:
        raise SystemExit(f"the hashes differ: {hashes}")


def report(runs: list[Run], size: int) -> str:
    """Medians a program, and bittwist's rate as a multiple of each."""
    programs = list(dict.fromkeys(run.program for run in runs))
    seconds = {name: median([run.seconds for run in runs if run.program == name]) for name in programs}
    rows = []
    for name in programs:
        mine = [run for run in runs if run.program == name]
        rows.append(
            (
                name,
                f"{seconds[name]:.2f}",
                f"{size / MIB / seconds[name]:.0f}",
                f"{seconds[name] / seconds['bittwist']:.2f}",
                f"{median([run.cpu for run in mine]) * GIB / size:.2f}",
                f"{max(run.memory for run in mine) / MIB:.0f}",
            )
        )
    return table(("program", "s", "MiB/s", "bittwist is × as fast", "CPU s/GiB", "peak MiB"), rows)


def main() -> None:
    chosen = options()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="bittwist-bench-", dir=chosen.disk or "/dev/shm") as name:
        work = Path(name)
        content = work / "content"
        size = make_content(content, chosen.size * MIB)
        programs = commands(content, work, chosen.threads)
        for number in range(chosen.runs):
            for program, (command, stdin) in programs.items():
                runs.append(measured(program, command, stdin, work))
                rate = size / MIB / runs[-1].seconds
                print(f"{number + 1}/{chosen.runs} {program}: {rate:.0f} MiB/s", file=sys.stderr)
        check_hashes(work)
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(run) for run in runs], indent=1))
    where = chosen.disk or "tmpfs"
    print(f"{size / MIB:.0f} MiB, {chosen.runs} runs each, {chosen.threads} threads, files on {where}")
    print(f"{machine()}\n")
    print(report(runs, size))


if __name__ == "__main__":
    main()
