"""A local network in memory for local discovery: what is told to a group reaches everybody else on it."""

from ipaddress import ip_interface

from twisted.internet.defer import succeed

from bittwist.net.links import Link


class Lan:
    """Owns who is on it, and every datagram that was sent."""

    def __init__(self, clock):
        self.clock = clock
        self.members = []
        self.said = []

    def connect(self, session, host):
        """From now on `session` finds itself on this network, at `host`."""
        session._local._network = Member(self, host)


class Member:
    """What a `Network` is to local discovery."""

    def __init__(self, lan, host):
        self.lan, self.host = lan, host

    def links(self):
        return (Link(2, ip_interface(f"{self.host}/8")),)

    def listen_group(self, links, speaker):
        return Port(self.lan, self.host, speaker)


class Port:
    """One member's place in a group."""

    def __init__(self, lan, host, speaker):
        self.lan, self.host, self.speaker = lan, host, speaker
        lan.members.append(self)
        speaker.makeConnection(self)

    def write(self, datagram, address):
        self.lan.said.append((self.host, datagram))
        for member in self.lan.members:  # the sender hears itself too
            self.lan.clock.callLater(0.001, member.speaker.datagramReceived, datagram, (self.host, 6771))

    def stopListening(self):
        self.lan.members.remove(self)
        return succeed(None)
