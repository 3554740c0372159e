"""Announces a second, and what they cost: our tracker beside opentracker and npm's bittorrent-tracker.

10,000 torrents, 200,000 peers, 50 wanted. The tracker has one processor to itself and the generator
(bench.announces) the other; all trackers are asked in turn, so many times over, and medians count. Each row
says how busy the generator was: near 100 % it, and not the tracker, was the limit. The open loop sends half
as many announces a second as we answered at most.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.announces import INFO_HASHES, PEERS, TORRENTS, Load
from bench.measure import MIB, cpu_seconds, machine, median, own_memory, table
from tests.interop.clients import STARTED, Opentracker
from tests.interop.hosts import Host, Program
from tests.interop.partners import NPM

HOST = Host("127.0.0.1")
SERVER, GENERATOR = 0, 1  # processors
FORMS = ("http", "http-keepalive", "udp-connect", "udp")
WORDS = {
    "http": "HTTP, one connection each",
    "http-keepalive": "HTTP, kept connections",
    "udp-connect": "UDP, a connect each",
    "udp": "UDP, connection id reused",
}


class Ours:
    """`twistd bittwist-tracker` with its default options, but for the ports."""

    name = "bittwist"
    forms = FORMS

    def __init__(self, work: Path, port: int, *words: str) -> None:
        self.work, self.port, self.words = work, port, words
        self.program: Program | None = None

    def start(self) -> Program:
        twistd = Path(sys.executable).with_name("twistd")
        where = ["--http", f"tcp:{self.port}:interface=127.0.0.1", "--udp", f"127.0.0.1:{self.port}"]
        command: list[str | Path] = [
            twistd,
            "--nodaemon",
            "--pidfile=",
            "bittwist-tracker",
            *where,
            *self.words,
        ]
        self.program = Program(command, HOST, self.work / "bittwist.log")
        self.program.until_listening(self.port, STARTED)
        return self.program


class Theirs:
    """opentracker: it closes each connection."""

    name = "opentracker"
    forms = ("http", "udp-connect", "udp")

    def __init__(self, work: Path, port: int) -> None:
        self.port = port
        self._tracker = Opentracker(HOST, work / "opentracker", port)

    def start(self) -> Program:
        self._tracker.start([info_hash.hex() for info_hash in INFO_HASHES])
        assert self._tracker.program is not None
        return self._tracker.program


class Npm:
    """The bittorrent-tracker of npm, as its command line starts it."""

    name = "npm"
    forms = FORMS

    def __init__(self, work: Path, port: int) -> None:
        self.work, self.port = work, port

    def start(self) -> Program:
        script = NPM / "node_modules/bittorrent-tracker/bin/cmd.js"
        command: list[str | Path] = [
            "node",
            script,
            "--port",
            str(self.port),
            "--http",
            "--udp",
            "--http-hostname",
            "127.0.0.1",
        ]
        program = Program([*command, "--udp-hostname", "127.0.0.1"], HOST, self.work / "npm.log")
        program.until_listening(self.port, STARTED)
        return program


@dataclass(frozen=True, slots=True)
class Run:
    """One load on one tracker."""

    rate: float
    cpu: float  # seconds of the tracker for 100,000 announces
    busy: float
    lost: int
    malformed: int
    peers: float  # in a reply, on average
    p50: float = 0.0
    p99: float = 0.0


def measure(pid: int, load: Load) -> Run:
    before = sum(cpu_seconds(one) for one in _family(pid))
    words = [sys.executable, "-m", "bench.announces", json.dumps(asdict(load))]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    spent = sum(cpu_seconds(one) for one in _family(pid)) - before
    answers = json.loads(done.stdout)
    answered = max(1, answers["answered"])
    latencies = answers["latencies"] or [float("inf")]
    return Run(
        rate=answered / answers["seconds"],
        cpu=spent / answered * 100_000,
        busy=answers["busy"],
        lost=answers["lost"],
        malformed=answers["malformed"],
        peers=answers["peers"] / answered,
        p50=latencies[len(latencies) // 2],
        p99=latencies[int(len(latencies) * 0.99)],
    )


def middle(runs: Sequence[Run]) -> Run:
    """The medians; losses are added up."""
    fields = {key: median([getattr(run, key) for run in runs]) for key in ("rate", "cpu", "busy", "peers")}
    fields |= {key: median([getattr(run, key) for run in runs]) for key in ("p50", "p99")}
    return Run(**fields, lost=sum(run.lost for run in runs), malformed=sum(run.malformed for run in runs))


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in children)]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", default="bittwist,opentracker,npm")
    parser.add_argument("--forms", default=",".join(FORMS))
    parser.add_argument("--npm-peers", type=int, default=PEERS, help="npm's tracker takes minutes to fill")
    return parser.parse_args()


def main() -> int:
    chosen = options()
    names = chosen.only.split(",")
    print(f"{machine()}; {TORRENTS} torrents, {PEERS} peers; medians of {chosen.runs}\n")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        work = Path(folder)
        work.chmod(0o755)  # opentracker reads its list as nobody
        kinds: dict[str, Ours | Theirs | Npm] = {
            "bittwist": Ours(work, 6970),
            "opentracker": Theirs(work, 6971),
            "npm": Npm(work, 6972),
        }
        trackers = {name: kinds[name] for name in names}
        programs: dict[str, Program] = {}
        try:
            for name, tracker in trackers.items():
                program = programs[name] = tracker.start()
                _pin(program.pid)
                empty = own_memory(program.pid)
                fill = Load("udp", tracker.port, 600.0, first=0, last=PEERS, processor=GENERATOR)
                filled = measure(program.pid, fill)
                held = own_memory(program.pid) - empty
                print(
                    f"{name}: filled at {filled.rate:.0f}/s, {filled.lost} lost; "
                    f"{held / MIB:.0f} MiB more, {held / PEERS:.0f} bytes a peer"
                )
            return report(trackers, programs, chosen)
        finally:
            for program in programs.values():
                program.stop()


def report(
    trackers: dict[str, Ours | Theirs | Npm], programs: dict[str, Program], chosen: argparse.Namespace
) -> int:
    rows = []
    wrong = 0
    for form in chosen.forms.split(","):
        taking = {name: tracker for name, tracker in trackers.items() if form in tracker.forms}
        runs: dict[str, list[Run]] = {name: [] for name in taking}
        for turn in range(chosen.runs):
            for name, tracker in taking.items():
                load = Load(form, tracker.port, chosen.seconds, seed=turn, processor=GENERATOR)
                runs[name].append(measure(programs[name].pid, load))
        medians = {name: middle(each) for name, each in runs.items()}
        half = medians["bittwist"].rate / 2 if "bittwist" in medians else 1000.0
        for name, tracker in taking.items():
            load = Load(form, tracker.port, chosen.seconds, seed=99, processor=GENERATOR, rate=half)
            calm = measure(programs[name].pid, load)
            run = replace(medians[name], p50=calm.p50, p99=calm.p99)
            wrong += run.malformed + (run.lost if name == "bittwist" else 0)
            base = medians["bittwist"].rate / run.rate if "bittwist" in medians else 1.0
            rows.append(_row(WORDS[form], name, run, base))
    header = ["form", "tracker", "announces/s", "ours ÷ it", "CPU s/100k", "p50 ms", "p99 ms", "peers"]
    header += ["lost", "malformed", "generator busy"]
    print("\n" + table(header, rows))
    return 1 if wrong else 0


def _row(form: str, name: str, run: Run, base: float) -> list[str]:
    figures = [
        f"{run.rate:.0f}",
        f"{base:.2f}",
        f"{run.cpu:.2f}",
        f"{run.p50 * 1e3:.2f}",
        f"{run.p99 * 1e3:.2f}",
    ]
    return [form, name, *figures, f"{run.peers:.1f}", str(run.lost), str(run.malformed), f"{run.busy:.0%}"]


def _pin(pid: int) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {SERVER})


if __name__ == "__main__":
    sys.exit(main())
