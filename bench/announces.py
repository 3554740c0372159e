"""A load of announces on one tracker: the generator of bench.tracker, a process of its own.

`python -m bench.announces JSON` prints a JSON object: how many were answered, in which time, and their
latencies. Peers come from 250 addresses of 127/8, so that limits per address see what they see in the world.
Every reply is checked for its form; one in a hundred is decoded whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from random import Random
from urllib.parse import quote

from bittwist.announce.http import decode_announce_response
from bittwist.errors import BitTwistError

TORRENTS = 10_000
PEERS = 200_000
ADDRESSES = 250
NUMWANT = 50
PATIENCE = 2.0  # seconds until an announce counts as lost
PROTOCOL_ID = 0x41727101980
BIND_ADDRESS_NO_PORT = 24  # IP_BIND_ADDRESS_NO_PORT: the port is chosen on connect, per destination


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: `rate` a second in an open loop, or (0) as fast as `outstanding` at a time go."""

    form: str  # http, http-keepalive, udp, udp-connect
    port: int
    seconds: float
    seed: int = 1
    outstanding: int = 64
    rate: float = 0.0
    first: int = 0  # with `last`: announce these peers once each, instead of chance
    last: int = 0
    processor: int | None = None


@dataclass(slots=True)
class Answers:
    """What came back. `busy` is the share of the time that the generator itself was working."""

    answered: int = 0
    lost: int = 0
    malformed: int = 0
    peers: int = 0
    seconds: float = 0.0
    busy: float = 0.0
    latencies: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Peer:
    """One of the 200,000: twenty in each torrent, a quarter of them seeds, none twice."""

    number: int

    @property
    def info_hash(self) -> bytes:
        return INFO_HASHES[self.number % TORRENTS]

    @property
    def host(self) -> str:
        return f"127.9.0.{1 + (self.number // TORRENTS + self.number) % ADDRESSES}"

    @property
    def port(self) -> int:
        return 1024 + self.number // ADDRESSES

    @property
    def left(self) -> int:
        return 0 if self.number // TORRENTS % 4 == 0 else 1 << 20

    @property
    def peer_id(self) -> bytes:
        return b"-BW0001-%012d" % self.number


INFO_HASHES = [hashlib.sha1(b"bench %d" % torrent).digest() for torrent in range(TORRENTS)]
QUOTED = [quote(info_hash, safe="") for info_hash in INFO_HASHES]


def peers(load: Load) -> Iterator[Peer]:
    if load.last:
        yield from map(Peer, range(load.first, load.last))
        return
    random = Random(load.seed)
    while True:
        yield Peer(int(random.random() * PEERS))


# HTTP


def http_request(peer: Peer, keep: bool) -> bytes:
    # As clients write it, with the headers of a real one.
    close = "" if keep else "Connection: close\r\n"
    return (
        f"GET /announce?info_hash={QUOTED[peer.number % TORRENTS]}&peer_id={peer.peer_id.decode()}"
        f"&port={peer.port}&uploaded=0&downloaded=0&left={peer.left}&corrupt=0&key=0BADCAFE"
        f"&numwant={NUMWANT}&compact=1&no_peer_id=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"User-Agent: bench/1\r\nAccept-Encoding: gzip\r\n{close}\r\n"
    ).encode()


class HttpSlots:
    """A slot has one announce under way; each on a connection of its own, unless they are kept."""

    def __init__(self, load: Load, answers: Answers) -> None:
        self._load = load
        self._answers = answers
        self._keep = load.form == "http-keepalive"
        self._epoll = select.epoll()
        self._open: dict[int, tuple[socket.socket, str, float, bytearray]] = {}
        self._kept: dict[str, list[socket.socket]] = {}  # by the address they come from

    @property
    def outstanding(self) -> int:
        return len(self._open)

    def send(self, peer: Peer, now: float) -> None:
        request = http_request(peer, self._keep)
        kept = self._kept.setdefault(peer.host, [])
        if kept:
            connection = kept.pop()
        else:
            connection = socket.socket()
            connection.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
            connection.bind((peer.host, 0))
            connection.connect(("127.0.0.1", self._load.port))  # over loopback it is done when this returns
            connection.setblocking(False)
            self._epoll.register(connection, select.EPOLLIN)
        connection.send(request)
        self._open[connection.fileno()] = (connection, peer.host, now, bytearray())

    def receive(self, timeout: float) -> None:
        for number, _ in self._epoll.poll(timeout):
            held = self._open.get(number)
            if held is None:  # a kept connection that the server closed
                continue
            connection, host, began, received = held
            try:
                part = connection.recv(65536)
            except ConnectionError:
                part = b""
            received += part
            head, blank, body = received.partition(b"\r\n\r\n")
            length = _length(head) if blank else None
            if part and (length is None or len(body) < length):
                continue
            del self._open[number]
            whole = bool(blank) and (length is None or len(body) == length) and head.startswith(b"HTTP/1.")
            self._note(bytes(body) if whole else b"", began)
            if self._keep and whole and part:
                self._kept[host].append(connection)
            else:
                connection.close()

    def give_up(self, before: float) -> None:
        for number, (connection, _, began, _) in list(self._open.items()):
            if began < before:
                connection.close()
                del self._open[number]
                self._answers.lost += 1

    def _note(self, body: bytes, began: float) -> None:
        answers = self._answers
        place = body.find(b"5:peers")
        count = 0
        if not body.startswith(b"d") or not body.endswith(b"e") or place < 0:
            answers.malformed += 1
            return
        digits, _, _ = body[place + 7 : place + 12].partition(b":")
        count = int(digits)
        if count % 6 or (answers.answered % 100 == 0 and not _decodes(body, count // 6)):
            answers.malformed += 1
            return
        answers.answered += 1
        answers.peers += count // 6
        answers.latencies.append(time.perf_counter() - began)


def _length(head: bytes | bytearray) -> int | None:
    place = head.lower().find(b"content-length:")
    return None if place < 0 else int(head[place + 15 :].split(b"\r\n", 1)[0])


def _decodes(body: bytes, count: int) -> bool:
    try:
        return len(decode_announce_response(body).peers) == count
    except BitTwistError:
        return False


# UDP (BEP 15)

_CONNECT = struct.Struct(">QII")
_ANNOUNCE = struct.Struct(">QII20s20sQQQIIIiH")
_HEAD = struct.Struct(">II")


class UdpSlots:
    """One socket for each source address; transaction ids tell replies apart."""

    def __init__(self, load: Load, answers: Answers) -> None:
        self._load = load
        self._answers = answers
        self._connect_each = load.form == "udp-connect"
        self._epoll = select.epoll()
        self._sockets: dict[str, socket.socket] = {}
        self._by_number: dict[int, tuple[socket.socket, str]] = {}
        self._ids: dict[str, int] = {}
        self._open: dict[int, tuple[Peer, float]] = {}
        self._next = 0

    @property
    def outstanding(self) -> int:
        return len(self._open)

    def send(self, peer: Peer, now: float) -> None:
        self._next = (self._next + 1) & 0xFFFFFFFF
        self._open[self._next] = (peer, now)
        connection = self._sockets.get(peer.host) or self._socket(peer.host)
        connection_id = None if self._connect_each else self._ids.get(peer.host)
        if connection_id is None:
            _try_send(connection, _CONNECT.pack(PROTOCOL_ID, 0, self._next))
        else:
            self._announce(connection, connection_id, self._next, peer)

    def receive(self, timeout: float) -> None:
        for number, _ in self._epoll.poll(timeout):
            connection, host = self._by_number[number]
            while True:
                try:
                    reply = connection.recv(2048)
                except BlockingIOError:
                    break
                except ConnectionError:
                    continue
                self._received(connection, host, reply)

    def give_up(self, before: float) -> None:
        for transaction, (_, began) in list(self._open.items()):
            if began < before:
                del self._open[transaction]
                self._answers.lost += 1

    def _received(self, connection: socket.socket, host: str, reply: bytes) -> None:
        answers = self._answers
        action, transaction = _HEAD.unpack_from(reply) if len(reply) >= 8 else (99, 0)
        held = self._open.get(transaction)
        if held is None:
            return
        peer, began = held
        if action == 0 and len(reply) == 16:
            self._ids[host] = connection_id = int.from_bytes(reply[8:], "big")
            self._announce(connection, connection_id, transaction, peer)
            return
        del self._open[transaction]
        if action != 1 or len(reply) < 20 or (len(reply) - 20) % 6:
            answers.malformed += 1
            return
        answers.answered += 1
        answers.peers += (len(reply) - 20) // 6
        answers.latencies.append(time.perf_counter() - began)

    def _announce(self, connection: socket.socket, connection_id: int, transaction: int, peer: Peer) -> None:
        head = (connection_id, 1, transaction, peer.info_hash, peer.peer_id)
        announce = _ANNOUNCE.pack(*head, 0, peer.left, 0, 0, 0, 0, NUMWANT, peer.port)
        _try_send(connection, announce)

    def _socket(self, host: str) -> socket.socket:
        connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        connection.bind((host, 0))
        connection.connect(("127.0.0.1", self._load.port))
        connection.setblocking(False)
        self._epoll.register(connection, select.EPOLLIN)
        self._sockets[host] = connection
        self._by_number[connection.fileno()] = (connection, host)
        return connection


def _try_send(connection: socket.socket, packet: bytes) -> None:
    try:
        connection.send(packet)
    except OSError as error:  # it counts as lost after a while
        if error.errno not in (errno.EAGAIN, errno.ECONNREFUSED, errno.ENOBUFS):
            raise


def run(load: Load, clock: Callable[[], float] = time.perf_counter) -> Answers:
    """Send the load; answers that come within PATIENCE of its end count as well."""
    if load.processor is not None:
        os.sched_setaffinity(0, {load.processor})
    answers = Answers()
    slots = HttpSlots(load, answers) if load.form.startswith("http") else UdpSlots(load, answers)
    chosen = peers(load)
    began, spent = clock(), time.process_time()
    end = began + load.seconds
    sent = 0
    last_look = began
    done = False
    while not done:
        now = clock()
        if load.rate:  # an open loop does not wait for answers
            due = int((now - began) * load.rate) - sent
        else:
            due = load.outstanding - slots.outstanding
        for _ in range(due):
            peer = next(chosen, None)
            if peer is None or now >= end:
                done = True
                break
            slots.send(peer, began + sent / load.rate if load.rate else clock())
            sent += 1
        slots.receive(0.0005 if load.rate else 0.01)
        if now - last_look > 0.5:
            last_look = now
            slots.give_up(now - PATIENCE)
    answers.seconds = clock() - began
    answers.busy = (time.process_time() - spent) / answers.seconds
    deadline = clock() + PATIENCE
    while slots.outstanding and clock() < deadline:
        slots.receive(0.05)
    slots.give_up(clock())
    return answers


def main() -> None:
    answers = run(Load(**json.loads(sys.argv[1])))
    answers.latencies.sort()
    if len(answers.latencies) > 1000:  # percentiles need no more
        answers.latencies = answers.latencies[:: len(answers.latencies) // 1000]
    print(json.dumps(asdict(answers)))


if __name__ == "__main__":
    main()
