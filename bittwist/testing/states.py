"""The states that one end of a simulated TCP connection is in: as a whole, and in each direction."""

from enum import Enum, auto


class Life(Enum):
    """This end as a whole."""

    OPEN = auto()
    FINISHING = auto()  # loseConnection: what is unsent goes first
    ABORTING = auto()
    CLOSED = auto()


class Sending(Enum):
    """This end's own direction."""

    OPEN = auto()
    ENDING = auto()  # loseWriteConnection: what is unsent goes first
    ENDED = auto()


class Receiving(Enum):
    """The other direction."""

    OPEN = auto()
    ENDED = auto()  # the other end closed it, and the protocol is to be told after the last byte
    TOLD = auto()
    RESET = auto()
