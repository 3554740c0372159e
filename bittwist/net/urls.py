"""Which URLs may be fetched, and which addresses connected to for them.

URLs come from torrents and redirects, so from strangers: they must not turn us against the machines beside
us. What counts is the address connected to, not the name; `address_refusal` is asked about it last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import quote, unquote, urljoin, urlsplit

from bittwist.address import fold

MAX_URL = 8192  # bytes; what common servers accept, and a scrape of 74 hashes fits

_DEFAULT_PORTS = {"http": 80, "https": 443}
_CONTROL_OR_SPACE = re.compile(r"[\x00-\x20\x7f\\]")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_SHARED_SPACE = IPv4Network("100.64.0.0/10")  # RFC 6598: a provider's own network
_BEHIND_PASSKEY = re.compile("/[A-Za-z0-9_-]{16,128}/(announce|scrape)")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address behind a translator


class Purpose(Enum):
    """Why something is fetched, and so how far its URL is trusted."""

    TRACKER = "tracker"
    TORRENT = "torrent"  # typed by the user, as are watch lists and feeds
    WEB_SEED = "web seed"


class Reach(Enum):
    """Where an IP address leads."""

    GLOBAL = "global"
    LOCAL = "local"  # this machine, or a private network
    LINK = "link-local"  # among them the metadata services of clouds
    NOWHERE = "nowhere"  # unspecified, multicast, reserved


@dataclass(frozen=True, slots=True)
class Url:
    """An http or https URL, taken apart; `target` is the path with its query, percent-encoded."""

    scheme: str
    host: str
    port: int
    target: str
    credentials: str | None = None

    @classmethod
    def parse(cls, text: str) -> Url:
        """Read a URL; ValueError, with a sentence, for one that is not to be fetched."""
        if len(text) > MAX_URL:
            raise ValueError(f"the URL is longer than {MAX_URL} bytes")
        if _CONTROL_OR_SPACE.search(text):
            raise ValueError("the URL has spaces, backslashes or control characters in it")
        parts = urlsplit(text)
        if parts.scheme not in _DEFAULT_PORTS:
            raise ValueError(f"only http and https are fetched, not {parts.scheme or 'this'}")
        host = parts.hostname
        if not host or not (_HOST_NAME.fullmatch(host) or _is_address(host)):
            raise ValueError("the URL names no host" if not host else f"{host!r} is not a host name")
        target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
        if parts.query:
            target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?[]^|{}`\"<>")
        user, at, _ = parts.netloc.rpartition("@")
        port = parts.port if parts.port is not None else _DEFAULT_PORTS[parts.scheme]
        if port == 0:
            raise ValueError("port 0 cannot be connected to")
        return cls(parts.scheme, host, port, target, unquote(user) if at else None)

    def join(self, location: str) -> Url:
        """The URL a `Location` header leads to; never with credentials. ValueError as in `parse`."""
        joined = Url.parse(urljoin(str(self), location))
        return Url(joined.scheme, joined.host, joined.port, joined.target)

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """The URL without its credentials."""
        return f"{self.scheme}://{self.authority}{self.target}"


def url_refusal(url: Url, purpose: Purpose) -> str | None:
    """Why `url` may not even be looked up, or None."""
    if purpose is not Purpose.TORRENT and any(
        label.lower().startswith("xn--") for label in url.host.split(".")
    ):
        return "international host names, which can look like others, are not used"
    return None


def address_refusal(host: str, url: Url, purpose: Purpose, *, hop: int, was_global: bool) -> str | None:
    """Why the IP address `host` may not be connected to for `url`, or None.

    `hop` counts redirects; `was_global` says that an earlier hop was answered from outside.
    """
    where = reach(host)
    if where is Reach.GLOBAL:
        return None
    if where is Reach.NOWHERE:
        return f"{host} is not an address to fetch from"
    if was_global:
        return f"redirected from outside to {host}, a {where.value} address"
    if where is Reach.LINK and (hop or purpose is not Purpose.TORRENT):
        return f"{host} is a link-local address"
    if purpose is Purpose.TRACKER and not _is_tracker_path(url.path):
        return f"{host} is a local address, where only /announce and /scrape are asked for"
    if purpose is Purpose.WEB_SEED and url.query:
        return f"{host} is a local address, where no query is sent to"
    return None


def reach(host: str) -> Reach:
    """Where the IP address `host` leads; addresses that carry an IPv4 address count as that."""
    return _reach(ip_address(host))


def _reach(address: IPv4Address | IPv6Address) -> Reach:
    if isinstance(address, IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if address in _NAT64:
            carried = IPv4Address(address.packed[-4:])
        if carried:
            return _reach(carried)
    if address.is_loopback:
        return Reach.LOCAL
    if address.is_unspecified or address.is_multicast or address.is_reserved:
        return Reach.NOWHERE
    if isinstance(address, IPv4Address) and address.packed[0] == 0:
        return Reach.NOWHERE  # 0.0.0.0/8, "this network": some systems take it for themselves
    if address.is_link_local:
        return Reach.LINK
    if isinstance(address, IPv4Address) and address in _SHARED_SPACE:
        return Reach.LOCAL
    if address.is_private or (isinstance(address, IPv6Address) and address.is_site_local):
        return Reach.LOCAL
    return Reach.GLOBAL


def _is_tracker_path(path: str) -> bool:
    """/announce, /scrape and what begins so, or either behind a passkey: nothing else of a local server."""
    if _BEHIND_PASSKEY.fullmatch(path):
        return True
    return path.startswith(("/announce", "/scrape")) and ".." not in unquote(path).split("/")


def _is_address(host: str) -> bool:
    try:
        fold(host)
    except ValueError:
        return False
    return True
