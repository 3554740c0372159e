"""The status page: one read-only document, without a script.

Everything in it passes through twisted.web.template, which escapes all text: clients, torrents and errors
are strangers' words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.web.template import Tag, flattenString, tags

from bittwist.tracker.rates import SAMPLE_EVERY
from bittwist.tracker.status import LargeSwarm, Status

LONGEST_NAME = 120  # characters of a torrent's name
CHART = (720, 120)  # the size the line is drawn in; it is scaled to the page
FRONTS = {"http": "HTTP", "udp": "UDP", "ws": "WebSocket"}
DATAGRAMS = {
    "connects": "connects",
    "unverified": "without a good connection id",
    "overdue": "dropped, as too many were waiting",
    "failed": "failed, which the log tells of",
}
FAMILIES = {"ipv4": "IPv4", "ipv6": "IPv6"}


def render(status: Status, refresh: int) -> Deferred[bytes]:
    """The page in UTF-8, which asks to be loaded again after `refresh` seconds (0: never)."""
    return flattenString(None, _document(status, refresh)).addCallback(b"<!DOCTYPE html>\n".__add__)


def _document(status: Status, refresh: int) -> Tag:
    head = tags.head(
        tags.meta(charset="utf-8"),
        tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
        tags.meta(name="color-scheme", content="light dark"),
        tags.meta(name="referrer", content="no-referrer"),
        tags.title("Tracker: " + (status.trouble or _peers(status))),
        tags.link(rel="stylesheet", href="status.css"),
    )
    if refresh:
        head(tags.meta(**{"http-equiv": "refresh"}, content=str(refresh)))
    body = tags.body(_header(status), Tag("main")(*_sections(status)), _footer(status, refresh))
    return tags.html(head, body, lang="en")


def _header(status: Status) -> Tag:
    trouble = status.trouble
    state = tags.p(trouble or "running", class_="state bad" if trouble else "state good", role="status")
    return tags.header(tags.h1("BitTorrent tracker"), state)


def _sections(status: Status) -> Iterable[Tag]:
    yield _tiles(status)
    yield _chart(status)
    yield _largest(status.largest)
    yield _fronts(status)
    if any(status.datagrams.values()):
        yield _datagrams(status)
    outcomes = {name: count for name, count in status.outcomes.items() if count or name == "answered"}
    events = {name or "regular": count for name, count in status.events.items()}
    yield tags.div(
        _shares("Outcomes", "outcome", outcomes),
        _shares("Events", "event", events),
        _shares("Address families", "family", _renamed(status.families, FAMILIES)),
        class_="columns",
    )
    yield _shares("Clients", "client, as it says itself", dict(status.clients))


def _tiles(status: Status) -> Tag:
    totals = status.totals
    return tags.section(
        _tile("Torrents", _number(totals.torrents if totals else None)),
        _tile("Seeds", _number(totals.seeds if totals else None)),
        _tile("Leeches", _number(totals.leeches if totals else None)),
        _tile("Completed", _number(status.completed)),
        _tile("Announces / s", _rate(status.announces_per_second)),
        _tile("Scrapes / s", _rate(status.scrapes_per_second)),
        _tile("Up for", _duration(status.uptime)),
        class_="tiles",
    )(**{"aria-label": "Figures"})


def _tile(name: str, value: str) -> Tag:
    return tags.div(tags.span(name, class_="name"), tags.strong(value), class_="tile")


def _chart(status: Status) -> Tag:
    """Announces a second over the last quarter of an hour, drawn as far as there are samples."""
    history = status.history
    if len(history) < 2:
        return tags.section(
            tags.h2("Announces a second"), tags.p("The line begins in a few seconds.", class_="none")
        )
    width, height = CHART
    top = max(history) or 1.0
    points = [
        (width * place / (len(history) - 1), height - (height - 8) * rate / top)
        for place, rate in enumerate(history)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    svg = Tag("svg", attributes={"viewBox": f"0 0 {width} {height}", "preserveAspectRatio": "none"})
    svg.attributes.update({"role": "img", "aria-label": f"at most {_rate(top)} announces a second"})
    svg(
        Tag("polygon", attributes={"points": f"0,{height} {line} {width},{height}"}),
        Tag("polyline", attributes={"points": line}),
    )
    caption = f"the last {_duration(len(history) * SAMPLE_EVERY)}; at most {_rate(max(history))} a second"
    return tags.section(tags.h2("Announces a second"), svg, tags.p(caption, class_="caption"), class_="chart")


def _largest(swarms: Sequence[LargeSwarm]) -> Tag:
    if not swarms:
        return tags.section(tags.h2("Largest swarms"), tags.p("No peers yet.", class_="none"))
    return tags.section(
        tags.h2("Largest swarms"),
        _table(("torrent",), ("seeds", "leeches", "completed"), [_swarm_row(swarm) for swarm in swarms]),
    )


def _swarm_row(swarm: LargeSwarm) -> Tag:
    info_hash = tags.code(swarm.info_hash.hex())
    # <bdi>: a name written from right to left turns nothing around but itself.
    named = (
        (tags.bdi(_shown(swarm.name), class_="name"), tags.br(), info_hash) if swarm.name else (info_hash,)
    )
    size = swarm.size
    return tags.tr(
        tags.th(*named, scope="row"),
        *(tags.td(_number(count)) for count in (size.complete, size.incomplete, size.downloaded)),
    )


def _fronts(status: Status) -> Tag:
    rows = [
        tags.tr(
            tags.th(FRONTS.get(name, name), scope="row"),
            tags.td(_number(front.announces)),
            tags.td(_rate(front.per_second)),
            tags.td(_number(front.outcomes["refused"])),
            tags.td(_number(front.outcomes["failed"])),
            tags.td(_number(front.outcomes["gone"])),
            tags.td(_number(front.scrapes)),
            tags.td(_number(front.scrape_outcomes["refused"])),
            tags.td(_number(front.unreadable)),
            tags.td(_seconds(front.p50)),
            tags.td(_seconds(front.p99)),
        )
        for name, front in status.fronts.items()
    ]
    columns = (
        "announces",
        "a second",
        "refused",
        "failed",
        "gone",
        "scrapes",
        "of these refused",
        "unreadable",
        "half within",
        "99 % within",
    )
    return tags.section(tags.h2("Fronts"), _table(("front",), columns, rows))


def _datagrams(status: Status) -> Tag:
    """What of UDP is no announce and no scrape."""
    rows = [
        tags.tr(tags.th(DATAGRAMS.get(name, name), scope="row"), tags.td(_number(count)))
        for name, count in status.datagrams.items()
    ]
    return tags.section(tags.h2("UDP"), _table(("datagrams",), ("count",), rows))


def _shares(title: str, what: str, counted: Mapping[str, int]) -> Tag:
    """Names with their counts, and each one's share of all."""
    whole = sum(counted.values())
    if not whole:
        return tags.section(tags.h2(title), tags.p("Nothing yet.", class_="none"))
    rows = [
        tags.tr(
            tags.th(tags.bdi(_shown(name)), scope="row"),
            tags.td(_bar(count / whole), class_="share"),
            tags.td(_number(count)),
            tags.td(f"{100 * count / whole:.1f} %"),
        )
        for name, count in counted.items()
    ]
    return tags.section(tags.h2(title), _table((what, ""), ("announces", "share"), rows))


def _table(texts: Sequence[str], numbers: Sequence[str], rows: Sequence[Tag]) -> Tag:
    """A table whose first columns are texts, and the others numbers."""
    heads = [tags.th(name, scope="col") for name in texts]
    heads += [tags.th(name, scope="col", class_="number") for name in numbers]
    # The frame scrolls sideways on a narrow screen, not the page.
    return tags.div(tags.table(tags.thead(tags.tr(*heads)), tags.tbody(*rows)), class_="frame", tabindex="0")


def _bar(share: float) -> Tag:
    svg = Tag(
        "svg", attributes={"viewBox": "0 0 100 6", "preserveAspectRatio": "none", "aria-hidden": "true"}
    )
    return svg(Tag("rect", attributes={"width": f"{100 * share:.1f}", "height": "6"}))


def _footer(status: Status, refresh: int) -> Tag:
    words = [f"bittwist {status.version}"]
    if status.worker:
        words.append(f"worker {status.worker}: announces are its own, swarms are all workers'")
    if refresh:
        words.append(f"loads again every {refresh} seconds")
    links = (tags.a(name, href=name) for name in ("stats.json", "metrics", "health"))
    return tags.footer(tags.p("; ".join(words)), tags.nav(*links))


def _renamed(counted: Mapping[str, int], names: Mapping[str, str]) -> dict[str, int]:
    return {names.get(name, name): count for name, count in counted.items()}


def _shown(text: str) -> str:
    """A stranger's text, without what cannot be seen or turns the text around it; and not without end."""
    text = text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _peers(status: Status) -> str:
    count = status.totals.seeds + status.totals.leeches if status.totals else None
    return f"{_number(count)} {'peer' if count == 1 else 'peers'}"


def _number(count: int | None) -> str:
    # Parted by narrow spaces: commas and points mean different things in different countries.
    return "–" if count is None else f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _rate(rate: float) -> str:
    return f"{rate:.1f}" if rate < 100 else _number(round(rate))


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds == float("inf"):
        return "longer"
    return (
        f"{seconds * 1e6:.0f} µs"
        if seconds < 1e-3
        else f"{seconds * 1e3:.3g} ms"
        if seconds < 1
        else f"{seconds:.3g} s"
    )


def _duration(seconds: float) -> str:
    """Two units at most: "3 d 4 h", "12 min"."""
    whole = int(seconds)
    for unit, name, smaller, part in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // smaller} {part}"
    return f"{whole // 60} min" if whole >= 60 else f"{whole} s"
