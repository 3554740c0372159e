"""The example settings files: whole, and at the defaults they claim."""

from dataclasses import fields, is_dataclass
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bittwist.app.compose import PeerConfig
from bittwist.app.settings import read_settings, read_table
from bittwist.app.tracker_tap import TrackerConfig

CONF = Path(__file__).parents[2] / "conf"
NOT_IN_FILES = {"reserved"}  # protocol bits: nothing to choose


def keys(value):
    """The keys a settings value has, in dotted form."""
    for field in fields(value):
        inner = getattr(value, field.name)
        if is_dataclass(inner):
            yield from (f"{field.name}.{key}" for key in keys(inner))
        elif field.name not in NOT_IN_FILES:
            yield field.name


def written(text):
    """The keys a TOML file shows, commented ones too."""
    table = ""
    for line in text.splitlines():
        if line.startswith("["):
            table = line.strip("[]") + "."
        name, equals, _ = line.removeprefix("# ").partition(" = ")
        if equals and name.isidentifier():
            yield table + name


class ConfTests(SynchronousTestCase):
    def test_the_example_files_hold_the_defaults(self):
        self.assertEqual(read_settings(PeerConfig, CONF / "peer.toml"), PeerConfig().anchored(CONF))
        self.assertEqual(read_settings(TrackerConfig, CONF / "tracker.toml"), TrackerConfig())

    def test_the_example_files_show_every_key(self):
        for kind, name in ((PeerConfig, "peer.toml"), (TrackerConfig, "tracker.toml")):
            text = (CONF / name).read_text()
            self.assertEqual(sorted(written(text)), sorted(keys(kind())), name)

    def test_the_files_are_read_as_tables(self):
        self.assertEqual(set(read_table(CONF / "peer.toml")), {"downloads", "add", "session"})
