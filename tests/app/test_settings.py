"""TOML into settings values."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from bittwist.app.settings import read_settings, settings_of
from bittwist.errors import ConfigError

CONF = Path(__file__).parents[2] / "conf"


@dataclass(frozen=True, slots=True)
class Inner:
    size: int = 1

    def __post_init__(self) -> None:
        if self.size > 9:
            raise ValueError("size", "must be 9 or less")


@dataclass(frozen=True, slots=True)
class Outer:
    name: str = "x"
    ratio: float = 0.5
    quick: bool = False
    where: Path = Path(".")
    mode: Literal["sparse", "full"] = "sparse"
    limit: int | None = None
    hosts: tuple[str, ...] = ()
    inner: Inner = field(default_factory=Inner)

    def anchored(self, folder: Path) -> Outer:
        return replace(self, where=folder / self.where)


class ReadTests(TestCase):
    def read(self, text: str) -> Outer:
        return settings_of(Outer, tomllib.loads(text), "conf.toml")

    def refusal(self, text: str) -> tuple[str, str]:
        with self.assertRaises(ConfigError) as caught:
            self.read(text)
        self.assertEqual(caught.exception.file, "conf.toml")
        return caught.exception.key, caught.exception.reason

    def test_nothing_said_is_all_defaults(self) -> None:
        self.assertEqual(self.read(""), Outer())

    def test_every_kind_of_value(self) -> None:
        text = """
            name = "y"
            ratio = 2
            quick = true
            where = "/srv"
            mode = "full"
            limit = 3
            hosts = ["a", "b"]
            inner.size = 9
        """
        self.assertEqual(
            self.read(text), Outer("y", 2.0, True, Path("/srv"), "full", 3, ("a", "b"), Inner(9))
        )

    def test_an_unknown_key_is_named_and_the_nearest_offered(self) -> None:
        self.assertEqual(self.refusal("colour = 1"), ("colour", "unknown key"))
        self.assertEqual(self.refusal("nmae = 'y'"), ("nmae", "unknown key; did you mean name?"))
        self.assertEqual(self.refusal("[inner]\nsise = 1"), ("inner.sise", "unknown key; did you mean size?"))

    def test_a_wrong_type_is_named_with_what_was_wanted(self) -> None:
        cases = {
            "name = 1": ("name", "must be a text, not 1"),
            "ratio = 'x'": ("ratio", "must be a number, not 'x'"),
            "ratio = true": ("ratio", "must be a number, not True"),
            "quick = 1": ("quick", "must be true or false, not 1"),
            "where = 1": ("where", "must be a path, not 1"),
            "mode = 'half'": ("mode", "must be one of 'sparse', 'full', not 'half'"),
            "limit = true": ("limit", "must be a whole number, not True"),
            "hosts = 'a'": ("hosts", "must be a list, not 'a'"),
            "hosts = ['a', 1]": ("hosts", "must be a text, not 1"),
            "inner = 1": ("inner", "must be a table, not 1"),
            "inner.size = 1.5": ("inner.size", "must be a whole number, not 1.5"),
        }
        for text, refusal in cases.items():
            self.assertEqual(self.refusal(text), refusal)

    def test_what_a_value_refuses_is_the_files_fault(self) -> None:
        self.assertEqual(self.refusal("inner.size = 10"), ("inner.size", "must be 9 or less"))

    @given(
        st.dictionaries(
            st.sampled_from([field.name for field in fields(Outer)]) | st.text(max_size=3),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
                lambda inner: (
                    st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
                ),
                max_leaves=5,
            ),
        )
    )
    def test_any_table_is_read_or_refused(self, table: dict[str, object]) -> None:
        try:
            self.assertIsInstance(settings_of(Outer, table, "conf.toml"), Outer)
        except ConfigError as error:
            self.assertTrue(str(error).startswith("conf.toml: "))


class FileTests(TestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "conf.toml"

    def test_a_file_that_cannot_be_read_is_named(self) -> None:
        with self.assertRaisesRegex(ConfigError, "conf.toml: file: No such file"):
            read_settings(Outer, self.file)

    def test_relative_paths_are_from_the_folder_of_the_file(self) -> None:
        for text, where in (
            ('where = "x"', self.file.parent / "x"),
            ('where = "/srv"', Path("/srv")),
            ("", self.file.parent),
        ):
            self.file.write_text(text)
            self.assertEqual(read_settings(Outer, self.file).where, where)
            self.assertEqual(
                read_settings(Outer, os.path.relpath(self.file)).where.resolve(), where.resolve()
            )

    def test_what_is_not_toml_is_said_where(self) -> None:
        for raw in (b"a = ", b"\xff", b"a = 1\na = 2", b"[" * 5000, b"# " + b"x" * (1 << 20)):
            self.file.write_bytes(raw)
            with self.assertRaisesRegex(ConfigError, "conf.toml: file: (not TOML|longer than)"):
                read_settings(Outer, self.file)
