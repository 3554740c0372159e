"""What a transfer costs whoever does it: SHA-1, one write, one read, and one way through the loopback.

CPU seconds for each GiB, by Python calls of a mebibyte, so that Python itself hardly counts. No client that
hashes what it receives and copies it to files can take less than their sum on this machine.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from hashlib import sha1

from bench.measure import MIB, machine, median, table

RUNS = 3
ROUNDS = 1024  # of a mebibyte


def cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def spent(work: Callable[[memoryview], None]) -> float:
    view = memoryview(bytearray(MIB))
    before = cpu()
    work(view)
    return cpu() - before


def hashing(view: memoryview) -> None:
    for _ in range(ROUNDS):
        sha1(view, usedforsecurity=False).digest()


def writing(view: memoryview) -> None:
    with tempfile.TemporaryFile(dir="/dev/shm", buffering=0) as file:
        for number in range(ROUNDS):
            os.pwrite(file.fileno(), view, number * MIB)


def reading(view: memoryview) -> None:
    with tempfile.TemporaryFile(dir="/dev/shm", buffering=0) as file:
        os.pwrite(file.fileno(), view, 0)
        for _ in range(ROUNDS):
            os.preadv(file.fileno(), [view], 0)


def through_the_loopback(view: memoryview) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        child = os.fork()
        if not child:
            with socket.create_connection(listening.getsockname()) as taker:
                while taker.recv_into(view):
                    pass
            os._exit(0)
        giver, _ = listening.accept()
        with giver:
            for _ in range(ROUNDS):
                giver.sendall(view)
        os.waitpid(child, 0)


def main() -> None:
    parts = (hashing, writing, reading, through_the_loopback)
    costs = [median([spent(part) for _ in range(RUNS)]) for part in parts]
    rows = [(part.__name__.replace("_", " "), f"{cost:.2f}") for part, cost in zip(parts, costs)]
    print(f"{machine()}\n")
    print(table(("part", "CPU s/GiB"), [*rows, ("together", f"{sum(costs):.2f}")]))


if __name__ == "__main__":
    main()
