"""The verbs of a torrent that are about all its peers at once; most are for the session."""

from __future__ import annotations

from bittwist.net.policy import Permit
from bittwist.session.conversation import Conversation
from bittwist.session.course import Course
from bittwist.session.peers import Peers
from bittwist.session.statistics import PeerStatistics
from bittwist.session.surroundings import Surroundings
from bittwist.session.webseeds import WebSeeds


class PeerVerbs:
    """What a Torrent has of them."""

    _around: Surroundings
    _course: Course
    _peers: Peers
    _web_seeds: WebSeeds

    def __len__(self) -> int:
        """How many peers it has."""
        return len(self._peers)

    def peers(self) -> tuple[PeerStatistics, ...]:
        now = self._around.clock.seconds()
        return tuple(talk.statistics(now) for talk in self._peers)

    def conversation(self) -> Conversation | None:
        """For a connection about to be shaken hands on; None while no peer can be met."""
        return self._peers.conversation() if self._course.meets_peers else None

    def part_from(self, refusal: Permit) -> None:
        """Close the connections with those whom `refusal` has something against now."""
        self._peers.part_from(lambda talk: refusal(talk.host))

    def pause_peers(self) -> None:
        """The disk is behind: read nothing more for now."""
        self._peers.pause()
        self._web_seeds.pause()

    def resume_peers(self) -> None:
        self._peers.resume()
        self._web_seeds.resume()
