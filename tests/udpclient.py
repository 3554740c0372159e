"""A blocking client of UDP trackers, made of the client's half of `announce.udp`."""

from __future__ import annotations

import socket
from dataclasses import replace

from bittwist.address import Address
from bittwist.announce.udp import (
    Announce,
    Announced,
    Connect,
    Connected,
    Reply,
    Request,
    Scrape,
    Scraped,
    decode_reply,
    encode_request,
)
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, ScrapeEntry

PATIENCE = 5.0  # seconds for an answer over loopback


class UdpClient:
    """One socket, connected to one tracker."""

    def __init__(self, tracker: Address) -> None:
        self.six = tracker.is_ipv6
        self.socket = socket.socket(socket.AF_INET6 if self.six else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.connect((tracker.host, tracker.port))
        self.connection_id = b""
        self._transactions = 0

    def ask(self, packet: Request) -> Reply:
        self._transactions += 1
        packet = replace(packet, transaction=self._transactions.to_bytes(4, "big"))
        self.socket.send(encode_request(packet))
        reply = decode_reply(self.socket.recv(4096), ipv6=self.six)
        assert reply.transaction == packet.transaction
        return reply

    def connect(self) -> None:
        reply = self.ask(Connect(b""))
        assert isinstance(reply, Connected), reply
        self.connection_id = reply.connection_id

    def announce(self, request: AnnounceRequest, url: bytes = b"") -> AnnounceResponse:
        reply = self.ask(Announce(self.connection_id, b"", request, url))
        assert isinstance(reply, Announced), reply
        return reply.response

    def scrape(self, *info_hashes: bytes) -> tuple[ScrapeEntry, ...]:
        reply = self.ask(Scrape(self.connection_id, b"", info_hashes))
        assert isinstance(reply, Scraped), reply
        return reply.entries

    def close(self) -> None:
        self.socket.close()
