"""`bittwist scrape`: how many seeds and leeches a tracker counts."""

from __future__ import annotations

import click


@click.command()
@click.argument("what", metavar="FILE|MAGNET|TRACKER-URL")
@click.argument("info_hashes", metavar="[HASH]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each swarm and tracker.")
def scrape(what: str, info_hashes: tuple[str, ...], as_json: bool) -> int:
    """Ask trackers how many seeds and leeches there are.

    Asks the trackers of a torrent file or magnet link; or a tracker, by its announce URL, about the swarms
    of the info hashes that follow. Exits 1 where no tracker answers.
    """
    from bittwist.app.run import run
    from bittwist.app.scrape import ask, questions

    asked = questions(what, info_hashes)
    return run(lambda reactor: ask(reactor, asked, as_json))
