"""What others say of our address, and what we make of it."""

from bittwist.address import Address
from bittwist.swarm.own_hosts import MAX_VOICES, OwnHosts
from bittwist.swarm.priority import peer_priority


def test_what_most_say_holds() -> None:
    hosts = OwnHosts()
    hosts.told("8.8.8.8", by="9.9.9.1")
    hosts.told("8.8.4.4", by="9.9.9.2")
    hosts.told("8.8.4.4", by="9.9.9.3")
    assert hosts.towards("1.1.1.1") == "8.8.4.4"


def test_one_host_has_one_voice() -> None:
    hosts = OwnHosts()
    for _ in range(5):
        hosts.told("8.8.8.8", by="9.9.9.1")
    for number in (2, 3):
        hosts.told("8.8.4.4", by=f"9.9.9.{number}")
    assert hosts.towards("1.1.1.1") == "8.8.4.4"


def test_the_user_is_not_outvoted() -> None:
    hosts = OwnHosts("8.8.8.8")
    hosts.told("8.8.4.4", by="9.9.9.1")
    assert hosts.towards("1.1.1.1") == "8.8.8.8"


def test_families_and_networks_are_kept_apart() -> None:
    hosts = OwnHosts()
    hosts.told("192.168.1.2", by="192.168.1.3")
    hosts.told("2a00::1", by="2a00::2")
    assert hosts.towards("192.168.1.9") == "192.168.1.2"
    assert hosts.towards("2a01::1") == "2a00::1"
    assert hosts.towards("1.1.1.1") is None


def test_nobody_sees_us_where_he_cannot_look() -> None:
    hosts = OwnHosts()
    hosts.told("192.168.1.2", by="9.9.9.9")
    hosts.told("8.8.8.8", by="192.168.1.3")
    hosts.told("2a00::1", by="9.9.9.9")
    hosts.told("0.0.0.0", by="192.168.1.3")
    assert [hosts.towards(host) for host in ("192.168.1.9", "1.1.1.1", "2a01::1")] == [None] * 3


def test_voices_are_bounded_and_the_oldest_go() -> None:
    hosts = OwnHosts()
    for number in range(MAX_VOICES):
        hosts.told("8.8.8.8", by=f"9.9.{number}.1")
    for number in range(MAX_VOICES // 2 + 1):
        hosts.told("8.8.4.4", by=f"9.10.{number}.1")
    assert hosts.towards("1.1.1.1") == "8.8.4.4"


def test_the_priority_is_that_of_both_ends() -> None:
    hosts = OwnHosts()
    peer = Address("98.76.54.32", 1)
    assert hosts.priority(peer, 6881) is None
    hosts.told("123.213.32.10", by="9.9.9.9")
    assert hosts.priority(peer, 6881) == peer_priority(Address("123.213.32.10", 6881), peer) == 0xEC2D7224
