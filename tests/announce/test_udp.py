"""Announces and scrapes over UDP, both ways (BEP 15, 41, 21)."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from struct import pack, unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.address import Address
from bittwist.announce.udp import (
    ANNOUNCE_SIZE,
    MAGIC,
    MAX_SCRAPE,
    Announce,
    Announced,
    Connect,
    Connected,
    Refused,
    Reply,
    Request,
    Scrape,
    Scraped,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    read_announce,
    read_url,
)
from bittwist.announce.values import AnnounceRequest, AnnounceResponse, Event, ScrapeEntry
from bittwist.errors import LocalProtocolError, RemoteProtocolError, TrackerFailure
from tests.scale import SEED, runs

ASKED = AnnounceRequest(b"h" * 20, b"p" * 20, 6881, uploaded=1, downloaded=2, left=3)
PLAIN = Announce(b"connecti", b"tran", ASKED)

transactions = st.binary(min_size=4, max_size=4)
connection_ids = st.binary(min_size=8, max_size=8).filter(lambda found: found != MAGIC)
hashes = st.binary(min_size=20, max_size=20)
numbers64 = st.integers(0, 2**64 - 1)
counts = st.integers(0, 2**32 - 1)
ports = st.integers(1, 65535)
ip4 = st.ip_addresses(v=4).map(str).filter(lambda text: text != "0.0.0.0")

announces = st.builds(
    AnnounceRequest,
    info_hash=hashes,
    peer_id=hashes,
    port=ports,
    uploaded=numbers64,
    downloaded=numbers64,
    left=numbers64,
    event=st.sampled_from(Event),
    numwant=st.none() | st.integers(0, 2**31 - 1),
    key=st.none() | st.binary(min_size=4, max_size=4).filter(any),
    ip=st.none() | ip4,
)
requests: st.SearchStrategy[Request] = st.one_of(
    st.builds(Connect, transactions),
    st.builds(Announce, connection_ids, transactions, announces, st.binary(max_size=700)),
    st.builds(Scrape, connection_ids, transactions, st.lists(hashes, min_size=1, max_size=80).map(tuple)),
)


def replies(hosts: st.SearchStrategy[str]) -> st.SearchStrategy[Reply]:
    responses = st.builds(
        AnnounceResponse,
        interval=st.integers(-(2**31) + 1, 2**31 - 1),
        complete=counts,
        incomplete=counts,
        peers=st.lists(st.builds(Address, hosts, ports), max_size=80).map(tuple),
    )
    entries = st.builds(ScrapeEntry, counts, counts, counts)
    words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=300)
    return st.one_of(
        st.builds(Connected, transactions, st.binary(min_size=8, max_size=8)),
        st.builds(Announced, transactions, responses),
        st.builds(Scraped, transactions, st.lists(entries, max_size=80).map(tuple)),
        st.builds(Refused, transactions, words),
    )


six = st.ip_addresses(v=6).map(str).map(lambda text: Address(text, 1).host).filter(lambda text: ":" in text)


@given(requests)
def test_requests_are_read_as_they_were_written(packet: Request) -> None:
    assert decode_request(encode_request(packet)) == packet


@given(replies(ip4))
def test_replies_by_ipv4_are_read_as_they_were_written(packet: Reply) -> None:
    assert decode_reply(encode_reply(packet)) == packet


@given(replies(six))
def test_replies_by_ipv6_are_read_as_they_were_written(packet: Reply) -> None:
    assert decode_reply(encode_reply(packet, ipv6=True), ipv6=True) == packet


@given(st.binary(max_size=200), st.sampled_from([b"", MAGIC]), st.integers(0, 4), st.booleans())
def test_any_bytes_are_a_packet_or_our_error(tail: bytes, start: bytes, action: int, ipv6: bool) -> None:
    for datagram in (tail, start + pack(">I", action) + tail, bytes(8) + pack(">I", action) + tail):
        for decode in (decode_request, decode_reply):
            try:
                decode(datagram, ipv6=ipv6)
            except (RemoteProtocolError, TrackerFailure):
                pass


def test_mutated_packets_are_a_packet_or_our_error() -> None:
    random = Random(SEED)
    seeds = [
        encode_request(replace(PLAIN, url=b"/announce?x=" + bytes(300))),
        encode_request(Scrape(b"connecti", b"tran", (b"h" * 20,) * 3)),
        encode_request(Connect(b"tran")),
        encode_reply(Announced(b"tran", AnnounceResponse(peers=(Address("192.0.2.1", 1),) * 3))),
        encode_reply(Refused(b"tran", "no")),
        encode_reply(Scraped(b"tran", (ScrapeEntry(1, 2, 3),) * 2)),
    ]
    for _ in range(runs(10_000, 1_000_000)):
        datagram = bytearray(random.choice(seeds))
        for _ in range(random.randrange(4)):
            datagram[random.randrange(len(datagram))] = random.randrange(256)
        del datagram[random.randrange(len(datagram) + 1) :]
        for decode in (decode_request, decode_reply):
            try:
                decode(bytes(datagram), ipv6=random.random() < 0.5)
            except (RemoteProtocolError, TrackerFailure):
                pass


@pytest.mark.parametrize(
    "packet", [Connect(b"tran"), PLAIN, Scrape(b"connecti", b"tran", (b"h" * 20, b"i" * 20))]
)
def test_a_request_that_is_cut_off_is_refused(packet: Request) -> None:
    whole = encode_request(packet)
    least = 36 if isinstance(packet, Scrape) else len(whole)
    for length in range(least):
        with pytest.raises((RemoteProtocolError, TrackerFailure)):
            decode_request(whole[:length])


def test_packets_may_be_longer_than_they_are_today() -> None:
    # "Do not expect packets to be exactly of a certain size" (BEP 15)
    assert decode_request(encode_request(Connect(b"tran")) + b"more") == Connect(b"tran")
    scrape = Scrape(b"connecti", b"tran", (b"h" * 20,))
    assert decode_request(encode_request(scrape) + b"more") == scrape
    for packet in (Connected(b"tran", b"connecti"), Scraped(b"tran", (ScrapeEntry(1, 2, 3),))):
        assert decode_reply(encode_reply(packet) + b"more") == packet
    announced = Announced(b"tran", AnnounceResponse(1, None, 2, 3, peers=(Address("192.0.2.1", 80),)))
    assert decode_reply(encode_reply(announced) + b"more") == announced


def test_the_layout_is_that_of_bep_15() -> None:
    assert encode_request(Connect(b"\x12\x34\x56\x78")).hex() == "00000417271019800000000012345678"
    asked = replace(ASKED, event=Event.STARTED, numwant=50, key=b"\0\0\xca\xfe", ip="192.0.2.7")
    fields = unpack(">8sI4s20s20sQQQIIIiH", encode_request(replace(PLAIN, request=asked)))
    assert fields == (
        *(b"connecti", 1, b"tran", b"h" * 20, b"p" * 20),
        *(2, 3, 1, 2, 0xC0000207, 0xCAFE, 50, 6881),  # downloaded, left, uploaded, event, ip, key, ...
    )
    reply = encode_reply(
        Announced(
            b"tran", AnnounceResponse(1800, complete=3, incomplete=2, peers=(Address("127.0.0.1", 80),))
        )
    )
    assert reply == pack(">I4sIII", 1, b"tran", 1800, 2, 3) + b"\x7f\0\0\x01\0\x50"  # leeches before seeds
    sizes = encode_reply(Scraped(b"tran", (ScrapeEntry(complete=3, downloaded=10, incomplete=2),)))
    assert sizes == pack(">I4sIII", 2, b"tran", 3, 10, 2)
    assert encode_reply(Refused(b"tran", "no")) == pack(">I4s2s", 3, b"tran", b"no")


@pytest.mark.parametrize(
    ("number", "event"),
    [
        (0, Event.NONE),
        (1, Event.COMPLETED),
        (2, Event.STARTED),
        (3, Event.STOPPED),
        (4, Event.PAUSED),
        (5, Event.NONE),
        (2**32 - 1, Event.NONE),
    ],
)
def test_events_have_numbers_and_unknown_ones_are_regular(number: int, event: Event) -> None:
    datagram = bytearray(encode_request(PLAIN))
    datagram[80:84] = pack(">I", number)
    assert read_announce(bytes(datagram)).event is event


def test_nobody_listens_at_port_0() -> None:
    with pytest.raises(TrackerFailure, match="port: 0"):
        read_announce(encode_request(PLAIN)[:96] + bytes(2))
    peers = pack(">I4sIII", 1, b"tran", 1800, 0, 2) + b"\x7f\0\0\x01\0\0" + b"\x7f\0\0\x01\0\x50"
    found = decode_reply(peers)
    assert isinstance(found, Announced)
    assert found.response.peers == (Address("127.0.0.1", 80),)


def test_by_ipv6_no_ip_can_be_said() -> None:
    datagram = encode_request(replace(PLAIN, request=replace(ASKED, ip="192.0.2.7")))
    assert read_announce(datagram).ip == "192.0.2.7"
    assert read_announce(datagram, ipv6=True).ip is None
    six = encode_request(replace(PLAIN, request=replace(ASKED, ip="2001:db8::1")))
    assert read_announce(six).ip is None


def test_a_tracker_bounds_the_peers_and_knows_the_address() -> None:
    def wanted(numwant: int | None) -> int | None:
        datagram = encode_request(replace(PLAIN, request=replace(ASKED, numwant=numwant)))
        return read_announce(datagram, numwant=50, most=60).numwant

    assert [wanted(number) for number in (None, 0, 60, 61)] == [50, 0, 60, 60]
    assert read_announce(encode_request(PLAIN), numwant=50, most=20).numwant == 20
    found = read_announce(encode_request(PLAIN), host="192.0.2.9", packed=bytes((192, 0, 2, 9))).address
    assert found == Address("192.0.2.9", 6881)
    assert found is not None and found.packed == Address("192.0.2.9", 6881).packed
    for negative in (-1, -2, -(2**31)):
        datagram = bytearray(encode_request(PLAIN))
        datagram[92:96] = pack(">i", negative)
        assert read_announce(bytes(datagram)).numwant is None


def test_what_does_not_go_into_the_fields_is_our_bug() -> None:
    for odd in ({"key": b"12345"}, {"numwant": 2**31}, {"uploaded": 2**64}, {"left": -1}, {"port": 65536}):
        with pytest.raises(LocalProtocolError):
            encode_request(replace(PLAIN, request=replace(ASKED, **odd)))  # type: ignore[arg-type]


def test_counts_too_large_are_the_largest() -> None:
    response = AnnounceResponse(2**40, complete=2**40, incomplete=2**33)
    found = decode_reply(encode_reply(Announced(b"tran", response)))
    assert found == Announced(b"tran", AnnounceResponse(2**31 - 1, None, 2**32 - 1, 2**32 - 1))
    assert decode_reply(encode_reply(Scraped(b"tran", (ScrapeEntry(2**40, 2**40, 1),)))) == Scraped(
        b"tran", (ScrapeEntry(2**32 - 1, 2**32 - 1, 1),)
    )


def test_a_reply_has_the_peers_of_its_family_only() -> None:
    both = (Address("192.0.2.1", 1), Address("2001:db8::1", 2))
    packet = Announced(b"tran", AnnounceResponse(complete=0, incomplete=0, peers=both))
    for ipv6 in (False, True):
        found = decode_reply(encode_reply(packet, ipv6=ipv6), ipv6=ipv6)
        assert isinstance(found, Announced)
        assert found.response.peers == (both[ipv6],)


def test_of_one_reply_no_more_peers_are_read_than_anybody_needs() -> None:
    many = encode_reply(Announced(b"tran", AnnounceResponse(peers=(Address("192.0.2.1", 1),) * 5000)))
    found = decode_reply(many)
    assert isinstance(found, Announced)
    assert len(found.response.peers) == 200


def test_a_reason_is_fit_for_a_screen() -> None:
    found = decode_reply(b"\0\0\0\3tran" + "no\x1b[31m\u202e\n".encode() + b"\xff" + b"x" * 9000)
    assert isinstance(found, Refused)
    assert found.reason.startswith("no [31m  \ufffdxxx")
    assert len(found.reason) == 500


def test_as_many_hashes_as_bep_15_has_fit_one_datagram() -> None:
    scrape = Scrape(b"connecti", b"tran", tuple(b"%020d" % number for number in range(MAX_SCRAPE)))
    datagram = encode_request(scrape)
    assert len(datagram) <= 1500 - 20 - 8 + 24  # "about 74": with them it just passes one Ethernet frame
    assert decode_request(datagram) == scrape


# BEP 41


@pytest.mark.parametrize(
    ("options", "url"),
    [
        # The BEP's three examples.
        (b"\x02\x0c/dir?a=b&c=d", b"/dir?a=b&c=d"),
        (b"\x02\x0c/dir?a=b&c=d\x01\x01\x00", b"/dir?a=b&c=d"),
        (b"\x02\x00", b""),
        (b"", b""),
        (b"\x01\x01\x02\x04/dir\x01\x02\x04?a=b", b"/dir?a=b"),  # said in parts
        (b"\x63\x03abc\x02\x04/dir\xff\x00", b"/dir"),  # options nobody knows have a length
        (b"\x02\x04/dir\x00\x02\x04?a=b", b"/dir"),  # nothing counts behind the end
        (b"\x02\x04/dir\x02", b"/dir"),  # an option that is cut off ends them
        (b"\x02\x04/dir\x02\x05?a=b", b"/dir"),
        (b"\x63", b""),
    ],
)
def test_options(options: bytes, url: bytes) -> None:
    datagram = encode_request(PLAIN) + options
    assert read_url(datagram) == url
    assert decode_request(datagram) == replace(PLAIN, url=url)


def test_a_long_url_goes_in_parts() -> None:
    url = b"/announce/" + b"k" * 600
    datagram = encode_request(replace(PLAIN, url=url))
    assert datagram[ANNOUNCE_SIZE : ANNOUNCE_SIZE + 2] == b"\x02\xff"
    assert len(datagram) == ANNOUNCE_SIZE + len(url) + 3 * 2
    assert read_url(datagram) == url
