"""Whom a reverse proxy names as its client: X-Forwarded-For, or Forwarded (RFC 7239)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bittwist.address import fold

X_FORWARDED_FOR = "X-Forwarded-For"
FORWARDED = "Forwarded"
HEADERS = (X_FORWARDED_FOR, FORWARDED)
MAX_HOPS = 16  # proxies in a row that are looked past: nobody has so many, and each look costs


def named_by(header: str, values: Sequence[bytes]) -> Iterator[str]:
    """The hosts that this header's lines name, from the nearest proxy's word outwards, MAX_HOPS at most.

    Ends at the first that is no address: what stands before it was said by who knows whom.
    """
    text = ",".join(value.decode("latin-1") for value in values)
    for element in _split(text, ",")[: -MAX_HOPS - 1 : -1]:
        node = element if header == X_FORWARDED_FOR else _for(element)
        try:
            yield _host(node)
        except ValueError:
            return


def _for(element: str) -> str:
    for pair in _split(element, ";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            return value.strip().strip('"')  # what is escaped inside the quotes is no address
    return ""


def _host(node: str) -> str:
    """An address, perhaps with a port; with one an IPv6 address stands in brackets."""
    node = node.strip()
    if node.startswith("["):
        node = node[1:].partition("]")[0]
    elif node.count(":") == 1:
        node = node.partition(":")[0]
    return fold(node)


def _split(text: str, mark: str) -> list[str]:
    """Split at the marks that do not stand in quotes."""
    if '"' not in text:
        return text.split(mark)
    parts, start, quoted, escaped = [], 0, False, False
    for place, letter in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and letter == "\\":
            escaped = True
        elif letter == '"':
            quoted = not quoted
        elif letter == mark and not quoted:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]
