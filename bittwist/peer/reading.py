"""Whether a connection is read: not while its user pauses it, nor while what was read is not yet allowed."""

from __future__ import annotations

from twisted.internet.interfaces import IPushProducer, ITransport

from bittwist.net.throttle import UNLIMITED, Allowance


class Reading:
    """The tap of one connection. What was read is charged afterwards; a debt closes the tap until paid."""

    def __init__(self, transport: ITransport | IPushProducer, allowance: Allowance) -> None:
        self._producer: IPushProducer | None = IPushProducer(transport, None)
        self._allowance = allowance
        self._paused = False
        self._owed = 0

    @property
    def open(self) -> bool:
        return not self._paused and not self._owed

    def pause(self) -> None:
        """Read no more until `resume`."""
        self._paused = True
        self._turn()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._turn()

    def charge(self, size: int) -> None:
        """Ask the allowance for bytes that were read."""
        if self._allowance is UNLIMITED:
            return
        owed_before = self._owed
        self._owed += size - self._allowance.take(size)
        if self._owed and not owed_before:
            self._turn()
            self._allowance.wait(self._pay)

    def stop(self) -> None:
        """The connection is lost."""
        self._producer = None
        self._owed = 0

    def _pay(self) -> None:
        if self._producer is None:
            return
        self._owed -= self._allowance.take(self._owed)
        if self._owed:
            self._allowance.wait(self._pay)
        else:
            self._turn()

    def _turn(self) -> None:
        if self._producer is None:
            return
        if self.open:
            self._producer.resumeProducing()
        else:
            self._producer.pauseProducing()
