"""By which address a share is told to be reached."""

from __future__ import annotations

import socket
from unittest import TestCase, mock

from bittwist.app import own_address as module
from bittwist.app.own_address import own_address


class OwnAddressTests(TestCase):
    def found(self, ways: list[str], name: list[str], interfaces: list[str], ours: set[str]) -> str | None:
        with (
            mock.patch.object(module, "_ways_out", lambda: iter(ways)),
            mock.patch.object(module, "_of_the_name", lambda: iter(name)),
            mock.patch.object(module, "_of_interfaces", lambda: iter(interfaces)),
            mock.patch.object(module, "_is_ours", ours.__contains__),
        ):
            return own_address()

    def test_the_way_out_comes_first(self) -> None:
        ours = {"192.0.2.7", "10.0.0.1"}
        self.assertEqual(self.found(["192.0.2.7"], ["10.0.0.1"], ["10.0.0.1"], ours), "192.0.2.7")

    def test_without_one_the_name_and_then_the_interfaces_tell(self) -> None:
        name = ["127.0.1.1", "10.9.9.9"]  # the second was this machine's once
        self.assertEqual(self.found([], name, ["127.0.0.1", "10.0.0.1"], {"10.0.0.1"}), "10.0.0.1")
        self.assertEqual(self.found([], ["10.0.0.2"], [], {"10.0.0.2"}), "10.0.0.2")
        self.assertEqual(self.found([], [], ["::1", "fe80::1", "fd77::1"], {"fd77::1"}), "fd77::1")

    def test_what_others_cannot_reach_is_no_answer(self) -> None:
        nearby = ["127.0.0.1", "::1", "fe80::1%eth0", "fe80::1", "169.254.1.1", "0.0.0.0", "224.0.0.1", "x"]
        self.assertIsNone(self.found(nearby, nearby, nearby, set(nearby)))

    def test_this_machine_is_asked_without_an_error(self) -> None:
        found = own_address()
        if found is not None:
            socket.getaddrinfo(found, 1, flags=socket.AI_NUMERICHOST)
        for told in (*module._ways_out(), *module._of_the_name(), *module._of_interfaces()):
            socket.getaddrinfo(told, 1, flags=socket.AI_NUMERICHOST)
