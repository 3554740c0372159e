"""Whether a connection is read: not while its user pauses it, nor while no more is allowed."""

from __future__ import annotations

from twisted.internet.interfaces import IPushProducer, ITransport

from bittwist.net.throttle import Allowance

MOST = 64 << 10  # bytes read at once under a limit, so that a burst is short


class Reading:
    """The tap of one connection.

    Who reads by itself asks for `room` first. Where the transport reads, what came is charged afterwards, and
    a debt closes the tap until it is paid.
    """

    def __init__(self, transport: ITransport | IPushProducer, allowance: Allowance) -> None:
        self._producer: IPushProducer | None = IPushProducer(transport, None)
        self._allowance = allowance
        self._paused = False
        self._waiting = False  # for the allowance
        self._waited = False
        self._owed = 0

    @property
    def open(self) -> bool:
        return not self._paused and not self._waiting

    @property
    def free(self) -> bool:
        """Nobody need ask for room."""
        return self._allowance.free

    def pause(self) -> None:
        """Read no more until `resume`."""
        self._paused = True
        self._allowance.give_back(0)
        self._turn()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._turn()

    def room(self) -> int:
        """How many bytes may be read now; for 0 the tap is shut until it may be more."""
        room = self._allowance.take(MOST)
        if not room:
            self._wait()
        return room

    def unused(self, size: int) -> None:
        """There was less to read than there was room for."""
        self._allowance.give_back(size)

    def charge(self, size: int) -> None:
        """Ask the allowance for bytes that were read."""
        if self._allowance.free:
            return
        self._owed += size - self._allowance.take(size)
        if self._owed and not self._waiting:
            self._wait()

    def was_shut(self) -> bool:
        """Whether it is shut, or was by the allowance since this was asked last."""
        waited, self._waited = self._waited, self._waiting
        return waited or not self.open

    def stop(self) -> None:
        """The connection is lost."""
        self._producer = None
        self._owed = 0

    def _wait(self) -> None:
        self._waiting = self._waited = True
        self._turn()
        self._allowance.wait(self._go_on)

    def _go_on(self) -> None:
        if self._producer is None:
            return
        if self._owed:
            while self._owed and (paid := self._allowance.take(self._owed)):
                self._owed -= paid  # a turn brings a portion, and there may be more than that by now
            if self._owed:
                self._allowance.wait(self._go_on)
                return
            self._allowance.give_back(0)
        self._waiting = False
        self._turn()

    def _turn(self) -> None:
        if self._producer is None:
            return
        if self.open:
            self._producer.resumeProducing()
        else:
            self._producer.pauseProducing()
