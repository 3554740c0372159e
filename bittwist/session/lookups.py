"""The names of peers that are to be dialed, on their way to addresses."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.errors import NetworkError
from bittwist.net.policy import Network


class LookUps:
    """Owns the look-ups under way. Once stopped it begins none, and nobody hears of any."""

    _log = Logger()

    def __init__(self) -> None:
        self._under_way: set[Deferred[None]] = set()
        self._stopped = False

    def begin(
        self,
        network: Network,
        name: str,
        found: Callable[[tuple[str, ...]], None],
        not_found: Callable[[NetworkError], None],
    ) -> None:
        """Tell one of the two what comes of it: IP addresses, or why there are none."""
        if self._stopped:
            return

        def failed(failure: Failure) -> None:
            failure.trap(NetworkError)
            assert isinstance(failure.value, NetworkError), "it was trapped"
            if not self._stopped:
                not_found(failure.value)

        looking_up = network.resolve(name).addCallbacks(found, failed)
        looking_up.addErrback(
            lambda failure: self._log.failure("A bug in dialing {name}", failure, name=name)
        )
        if not looking_up.called:
            self._under_way.add(looking_up)
            looking_up.addCallback(lambda _: self._under_way.discard(looking_up))

    def stop(self) -> None:
        """Give up those under way."""
        self._stopped = True
        for looking_up in tuple(self._under_way):
            looking_up.cancel()
