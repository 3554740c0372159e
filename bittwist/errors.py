"""Every error bittwist raises on purpose, under one root class.

Constructors take facts; the sentence a person reads is made from them here.
"""


class BitTwistError(Exception):
    """The root: whatever else escapes bittwist is a bug."""


class MetainfoError(BitTwistError):
    """A torrent, info dictionary or magnet link is not valid; `reason` says what is wrong with it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BencodeError(MetainfoError):
    """Not bencoding: `reason`, and the byte `offset` at which that was seen."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} at byte {offset}")
        self.offset = offset


class MagnetError(MetainfoError):
    """A magnet link cannot be used."""


class UnsafePath(MetainfoError):
    """Nothing safe is left of a file's name."""


class LocalProtocolError(BitTwistError):
    """We were about to break a protocol: a bug of ours."""


class RemoteProtocolError(BitTwistError):
    """The other end broke a protocol; `reason` says how."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OwnConnection(RemoteProtocolError):
    """The other end is this session itself."""

    def __init__(self) -> None:
        super().__init__("a connection to ourselves")


class TrackerFailure(BitTwistError):
    """A tracker's "failure reason" (BEP 3), with the BEP 31 time to wait in seconds.

    `retry_in` is None where none was given, and `math.inf` for "never".
    """

    def __init__(self, reason: str, retry_in: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_in = retry_in


class NetworkError(BitTwistError):
    """A dial, listen, look-up or fetch of `target` did not succeed."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(f"{target}: {reason}")
        self.target = target
        self.reason = reason


class FetchError(NetworkError):
    """An HTTP fetch failed; `status` is the HTTP status where an answer came.

    `retry_in` is how many seconds the server wants to be left alone, where it said so.
    """

    def __init__(
        self, target: str, reason: str, status: int | None = None, retry_in: float | None = None
    ) -> None:
        super().__init__(target, reason)
        self.status = status
        self.retry_in = retry_in


class RangeRefused(FetchError):
    """The server has not what was asked for, or does not give ranges: asking again is of no use."""


class StorageError(BitTwistError):
    """Reading or writing `path` failed."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class DiskFull(StorageError):
    """There is no room to write `path`."""


class FolderGone(StorageError):
    """The save folder is not the one it was; `found` is the one there now (device, inode)."""

    def __init__(self, path: str, reason: str, found: tuple[int, int] | None) -> None:
        super().__init__(path, reason)
        self.found = found


class SessionError(BitTwistError):
    """The session cannot do what was asked of it."""


class NoSuchTorrent(SessionError):
    """No torrent with that info hash is in the session."""

    def __init__(self, info_hash: str) -> None:
        super().__init__(f"no torrent {info_hash} here")
        self.info_hash = info_hash


class DuplicateTorrent(SessionError):
    """The torrent is in the session already."""

    def __init__(self, info_hash: str) -> None:
        super().__init__(f"torrent {info_hash} is here already")
        self.info_hash = info_hash


class AccessError(BitTwistError):
    """A tracker's users or torrents cannot be changed so; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotThere(AccessError):
    """No user or torrent of that name is there."""


class AlreadyThere(AccessError):
    """A user or torrent of that name is there."""


class FilterError(BitTwistError):
    """An address list cannot be used: the `file`, why, and at which `line` that was seen (0: at none)."""

    def __init__(self, file: str, reason: str, line: int = 0) -> None:
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")
        self.file = file
        self.reason = reason
        self.line = line


class ConfigError(BitTwistError):
    """A setting cannot be used: the `file` (or "command line"), the `key`, and why."""

    def __init__(self, file: str, key: str, reason: str) -> None:
        super().__init__(f"{file}: {key}: {reason}")
        self.file = file
        self.key = key
        self.reason = reason
