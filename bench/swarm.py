"""One seed, five leeches, 256 MiB: how soon all have everything, and how many copies the seed had to send.

The seed is alone in a network namespace, so that what it sends is counted by the kernel; the leeches share
another. The leeches know each other and listen before the seed dials them. The clock starts when the seed has
its data checked and listens, and stops when the last leech has said that it has everything; all stay so long.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.measure import MIB, cpu_seconds, machine, median, peak_memory, table
from bench.transfer import LIMIT, TunedLibtorrent, make_content
from tests.interop.clients import Bittwist, Client, Libtorrent
from tests.interop.hosts import namespace_pair

CLIENTS: dict[str, type[Client]] = {kind.name: kind for kind in (Bittwist, Libtorrent, TunedLibtorrent)}


@dataclass(frozen=True, slots=True)
class Run:
    """One swarm: seconds, copies that the seed sent, CPU seconds of all, bytes of memory of the largest."""

    client: str
    whole: float
    copies: float
    cpu: float
    memory: int


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=256, metavar="MIB")
    parser.add_argument("--leeches", type=int, default=5)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--only", default=",".join(CLIENTS), metavar="NAME[,NAME]", help="of " + ", ".join(CLIENTS)
    )
    return parser.parse_args()


def sent_bytes(pid: int) -> int:
    """What has left the network namespace of process `pid` by its cable."""
    for line in Path(f"/proc/{pid}/net/dev").read_text().splitlines():
        device, _, counters = line.partition(":")
        if device.strip() == "cable":
            return int(counters.split()[8])
    raise KeyError("cable")


def swarm(kind: type[Client], content: Path, torrent: Path, work: Path, count: int) -> Run:
    size = content.stat().st_size
    with ExitStack() as stack:
        [[near], far] = stack.enter_context(namespace_pair(1, count))
        leeches = [kind(host, work / f"leech-{number}", 6881) for number, host in enumerate(far)]
        for number, leech in enumerate(leeches):
            target = work / f"target-{number}"
            target.mkdir(parents=True)
            stack.callback(leech.stop)
            leech.download(torrent, target, [earlier.endpoint for earlier in leeches[:number]])
        before = {leech.running.pid: cpu_seconds(leech.running.pid) for leech in leeches}
        seed = kind(near, work / "seed", 6881)
        stack.callback(seed.stop)
        seed.seed(torrent, content.parent, [leech.endpoint for leech in leeches])
        started = time.monotonic()
        before[seed.running.pid] = cpu_seconds(seed.running.pid)
        for leech in leeches:
            leech.wait(LIMIT)
        whole = time.monotonic() - started
        copies = sent_bytes(seed.running.pid) / size
        cpu = sum(cpu_seconds(pid) - spent for pid, spent in before.items())
        memory = max(peak_memory(pid) for pid in before)
    for number in range(count):
        copy = work / f"target-{number}" / content.name
        if subprocess.run(["cmp", "--silent", content, copy], check=False).returncode:
            raise AssertionError(f"{kind.name}: a copy differs from the original")
    shutil.rmtree(work)
    return Run(kind.name, whole, copies, cpu, memory)


def report(runs: list[Run]) -> str:
    rows = []
    for name in CLIENTS:
        mine = [run for run in runs if run.client == name]
        if mine:
            rows.append(
                (
                    name,
                    f"{median([run.whole for run in mine]):.2f}",
                    f"{median([run.copies for run in mine]):.2f}",
                    f"{max(run.copies for run in mine):.2f}",
                    f"{median([run.cpu for run in mine]):.2f}",
                    f"{max(run.memory for run in mine) / MIB:.0f}",
                )
            )
    header = ("client", "all done s", "seed's copies", "worst", "CPU s of all", "peak MiB of the largest")
    return table(header, rows)


def main() -> None:
    chosen = options()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="bittwist-bench-", dir="/dev/shm") as name:
        folder = Path(name)
        content, torrent = make_content(folder, chosen.size * MIB)
        for number in range(chosen.runs):
            for kind in (CLIENTS[client] for client in chosen.only.split(",")):
                run = swarm(kind, content, torrent, folder / f"{kind.name}-{number}", chosen.leeches)
                runs.append(run)
                print(f"{number + 1}/{chosen.runs} {run.client}: {run.whole:.2f} s", file=sys.stderr)
    print(f"1 → {chosen.leeches}, {chosen.size} MiB, {chosen.runs} runs each, files on tmpfs; {machine()}\n")
    print(report(runs))


if __name__ == "__main__":
    main()
