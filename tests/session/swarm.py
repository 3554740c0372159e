"""Sessions on simulated hosts, their data in memory: a whole swarm on one clock."""

from random import Random

from bittwist.session import Session, SessionSettings
from bittwist.session.lifecycle import State
from bittwist.storage.memory import MemoryStorage
from bittwist.testing import SimulatedNetwork


class Swarm:
    """A network with sessions on it; `quiet` ends them all and shows that nothing is left."""

    def __init__(self, seed=0, **network):
        self.network = SimulatedNetwork(seed, **network)
        self.sessions = []
        self.storages = {}

    def session(self, address, data=None, settings=None, storage=None):
        """A running session at `address`; torrents added to it find `data` in place, if given."""
        token = Random(f"{self.network.seed} {address}")

        def make(_path, info):
            made = MemoryStorage(info) if storage is None else storage(info)
            if data is not None:
                fill(made, info, data)
            self.storages[address] = made
            return made

        session = Session(
            self.network.host(address),
            settings or SessionSettings(ports=(6881,)),
            storage=make,
            wall=lambda: 1.6e9 + self.network.seconds(),
            random=Random(token.random()),
            token=token.randbytes,
        )
        session.startService()
        self.sessions.append(session)
        return session

    def add(self, session, source, peers=()):
        """Add a torrent that dials `peers` (HOST:PORT)."""
        torrent = self.network.result_of(session.add(source, "/nowhere"))
        session.add_peers(torrent, peers)
        return torrent

    def until_complete(self, *torrents, limit=600.0):
        return self.network.run_until(lambda: all(t.state is State.SEEDING for t in torrents), limit)

    def data(self, address, info):
        """What a session's storage holds."""
        return read(self.storages[address], info)

    def quiet(self, after=1):
        for session in self.sessions:
            self.network.result_of(session.stopService())
        self.network.advance(after)  # what is on its way arrives
        self.network.assert_quiet()


def fill(storage, info, data):
    geometry = info.geometry
    for index in range(geometry.num_pieces):
        at = index * geometry.piece_length
        storage.write(index, 0, memoryview(data[at : at + geometry.piece_size(index)]))


def read(storage, info):
    geometry = info.geometry
    whole = bytearray(geometry.total_size)
    for index in range(geometry.num_pieces):
        at, size = index * geometry.piece_length, geometry.piece_size(index)
        storage.read_into(index, 0, memoryview(whole)[at : at + size])
    return bytes(whole)
