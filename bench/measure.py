"""CPU seconds, memory and bytes on disk of other processes, as the kernel counts them."""

import os
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1 << 20
GIB = 1 << 30
TICKS = os.sysconf("SC_CLK_TCK")
BLOCK = 512  # the unit of st_blocks
SAMPLE = 0.005  # seconds between looks at a growing file


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, of all its threads and of the children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(value) for value in fields[11:15]) / TICKS


def peak_memory(pid: int) -> int:
    """The most bytes that were resident at once, mapped files included."""
    return _status(pid, "VmHWM")


def own_memory(pid: int) -> int:
    """The bytes resident now that are the process's own: without mapped files."""
    return _status(pid, "RssAnon")


def _status(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    raise KeyError(key)


def allocated(path: Path) -> int:
    """The bytes that the files under `path` take up: what has arrived, where files are sparse."""
    try:
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        return sum(file.stat().st_blocks * BLOCK for file in files)
    except FileNotFoundError:  # a file was renamed between the listing and the look
        return 0


@dataclass(slots=True)
class Growth:
    """Samples of how many bytes have arrived, taken by a thread, whichever client writes them."""

    measure: Callable[[], int]
    times: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> "Growth":
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        assert self._thread is not None
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(SAMPLE):
            self.times.append(time.monotonic())
            self.sizes.append(self.measure())

    def rate(self, total: int, low: float = 0.1, high: float = 0.9) -> float:
        """Bytes a second between the samples at which `low` and `high` of `total` bytes had arrived."""
        first = next(i for i, size in enumerate(self.sizes) if size >= low * total)
        last = next(i for i, size in enumerate(self.sizes) if size >= high * total)
        seconds = self.times[last] - self.times[first]
        return (self.sizes[last] - self.sizes[first]) / max(seconds, SAMPLE)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns lined up."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
        for row in (header, *rows)
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def machine() -> str:
    """What the figures were measured on, in a line."""
    kernel = os.uname().release
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "unknown processor",
    )
    return f"{os.cpu_count()} × {model}, Linux {kernel}"
