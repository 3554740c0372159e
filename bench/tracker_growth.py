"""Memory a peer and time an announce, as a tracker's store grows from 10k to 5M peers.

In 10 swarms and in 10,000. Peers announce from addresses of their own. At each size 20,000 of them announce
again, in random order: that is what an announce costs, with 50 peers wanted and with none. 10,000 peers in
10,000 swarms have nobody to be told of, so there only the announces that want nobody compare. "Longest" is
the longest of all announces that made it grow to this size, and of the steps of a sweep and of a snapshot:
nothing else waits longer for the store. Times are of the processor, so that other programs do not count.

    python -m bench.tracker_growth [--most PEERS]
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import time
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha1
from random import Random

from bench.measure import machine, median, own_memory, table
from bittwist.address import Address
from bittwist.announce.values import AnnounceRequest
from bittwist.tracker import TrackerSettings
from bittwist.tracker.swarms import Swarms

SIZES = (10_000, 100_000, 1_000_000, 5_000_000)
SWARMS = (10, 10_000)
SAMPLES = 20_000  # announces that are timed at each size
ROUNDS = 5
SPREAD = 2_654_435_761  # odd, so that multiplying by it modulo 2**32 gives every peer another address
SETTINGS = TrackerSettings(max_peers=max(SIZES))


def peer(number: int, info_hashes: list[bytes]) -> AnnounceRequest:
    """The announce of one peer: a tenth of them seeds."""
    address = Address.unpack((number * SPREAD % 2**32).to_bytes(4, "big") + b"\x1a\xe1")
    peer_id = b"-BT0001-" + number.to_bytes(12, "big")
    left = 1 if number // len(info_hashes) % 10 else 0
    info_hash = info_hashes[number % len(info_hashes)]
    return AnnounceRequest(info_hash, peer_id, 6881, left=left, numwant=50, address=address)


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
    gc.collect()
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
        again = [peer(number, info_hashes) for number in Random(2).choices(range(size), k=SAMPLES)]
        each = median([time_of(store, again) for _ in range(ROUNDS)])
        silent = [replace(request, numwant=0) for request in again]
        noted = median([time_of(store, silent) for _ in range(ROUNDS)])
        steps = max(longest_step(store.sweep()), longest_step(store.portions()))
        told = store.announce(again[0])
        del again, silent
        rows.append(
            [
                f"{count:,}",
                f"{size:,}",
                f"{memory:.0f}",
                f"{each * 1e6:.1f}",
                f"{len(told.peers4) // 6}",
                f"{noted * 1e6:.1f}",
                f"{longest * 1e3:.1f}",
                f"{steps * 1e3:.1f}",
            ]
        )
    return rows


def time_of(store: Swarms, requests: list[AnnounceRequest]) -> float:
    """Seconds of processor time an announce."""
    began = time.process_time()
    for request in requests:
        store.announce(request)
    return (time.process_time() - began) / len(requests)


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
