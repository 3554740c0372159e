"""What an announce costs with one process and with workers: swarms in memory, in Redis, and by two workers.

`python -m bench.tracker_workers`: the load of bench.tracker, 10,000 torrents and 200,000 peers. The machine's
processors are shared by all there is, so that rates are not the trackers' best; the processor time is theirs,
that of redis-server apart.
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
    """A way to serve: the words of its command line, and whether it needs a Redis."""

    name: str
    words: tuple[str, ...] = ()
    redis: bool = True


KINDS = (
    Kind("one, memory", redis=False),
    Kind("one, Redis"),
    Kind("two workers, Redis", ("--workers", "2")),
)


def tracker_over(redis: RedisServer, work: Path, port: int, *words: str) -> Ours:
    """A tracker of ours on that Redis: to start, like those of bench.tracker."""
    config = work / f"redis-{port}.toml"
    listen = f'[listen]\nhttp = ["tcp:{port}:interface=127.0.0.1"]\nudp = ["127.0.0.1:{port}"]\n'
    config.write_text(f'{listen}[redis]\nservers = ["{redis.path}"]\n')
    return Ours(work, port, "--config", str(config), *words)


def _two_are_up(program: Program) -> bool:
    return program.output.count("udp://") >= 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--forms", default=",".join(FORMS))
    chosen = parser.parse_args()
    print(f"{machine()}; {TORRENTS} torrents, {PEERS} peers; medians of {chosen.runs}\n")
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        started = {}
        for port, kind in enumerate(KINDS, 6980):
            redis = stack.enter_context(RedisServer(work)) if kind.redis else None
            ours = Ours(work, port) if redis is None else tracker_over(redis, work, port, *kind.words)
            program = ours.start()
            stack.callback(program.stop)
            if "--workers" in kind.words:
                program.until(partial(_two_are_up, program), 20, "both workers are up")
            measure(program.pid, Load("udp", port, 600.0, first=0, last=PEERS))
            started[kind] = port, program, redis
        rows = []
        for form in chosen.forms.split(","):
            runs: dict[Kind, list[Run]] = {kind: [] for kind in KINDS}
            spent: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
            for turn in range(chosen.runs):
                for kind, (port, program, redis) in started.items():
                    before = redis.cpu() if redis else 0.0
                    run = measure(program.pid, Load(form, port, chosen.seconds, seed=turn))
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
