"""What a peer is told of others and what it may tell: the rules of BEP 11 as tables and as a property."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittwist.address import Address
from bittwist.discovery.pex import (
    GATHERING,
    INTERVAL,
    MAX_EARLY,
    MAX_PARTED,
    MAX_TAKEN,
    Exchange,
    Parted,
    may_name,
)
from bittwist.errors import RemoteProtocolError
from bittwist.wire.ut_pex import MAX_CONTACTS, Contact, PexFlags, PexMessage

PEER = "8.8.8.8"


def address(number: int) -> Address:
    return Address(f"9.0.{number >> 8}.{number & 255}", 6881)


def live(*numbers: int) -> dict[Address, PexFlags]:
    return {address(number): PexFlags.REACHABLE for number in numbers}


def added(message: PexMessage | None) -> list[Address]:
    assert message is not None
    return [contact.address for contact in message.added]


def test_the_first_message_waits_until_there_is_something_to_gather() -> None:
    exchange = Exchange(100.0)
    assert exchange.update(live(1, 2), Parted(), PEER, 100.0 + GATHERING - 0.1) is None
    assert added(exchange.update(live(1, 2), Parted(), PEER, 100.0 + GATHERING)) == [address(1), address(2)]


def test_there_is_at_most_one_message_a_minute() -> None:
    exchange = Exchange(0.0)
    exchange.update(live(1), Parted(), PEER, 10.0)
    assert exchange.update(live(1, 2), Parted(), PEER, 10.0 + INTERVAL - 0.1) is None
    assert added(exchange.update(live(1, 2), Parted(), PEER, 10.0 + INTERVAL)) == [address(2)]


def test_no_news_is_no_message_and_the_next_news_goes_at_once() -> None:
    exchange = Exchange(0.0)
    assert exchange.update({}, Parted(), PEER, 10.0) is None
    assert exchange.update(live(1), Parted(), PEER, 11.0) is not None
    assert exchange.update(live(1), Parted(), PEER, 100.0) is None
    assert added(exchange.update(live(1, 3), Parted(), PEER, 101.0)) == [address(3)]


def test_who_is_gone_is_dropped_once() -> None:
    exchange = Exchange(0.0)
    exchange.update(live(1, 2), Parted(), PEER, 10.0)
    message = exchange.update(live(2), Parted(), PEER, 70.0)
    assert message == PexMessage((), (address(1),))
    assert exchange.update(live(2), Parted(), PEER, 130.0) is None


def test_who_came_and_went_between_two_messages_is_not_told() -> None:
    exchange = Exchange(0.0)
    exchange.update(live(1), Parted(), PEER, 10.0)
    exchange.update(live(1, 2), Parted(), PEER, 20.0)
    assert exchange.update(live(1), Parted(), PEER, 70.0) is None


def test_no_message_has_more_than_fifty_of_each() -> None:
    exchange = Exchange(0.0)
    first = exchange.update(live(*range(120)), Parted(), PEER, 10.0)
    second = exchange.update(live(*range(120)), Parted(), PEER, 70.0)
    assert [len(added(message)) for message in (first, second)] == [MAX_CONTACTS] * 2
    third = exchange.update({}, Parted(), PEER, 130.0)
    assert third is not None and len(third.dropped) == MAX_CONTACTS
    fourth = exchange.update({}, Parted(), PEER, 190.0)
    assert fourth is not None and len(fourth.dropped) == MAX_CONTACTS


def test_parted_peers_are_told_where_there_are_few_and_dropped_with_the_next_message() -> None:
    parted = Parted()
    parted.add(Contact(address(200)))
    exchange = Exchange(0.0)
    assert added(exchange.update(live(1), parted, PEER, 10.0)) == [address(1), address(200)]
    assert exchange.update(live(1), parted, PEER, 70.0) == PexMessage((), (address(200),))
    assert exchange.update(live(1), parted, PEER, 130.0) is None


def test_parted_peers_are_not_told_where_there_are_enough_others() -> None:
    parted = Parted()
    parted.add(Contact(address(200)))
    enough = live(*range(MAX_PARTED))
    assert address(200) not in added(Exchange(0.0).update(enough, parted, PEER, 10.0))
    few = live(*range(MAX_PARTED - 1))
    assert address(200) in added(Exchange(0.0).update(few, parted, PEER, 10.0))


def test_so_many_parted_peers_are_kept_and_the_oldest_go() -> None:
    parted = Parted()
    for number in range(MAX_PARTED + 1):
        parted.add(Contact(address(number)))
    parted.add(Contact(address(5)))
    told = [contact.address for contact in parted.since(0, ipv6=False)]
    assert told[0] == address(5) and len(told) == len(set(told)) == MAX_PARTED and address(0) not in told


def test_a_parted_peer_is_not_told_to_itself() -> None:
    parted = Parted()
    parted.add(Contact(Address(PEER, 1)))
    assert Exchange(0.0).update({}, parted, PEER, 10.0) is None


@pytest.mark.parametrize(
    ("host", "beside", "may"),
    [
        ("9.9.9.9", "8.8.8.8", True),
        ("9.9.9.9", "192.168.1.1", True),
        ("192.168.1.2", "192.168.1.1", True),
        ("192.168.1.2", "8.8.8.8", False),
        ("192.168.1.2", "127.0.0.1", True),
        ("127.0.0.2", "127.0.0.1", True),
        ("127.0.0.2", "192.168.1.1", False),
        ("::1", "8.8.8.8", False),
        ("169.254.169.254", "192.168.1.1", False),
        ("fe80::1", "fe80::2", False),
        ("224.0.0.1", "192.168.1.1", False),
        ("0.0.0.0", "127.0.0.1", False),
        ("255.255.255.255", "192.168.1.1", False),
        ("fd00::1", "fd00::2", True),
        ("fd00::1", "2a00::2", False),
    ],
)
def test_only_local_peers_name_local_peers(host: str, beside: str, may: bool) -> None:
    """SECURITY.md B8."""
    assert may_name(host, beside) is may
    contact = Contact(Address(host, 1))
    assert Exchange(0.0).heard(PexMessage((contact,)), beside, 1.0) == ((contact,) if may else ())
    told = Exchange(0.0).update({contact.address: PexFlags.NONE}, Parted(), beside, 10.0)
    assert (told is not None) is may


def test_a_message_a_minute_is_heard_for_ever_even_by_a_fast_clock() -> None:
    exchange = Exchange(0.0)
    for minute in range(10_000):
        exchange.heard(PexMessage(), PEER, minute * 0.95 * INTERVAL)


def test_messages_faster_than_one_a_minute_have_an_allowance_and_then_an_end() -> None:
    """SECURITY.md B8."""
    exchange = Exchange(0.0)
    for _ in range(MAX_EARLY + 1):
        exchange.heard(PexMessage(), PEER, 1.0)
    with pytest.raises(RemoteProtocolError):
        exchange.heard(PexMessage(), PEER, 2.0)


def test_one_peer_does_not_fill_our_list() -> None:
    """SECURITY.md B8."""
    exchange, taken = Exchange(0.0), 0
    for minute in range(50):
        contacts = tuple(Contact(address(minute * 50 + number)) for number in range(50))
        taken += len(exchange.heard(PexMessage(contacts), PEER, minute * INTERVAL))
    assert taken == MAX_TAKEN


STEPS = st.lists(
    st.tuples(
        st.sets(st.integers(0, 80), max_size=70), st.sets(st.integers(0, 80), max_size=5), st.floats(0, 90)
    ),
    max_size=20,
)


@given(STEPS)
def test_what_was_added_less_what_was_dropped_is_what_was_live(
    steps: list[tuple[set[int], set[int], float]],
) -> None:
    exchange, parted, now = Exchange(0.0), Parted(), 0.0
    view: set[Address] = set()
    sent: list[float] = []
    ever_parted: set[Address] = set()
    for numbers, leaving, passed in steps:
        now += passed
        for number in sorted(leaving - numbers):
            parted.add(Contact(address(number)))
            ever_parted.add(address(number))
        message = exchange.update(live(*sorted(numbers)), parted, PEER, now)
        if message is None:
            continue
        names = [*added(message), *message.dropped]
        assert names and len(names) == len(set(names)), "nobody twice, and never added and dropped"
        assert len(message.added) <= MAX_CONTACTS and len(message.dropped) <= MAX_CONTACTS
        assert not sent or now - sent[-1] >= INTERVAL
        assert set(message.dropped) <= view and not set(added(message)) & view
        assert set(added(message)) <= {address(number) for number in numbers} | ever_parted
        view = view - set(message.dropped) | set(added(message))
        sent.append(now)
    for _ in range(4):
        now += INTERVAL
        message = exchange.update({}, parted, PEER, now)
        if message is not None:
            view = view - set(message.dropped) | set(added(message))
    assert view <= ever_parted
    now += INTERVAL
    exchange.update({}, parted, PEER, now)
