"""Which networks this machine is on, and whom a network has. Nothing is sent here."""

from ipaddress import ip_interface

import pytest
from twisted.internet.task import Clock

from bittwist.address import Address
from bittwist.errors import NetworkError
from bittwist.net import links
from bittwist.net.links import GroupSpeaker, Link, find_links, open_group_socket
from bittwist.net.policy import Network

GROUP = Address("239.192.152.143", 6771)


def test_a_network_has_its_addresses_and_no_others() -> None:
    link = Link(2, ip_interface("192.168.1.5/24"))
    assert (link.host, link.is_ipv6) == ("192.168.1.5", False)
    found = [link.has(host) for host in ("192.168.1.5", "192.168.1.255", "192.168.2.1", "fd00::1")]
    assert found == [True, True, False, False]
    six = Link(2, ip_interface("fd00::5/64"))
    assert six.is_ipv6 and six.has("fd00::6") and not six.has("fd00:0:0:1::6") and not six.has("192.168.1.5")


def test_this_machine_itself_is_a_network_that_nobody_shares() -> None:
    loopback = [link for link in find_links() if link.address.is_loopback]
    assert "127.0.0.1" in [link.host for link in loopback]
    assert not any(link.shared for link in loopback)
    assert all(link.interface for link in find_links())


def test_where_the_system_is_not_asked_only_usable_addresses_are_guessed() -> None:
    for link in links._guess():
        assert not link.address.ip.is_unspecified and link.has(link.host)


def test_a_system_that_does_not_tell_has_no_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> list[Link]:
        raise OSError(1, "not permitted")

    monkeypatch.setattr(links, "_ask_linux", refuse)
    monkeypatch.setattr(links, "_guess", refuse)
    assert find_links() == ()


def test_a_reactor_without_sockets_is_on_no_network() -> None:
    assert Network(Clock()).links() == ()


def test_a_group_that_cannot_be_joined_is_an_error_of_the_network() -> None:
    with pytest.raises(OSError, match="no network"):
        open_group_socket(GROUP, [])
    gone = Link(9999, ip_interface("192.0.2.77/24"))
    with pytest.raises(NetworkError):
        Network(Clock()).listen_group([gone], GroupSpeaker(GROUP, [gone]))
