"""The announce of local service discovery, as text in a datagram (BEP 14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bittwist.errors import RemoteProtocolError

MAX_LENGTH = 1400  # bytes of a datagram that is sent, so that no link has to cut it up (BEP 14)
MAX_READ = 8192  # bytes of one that is read; 100 hashes take 5.3 KB
MAX_HASHES = 100  # read of one announce (SECURITY.md D11)
MAX_LINES = 200  # headers looked at: what a client of today sends, and room for what is to come
MAX_COOKIE = 64  # characters; those seen have 8 to 32


@dataclass(frozen=True, slots=True)
class LocalAnnounce:
    """A client on this network, listening on `port`, has these torrents (info hashes of 20 bytes)."""

    port: int
    info_hashes: tuple[bytes, ...]
    cookie: str | None = None


def encode(announce: LocalAnnounce, group: str) -> bytes:
    """The datagram to send to `group` (host and port as in a URL)."""
    lines = ["BT-SEARCH * HTTP/1.1", f"Host: {group}", f"Port: {announce.port}"]
    lines += [f"Infohash: {info_hash.hex()}" for info_hash in announce.info_hashes]
    if announce.cookie is not None:
        lines.append(f"cookie: {announce.cookie}")
    return "\r\n".join([*lines, "", "", ""]).encode("ascii")


def fitting(info_hashes: Sequence[bytes], group: str, cookie: str) -> int:
    """How many of these fit into one datagram."""
    around = len(encode(LocalAnnounce(65535, (), cookie), group))
    return min(len(info_hashes), (MAX_LENGTH - around) // len("Infohash: \r\n" + 40 * "0"))


def decode(datagram: bytes) -> LocalAnnounce:
    """Read an announce; info hashes that are none are skipped. RemoteProtocolError for anything else."""
    if len(datagram) > MAX_READ:
        raise RemoteProtocolError(f"a local announce of {len(datagram)} bytes")
    try:
        request, *headers = datagram.decode("ascii").split("\n", MAX_LINES)
    except UnicodeDecodeError as error:
        raise RemoteProtocolError("a local announce that is not ASCII") from error
    if not request.startswith("BT-SEARCH * HTTP/1."):
        raise RemoteProtocolError("not a local announce")
    port, cookie = 0, None
    info_hashes: dict[bytes, None] = {}
    for line in headers[: MAX_LINES - 1]:
        name, _, value = line.partition(":")
        value = value.strip()
        match name.strip().lower():
            case "port" if value.isdigit() and len(value) <= 5:
                port = int(value)
            case "cookie":
                cookie = value[:MAX_COOKIE]
            case "infohash" if len(info_hashes) < MAX_HASHES and len(value) == 40:
                try:
                    info_hashes[bytes.fromhex(value)] = None
                except ValueError:
                    continue
    if not 0 < port < 65536:
        raise RemoteProtocolError("a local announce without a port")
    return LocalAnnounce(port, tuple(info_hashes), cookie)
