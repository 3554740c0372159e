"""Memory a peer and time an announce, as a tracker's store grows from 10k to 5M peers.

In 10 swarms and in 10,000. Peers announce from addresses of their own. At each size 20,000 of them announce
again, in random order: that is what an announce costs, from the making of the request to the reply that a
front gets, with 50 peers wanted and with none. 10,000 peers in 10,000 swarms have nobody to be told of, so
there only the announces that want nobody compare. "Longest" is the longest of all announces that made the
store grow to this size, and of the steps of a sweep and of a snapshot: nothing else waits longer for it.
Times are of the processor, so that other programs do not count.

    python -m bench.tracker_growth [--most PEERS]
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import time
from collections.abc import Iterable
from hashlib import sha1
from random import Random

from twisted.internet.task import Clock

from bench.measure import machine, median, own_memory, table
from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest
from bittwist.tracker import Arrival, Front, ISwarmStore, Tracker, TrackerSettings
from bittwist.tracker.swarms import Swarms

SIZES = (10_000, 100_000, 1_000_000, 5_000_000)
SWARMS = (10, 10_000)
WANTED = 50  # peers
SAMPLES = 20_000  # announces that are timed at each size
ROUNDS = 5
SPREAD = 2_654_435_761  # odd, so that multiplying by it modulo 2**32 gives every peer another address
SETTINGS = TrackerSettings(max_peers=max(SIZES))
ARRIVAL = Arrival(Front.UDP, "192.0.2.1")


def peer(number: int, info_hashes: list[bytes], wanted: int = WANTED) -> AnnounceRequest:
    """The announce of one peer: a tenth of them seeds."""
    address = Address.unpack((number * SPREAD % 2**32).to_bytes(4, "big") + b"\x1a\xe1")
    peer_id = b"-BT0001-" + number.to_bytes(12, "big")
    left = 1 if number // len(info_hashes) % 10 else 0
    info_hash = info_hashes[number % len(info_hashes)]
    return AnnounceRequest(info_hash, peer_id, 6881, left=left, numwant=wanted, address=address)


def longest_step(steps: Iterable[object]) -> float:
    """The longest of these steps, in seconds."""
    longest, began = 0.0, time.process_time()
    for _ in steps:
        now = time.process_time()
        longest, began = max(longest, now - began), now
    return max(longest, time.process_time() - began)


def grow(count: int, sizes: list[int]) -> list[list[str]]:
    """A row for each size, in so many swarms."""
    rows = []
    info_hashes = [sha1(number.to_bytes(4, "big")).digest() for number in range(count)]
    store = Swarms(time.monotonic, Random(1), SETTINGS)
    tracker = Tracker(Clock(), SETTINGS, store=ISwarmStore(store))
    gc.collect()
    gc.freeze()  # what was imported is not of the store, and would be most of what a collection looks at
    empty = own_memory(os.getpid())
    known = 0
    for size in sizes:
        longest = 0.0
        for number in range(known, size):
            request = peer(number, info_hashes)
            began = time.process_time()
            store.announce(request)
            longest = max(longest, time.process_time() - began)
        known = size
        gc.collect()
        memory = (own_memory(os.getpid()) - empty) / size
        steps = max(longest_step(store.sweep()), longest_step(store.portions()))
        numbers = Random(2).choices(range(size), k=SAMPLES)
        full, silent = (
            median([time_of(tracker, numbers, info_hashes, wanted) for _ in range(ROUNDS)])
            for wanted in (WANTED, 0)
        )
        told = store.announce(peer(0, info_hashes))
        rows.append(
            [
                f"{count:,}",
                f"{size:,}",
                f"{memory:.0f}",
                f"{full * 1e6:.1f}",
                f"{len(told.peers4) // 6}",
                f"{silent * 1e6:.1f}",
                f"{longest * 1e3:.1f}",
                f"{steps * 1e3:.1f}",
            ]
        )
    return rows


def time_of(tracker: Tracker, numbers: list[int], info_hashes: list[bytes], wanted: int) -> float:
    """Seconds of processor time an announce."""
    began = time.process_time()
    for number in numbers:
        tracker.announce(peer(number, info_hashes, wanted), ARRIVAL)
    return (time.process_time() - began) / len(numbers)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most", type=int, default=max(SIZES), help="the biggest size; 5M take half a GiB")
    most = parser.parse_args().most
    sizes = [size for size in SIZES if size <= most]
    rows: list[list[str]] = []
    for count in SWARMS:
        # In a process of its own, so that one run's memory is not the other's.
        with multiprocessing.get_context("spawn").Pool(1) as fresh:
            rows += fresh.apply(grow, (count, sizes))
    header = ["swarms", "peers", "bytes a peer", "µs, 50 wanted", "told of", "µs, none wanted"]
    header += ["longest, ms", "longest step, ms"]
    print(f"{machine()}\n\n{table(header, rows)}")


if __name__ == "__main__":
    main()
