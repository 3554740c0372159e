"""What an announce costs with one process and with workers: swarms in memory, in Redis, and by two workers.

`python -m bench.tracker_workers`: the load of bench.tracker, 10,000 torrents and 200,000 peers. The machine's
processors are shared by all there is, so that rates are not the trackers' best; the processor time is theirs,
that of redis-server apart. A busy process reads many announces at once, and many of Redis's replies; one that
is half idle wakes for each, so that an announce costs more (`--rate 2000`). Hence the same load a process.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.announces import PEERS, TORRENTS, Load
from bench.measure import machine, median, table
from bench.tracker import FORMS, WORDS, Ours, Run, measure, middle
from tests.interop.hosts import Program
from tests.redisserver import RedisServer


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to serve: how many processes, and whether over a Redis."""

    name: str
    processes: int = 1
    redis: bool = True


KINDS = (
    Kind("one, memory", redis=False),
    Kind("one, Redis"),
    Kind("two workers, Redis", processes=2),
)


def tracker_over(redis: RedisServer, work: Path, port: int, *words: str) -> Ours:
    """A tracker of ours on that Redis: to start, like those of bench.tracker."""
    config = work / f"redis-{port}.toml"
    listen = f'[listen]\nhttp = ["tcp:{port}:interface=127.0.0.1"]\nudp = ["127.0.0.1:{port}"]\n'
    config.write_text(f'{listen}[redis]\nservers = ["{redis.path}"]\n')
    return Ours(work, port, "--config", str(config), *words)


def _are_up(program: Program, count: int) -> bool:
    return program.output.count("udp://") >= count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--outstanding", type=int, default=128, help="at a time, for each process")
    parser.add_argument("--rate", type=float, default=0.0, help="a second, in an open loop instead")
    parser.add_argument("--forms", default=",".join(FORMS))
    chosen = parser.parse_args()
    print(f"{machine()}; {TORRENTS} torrents, {PEERS} peers; medians of {chosen.runs}\n")
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        started = {}
        for port, kind in enumerate(KINDS, 6980):
            redis = stack.enter_context(RedisServer(work)) if kind.redis else None
            words = ("--workers", str(kind.processes)) if kind.processes > 1 else ()
            ours = Ours(work, port) if redis is None else tracker_over(redis, work, port, *words)
            program = ours.start()
            stack.callback(program.stop)
            program.until(partial(_are_up, program, kind.processes), 20, "all processes are up")
            measure(program.pid, Load("udp", port, 600.0, first=0, last=PEERS))
            started[kind] = port, program, redis
        rows = []
        for form in chosen.forms.split(","):
            runs: dict[Kind, list[Run]] = {kind: [] for kind in KINDS}
            spent: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
            for turn in range(chosen.runs):
                for kind, (port, program, redis) in started.items():
                    before = redis.cpu() if redis else 0.0
                    outstanding = chosen.outstanding * kind.processes
                    load = Load(form, port, chosen.seconds, turn, outstanding, chosen.rate)
                    run = measure(program.pid, load)
                    runs[kind].append(run)
                    share = (redis.cpu() - before) / (run.rate * chosen.seconds) if redis else 0.0
                    spent[kind].append(share * 100_000)
            base = middle(runs[KINDS[1]]).cpu
            for kind in KINDS:
                run = middle(runs[kind])
                row = [f"{run.rate:.0f}", f"{run.cpu:.2f}", f"{run.cpu / base:.2f}"]
                row += [f"{median(spent[kind]):.2f}", f"{run.peers:.1f}", str(run.lost), str(run.malformed)]
                rows.append([WORDS[form], kind.name, *row])
    header = ["form", "tracker", "announces/s", "CPU s/100k", "÷ one, Redis", "Redis CPU s/100k"]
    print(table([*header, "peers", "lost", "malformed"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
