"""What a transfer costs whoever does it: SHA-1, one write, one read, and one way through the loopback.

CPU seconds for each GiB, by Python calls of a mebibyte, so that Python itself hardly counts. No client that
hashes what it receives and copies it to files can take less than their sum on this machine. Then all of it at
once, a bare transfer: one process reads a file and sends it, the other receives, hashes and writes it in two
threads; no protocol, no choice, no peers. Its rate is what `bench.transfer` could show at best.
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha1
from queue import SimpleQueue
from threading import Thread

from bench.measure import MIB, machine, median, table

RUNS = 5
ROUNDS = 1024  # of a mebibyte
BUFFERS = 8  # mebibytes between receiving and writing


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


def reading(descriptor: int, view: memoryview) -> None:
    for number in range(ROUNDS):
        os.preadv(descriptor, [view], number * MIB)


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


def receive(taker: socket.socket) -> None:
    """Each mebibyte that comes is hashed and written by one of two threads."""
    free: SimpleQueue[memoryview] = SimpleQueue()
    come: SimpleQueue[tuple[int, memoryview] | None] = SimpleQueue()
    for _ in range(BUFFERS):
        free.put(memoryview(bytearray(MIB)))
    with tempfile.TemporaryFile(dir="/dev/shm", buffering=0) as file:

        def keep() -> None:
            while (job := come.get()) is not None:
                number, view = job
                sha1(view, usedforsecurity=False).digest()
                os.pwrite(file.fileno(), view, number * MIB)
                free.put(view)

        threads = [Thread(target=keep) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(ROUNDS):
            view = free.get()
            got = 0
            while got < MIB:
                got += taker.recv_into(view[got:])
            come.put((number, view))
        for _ in threads:
            come.put(None)
        for thread in threads:
            thread.join()
        taker.sendall(b".")


def bare_transfer(descriptor: int) -> tuple[float, float]:
    """MiB/s from the first byte sent to the last one written, and CPU seconds of both ends."""
    view = memoryview(bytearray(MIB))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        before = cpu()
        child = os.fork()
        if not child:
            with socket.create_connection(listening.getsockname()) as taker:
                receive(taker)
            os._exit(0)
        giver, _ = listening.accept()
        with giver:
            began = time.perf_counter()
            for number in range(ROUNDS):
                os.preadv(descriptor, [view], number * MIB)
                giver.sendall(view)
            giver.recv(1)
            seconds = time.perf_counter() - began
        os.waitpid(child, 0)
        return ROUNDS / seconds, cpu() - before


def main() -> None:
    with tempfile.TemporaryFile(dir="/dev/shm", buffering=0) as source:
        for _ in range(ROUNDS):
            source.write(os.urandom(MIB))
        parts: dict[str, Callable[[memoryview], None]] = {
            "hashing": hashing,
            "writing": writing,
            "reading": partial(reading, source.fileno()),
            "through the loopback": through_the_loopback,
        }
        costs = {name: median([spent(part) for _ in range(RUNS)]) for name, part in parts.items()}
        bare = [bare_transfer(source.fileno()) for _ in range(RUNS)]
    costs["together"] = sum(costs.values())
    costs["a bare transfer"] = median([cost for _, cost in bare])
    print(f"{machine()}; medians of {RUNS}\n")
    print(table(("part", "CPU s/GiB"), [(name, f"{cost:.2f}") for name, cost in costs.items()]))
    print(f"\nA bare transfer moves {median([rate for rate, _ in bare]):.0f} MiB/s.")


if __name__ == "__main__":
    main()
