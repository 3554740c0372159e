"""One seed, one leech, two processes on loopback: bittwist against libtorrent, rtorrent and aria2.

TCP without encryption, hash checks and writes on, pieces of 1 MiB, files on tmpfs (`--disk FOLDER` for
elsewhere). The clients take turns, run by run, so that a noisy machine is noisy to all. Of each run: the rate
between the moments at which 10 % and 90 % of the bytes had arrived (blocks of the leech's file, sampled each
5 ms), the time from both listening to the leech's word that it has everything, and the CPU seconds of each
end in that time. aria2 has to be told its peer by a tracker and waits before it connects: its whole time says
more about that wait.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.measure import GIB, MIB, Growth, allocated, cpu_seconds, machine, median, peak_memory, table
from tests.interop.clients import Aria2, Bittwist, Client, Libtorrent, Opentracker, Rtorrent
from tests.interop.hosts import loopback
from tests.interop.partners import present
from tests.interop.shared import bittwist

LIMIT = 300.0  # seconds for one transfer: a client that needs more does not belong in the table


class TunedLibtorrent(Libtorrent):
    name = "libtorrent-tuned"
    tuned = True


CLIENTS: dict[str, type[Client]] = {
    client.name: client for client in (Bittwist, Libtorrent, TunedLibtorrent, Rtorrent, Aria2)
}


@dataclass(frozen=True, slots=True)
class Run:
    """One transfer: bytes a second, seconds, CPU seconds and bytes of memory."""

    client: str
    size: int
    rate: float
    whole: float
    seed_cpu: float
    leech_cpu: float
    seed_memory: int
    leech_memory: int

    @property
    def cpu_per_gib(self) -> float:
        return (self.seed_cpu + self.leech_cpu) * GIB / self.size


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=1024, metavar="MIB")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--only", default=",".join(CLIENTS), metavar="NAME[,NAME]", help="of " + ", ".join(CLIENTS)
    )
    parser.add_argument(
        "--disk",
        type=lambda text: Path(text).absolute(),
        metavar="FOLDER",
        help="files go here instead of /dev/shm",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every run to FILE")
    return parser.parse_args()


def make_content(folder: Path, size: int) -> tuple[Path, Path]:
    """A file of random bytes and its torrent with pieces of 1 MiB, its tracker on loopback."""
    content, torrent = folder / "source" / "content.bin", folder / "content.torrent"
    content.parent.mkdir()
    with open("/dev/urandom", "rb") as random, content.open("wb") as file:
        for _ in range(size // MIB):
            file.write(random.read(MIB))
    tracker = "http://127.0.0.9:6969/announce"
    command = ["mktorrent", "-l", "20", "-a", tracker, "-o", str(torrent), str(content)]
    subprocess.run(command, check=True, capture_output=True)
    return content, torrent


def info_hash(torrent: Path) -> str:
    return str(json.loads(bittwist("show", torrent, "--json"))["info_hash_v1"])


def transfer(kind: type[Client], content: Path, torrent: Path, work: Path) -> Run:
    """One run; the leech's copy is compared with the original, and removed."""
    here, there, aside = (*loopback(2), loopback(1, first=9)[0])
    size = content.stat().st_size
    target = work / "target"
    target.mkdir(parents=True)
    seed, leech = kind(here, work / "seed", 6881), kind(there, work / "leech", 6882)
    with ExitStack() as stack:
        if kind is Aria2:
            tracker = Opentracker(aside, work / "tracker")
            stack.callback(tracker.stop)
            tracker.start([info_hash(torrent)])
        stack.callback(seed.stop)
        seed.seed(torrent, content.parent)
        before = cpu_seconds(seed.running.pid)
        copy = target / content.name
        growth = stack.enter_context(Growth(lambda: allocated(copy)))
        stack.callback(leech.stop)
        leech.download(torrent, target, [seed.endpoint])
        started, leech_before = time.monotonic(), cpu_seconds(leech.running.pid)
        leech.wait(LIMIT)
        whole = time.monotonic() - started
        seed_cpu = cpu_seconds(seed.running.pid) - before
        leech_cpu = cpu_seconds(leech.running.pid) - leech_before
        memory = peak_memory(seed.running.pid), peak_memory(leech.running.pid)
    if subprocess.run(["cmp", "--silent", content, copy], check=False).returncode:
        raise AssertionError(f"{kind.name}: the copy differs from the original")
    shutil.rmtree(work)
    return Run(kind.name, size, growth.rate(size), whole, seed_cpu, leech_cpu, *memory)


def report(runs: list[Run]) -> str:
    """Medians a client, and how each compares with the faster libtorrent."""
    by_client = {name: [run for run in runs if run.client == name] for name in CLIENTS}
    rates = {name: median([run.rate for run in mine]) for name, mine in by_client.items() if mine}
    wholes = {name: median([run.whole for run in mine]) for name, mine in by_client.items() if mine}
    rivals = [name for name in ("libtorrent", "libtorrent-tuned") if name in rates]
    anchor = max((rates[name] for name in rivals), default=0.0)
    soonest = min((wholes[name] for name in rivals), default=0.0)
    rows = []
    for name, rate in rates.items():
        mine = by_client[name]
        rows.append(
            (
                name,
                f"{rate / MIB:.0f}",
                f"{rate / anchor:.2f}" if anchor else "–",
                f"{wholes[name]:.2f}",
                f"{soonest / wholes[name]:.2f}" if anchor else "–",
                f"{median([run.seed_cpu * GIB / run.size for run in mine]):.2f}",
                f"{median([run.leech_cpu * GIB / run.size for run in mine]):.2f}",
                f"{median([run.cpu_per_gib for run in mine]):.2f}",
                f"{max(run.seed_memory for run in mine) / MIB:.0f}",
                f"{max(run.leech_memory for run in mine) / MIB:.0f}",
            )
        )
    header = (
        "client",
        "MiB/s",
        "× libtorrent",
        "whole s",
        "× as soon",
        "seed CPU s/GiB",
        "leech CPU s/GiB",
        "both",
    )
    return table((*header, "seed peak MiB", "leech peak MiB"), rows)


def main() -> None:
    chosen = options()
    kinds = [CLIENTS[name] for name in chosen.only.split(",")]
    for kind in list(kinds):
        if lacking := [name for name in kind.needs if not present(name)]:
            print(f"{kind.name} is left out: {', '.join(lacking)} is missing", file=sys.stderr)
            kinds.remove(kind)
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="bittwist-bench-", dir=chosen.disk or "/dev/shm") as name:
        folder = Path(name)
        folder.chmod(0o755)
        content, torrent = make_content(folder, chosen.size * MIB)
        for number in range(chosen.runs):
            for kind in kinds:
                run = transfer(kind, content, torrent, folder / f"{kind.name}-{number}")
                runs.append(run)
                print(f"{number + 1}/{chosen.runs} {run.client}: {run.rate / MIB:.0f} MiB/s", file=sys.stderr)
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(run) for run in runs], indent=1))
    where = chosen.disk or "tmpfs"
    print(f"{chosen.size} MiB, {chosen.runs} runs each, files on {where}; {machine()}\n")
    print(report(runs))


if __name__ == "__main__":
    main()
