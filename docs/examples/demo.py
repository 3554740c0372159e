"""A swarm on one machine: a tracker, a seed and two leeches, each a process of its own, over loopback.

`make demo` runs it on about 256 MiB of made-up files, `make demo SHARE=path` on yours. It shows how the
commands go together: `twistd bittwist-tracker`, then `bittwist create`, `seed` and `download`. At the end
every byte of both copies is compared. The exit code is 0 only if all is well; nothing is left running.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

MIB = 1 << 20
STARTED = 20.0  # seconds for a process to be ready
STALLED = 30.0  # seconds without a new byte before the demo gives up
GRACE = 8.0  # seconds that a process gets to say good-bye to the tracker
console = Console()


class DemoFailed(Exception):
    """What went wrong, in a sentence."""


@dataclass(slots=True)
class Peer:
    """A `bittwist seed` or `bittwist download`, and what it has said so far."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    done: int = 0
    total: int = 0
    rate: float = 0.0
    listening: threading.Event = field(default_factory=threading.Event)
    complete: threading.Event = field(default_factory=threading.Event)
    failure: str | None = None

    def listen(self) -> None:
        """Take in its events, a line of JSON each, until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            match event["event"]:
                case "listening":
                    self.listening.set()
                case "progress":
                    self.done, self.total = event["done"], event["total"]
                    self.rate = event["download_rate"]
                case "complete":
                    self.complete.set()
                case "failed":
                    self.failure = event["reason"]

    def check(self) -> None:
        """Raise if it has failed, or ended before its time."""
        if self.failure is not None or self.process.poll() is not None:
            why = self.failure or self.log.read_text().strip() or f"it ended with {self.process.returncode}"
            raise DemoFailed(f"the {self.name}: {why}")


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that is asked to end when the block does, and made to if it does not."""
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def bittwist(*words: str) -> list[str]:
    return [sys.executable, "-m", "bittwist", *words]


@contextmanager
def peer(name: str, command: Sequence[str], folder: Path) -> Iterator[Peer]:
    log = folder / f"{name}.log"
    with running(command, log) as process:
        started = Peer(name, process, log)
        listener = threading.Thread(target=started.listen, daemon=True)
        listener.start()
        yield started
    listener.join(GRACE)


def wait(event: threading.Event, of: Peer) -> None:
    deadline = time.monotonic() + STARTED
    while not event.wait(0.05):
        of.check()
        if time.monotonic() > deadline:
            raise DemoFailed(f"the {of.name} was not ready within {STARTED:g} s")


def make_files(folder: Path) -> Path:
    """About 256 MiB: two large files, some middling, many small, some empty, in several alphabets."""
    source = random.Random(2026)
    root = folder / "mixed files"
    sizes = [
        128 * MIB,
        64 * MIB,
        *[7 * MIB + 321] * 8,
        *[source.randrange(60_000) for _ in range(180)],
        *[0] * 5,
    ]
    names = ("notes", "Überblick", "写真", "музыка", "a b c")
    for number, size in enumerate(sizes):
        path = root.joinpath(*names[: number % 3], f"{names[number % len(names)]}-{number:03}.bin")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for start in range(0, size, 4 * MIB):
                file.write(source.randbytes(min(4 * MIB, size - start)))
    return root


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def tracker(folder: Path) -> Iterator[str]:
    """A real tracker under `twistd`; its announce URL."""
    port = free_port()
    twistd = [str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile="]
    endpoint = f"tcp:{port}:interface=127.0.0.1"
    with running([*twistd, "bittwist-tracker", "--http", endpoint], folder / "tracker.log") as process:
        deadline = time.monotonic() + STARTED
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    said = (folder / "tracker.log").read_text().strip()
                    raise DemoFailed(f"the tracker did not start: {said}") from None
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/announce"


def show(leeches: Sequence[Peer], seed: Peer, total: int) -> float:
    """Show the progress until all leeches are complete; the seconds that it took."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    started = moved_at = time.monotonic()
    before, said_at = 0, 0.0
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars: list[TaskID] = [progress.add_task(leech.name, total=total) for leech in leeches]
        while not all(leech.complete.is_set() for leech in leeches):
            time.sleep(0.05)
            now = time.monotonic()
            for each in (seed, *leeches):
                each.check()
            for leech, bar in zip(leeches, bars):
                progress.update(bar, completed=leech.done)
            done = sum(leech.done for leech in leeches)
            if done > before:
                before, moved_at = done, now
            if now - moved_at > STALLED:
                raise DemoFailed(f"nothing arrived for {STALLED:g} s")
            if not console.is_terminal and now - said_at > 1:
                said_at = now
                shares = ", ".join(f"{each.name} {100 * each.done / total:.0f} %" for each in leeches)
                print(f"  {shares}", flush=True)
        for bar in bars:
            progress.update(bar, completed=total)
    return time.monotonic() - started


def files_under(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {path.name: path}
    return {str(file.relative_to(path)): file for file in path.rglob("*") if file.is_file()}


def compare(original: Path, copy: Path) -> None:
    """Raise unless both have the same files with the same bytes."""
    wanted, found = files_under(original), files_under(copy)
    if wanted.keys() != found.keys():
        raise DemoFailed(f"{copy} has other files: {sorted(wanted.keys() ^ found.keys())[:3]}")
    for name, path in wanted.items():
        with path.open("rb") as left, found[name].open("rb") as right:
            while block := left.read(4 * MIB):
                if block != right.read(4 * MIB):
                    raise DemoFailed(f"{found[name]} differs from the original")
            if right.read(1):
                raise DemoFailed(f"{found[name]} is longer than the original")


def demo(content: Path, folder: Path) -> None:
    """The swarm; DemoFailed when anything is not as it should be."""
    total = sum(file.stat().st_size for file in files_under(content).values())
    torrent = folder / "demo.torrent"
    targets = [folder / f"leech-{number}" for number in (1, 2)]
    with ExitStack() as stack:
        announce = stack.enter_context(tracker(folder))
        print(f"tracker   {announce}")
        create = bittwist("create", str(content), "-o", str(torrent), "--tracker", announce, "--json")
        made = subprocess.run(create, capture_output=True, text=True, check=False)
        if made.returncode:
            raise DemoFailed(f"create: {made.stderr.strip()}")
        facts = json.loads(made.stdout)
        print(f"torrent   {facts['info_hash_v1']}, {len(facts['files'])} files, {total / MIB:.1f} MiB")
        seeding = bittwist("seed", str(torrent), str(content), "--bind", "127.0.0.2", "--json")
        seed = stack.enter_context(peer("seed", seeding, folder))
        wait(seed.complete, seed)
        print("seed      checked, listening and announced; two leeches start")
        leeches = []
        for number, target in enumerate(targets):
            where = ("-o", str(target), "--bind", f"127.0.0.{3 + number}", "--seed", "--json")
            command = bittwist("download", str(torrent), *where)
            leeches.append(stack.enter_context(peer(f"leech-{number + 1}", command, folder)))
        for leech in leeches:
            wait(leech.listening, leech)
        seconds = show(leeches, seed, total)
    for target in targets:
        compare(content, target / content.name)
    rate = 2 * total / MIB / seconds
    print(f"rate      2 × {total / MIB:.1f} MiB in {seconds:.1f} s: {rate:.0f} MiB/s together")
    print("verdict   every byte of both copies is the same as the original's")


def main(arguments: Sequence[str]) -> int:
    if len(arguments) > 1 or (arguments and not Path(arguments[0]).exists()):
        print("usage: demo.py [PATH], and PATH has to be there", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the swarm is stopped then, too
    os.environ["PYTHONUNBUFFERED"] = "1"
    try:
        with tempfile.TemporaryDirectory(prefix="bittwist-demo-") as name:
            folder = Path(name)
            demo(Path(arguments[0]).absolute() if arguments else make_files(folder), folder)
    except DemoFailed as failure:
        print(f"verdict   FAILED: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("verdict   interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
