"""Reads a TOML file into the rooms' own frozen settings values.

A settings value is a dataclass with a default for every field; a table is read into a value whose fields
are the table's keys. What a value refuses by ValueError(key, reason) is reported as the file's fault.
Relative paths are from the file's own folder, wherever the program was started.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Protocol, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from bittwist.errors import ConfigError

MAX_FILE = 1 << 20  # bytes: a settings file is written by hand


class Anchored(Protocol):
    """Settings that know which of their values are paths."""

    def anchored(self, folder: Path) -> Self:
        """The same, with every relative path from `folder` on."""
        ...


_Anchored = TypeVar("_Anchored", bound=Anchored)
_Settings = TypeVar("_Settings")
_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
}


def read_settings(kind: type[_Anchored], file: str | Path) -> _Anchored:
    """The settings of that kind which the file holds; ConfigError names file, key and reason.

    Its paths, and those that it leaves at their defaults, are from the folder the file is in.
    """
    return settings_of(kind, read_table(file), str(file)).anchored(Path(file).absolute().parent)


def read_table(file: str | Path) -> dict[str, Any]:
    """The file's tables and values as they stand."""
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigError(str(file), "file", error.strerror or str(error)) from error
    if len(data) > MAX_FILE:
        raise ConfigError(str(file), "file", f"longer than {MAX_FILE} bytes")
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(str(file), "file", f"not TOML: {error}") from error


def settings_of(
    kind: type[_Settings], table: Mapping[str, Any], file: str, *, within: tuple[str, ...] = ()
) -> _Settings:
    """The value of that kind which a table describes. `within` are the names of the tables around it."""
    assert is_dataclass(kind)
    types = get_type_hints(kind)
    # Bytes, which TOML has none of, are for programs to set.
    known = [field.name for field in fields(kind) if field.init and types[field.name] is not bytes]
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise ConfigError(file, _dotted(within, key), _unknown(key, known))
        values[key] = _read(types[key], value, file, (*within, key))
    try:
        return kind(**values)
    except ValueError as error:
        match error.args:
            case (str(key), str(reason)):
                raise ConfigError(file, _dotted(within, key), reason) from error
        raise ConfigError(file, ".".join(within) or "file", str(error)) from error


def _read(kind: Any, value: Any, file: str, path: tuple[str, ...]) -> Any:
    """`value` as the field's type wants it. TOML's own types are kept apart: true is no number."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        if isinstance(value, dict):
            return settings_of(kind, value, file, within=path)
    elif origin in (Union, UnionType):
        # X | None: there is no null in TOML; who wants none leaves the key out.
        (inner,) = [argument for argument in arguments if argument is not NoneType]
        return _read(inner, value, file, path)
    elif origin is Literal:
        if value in arguments:
            return value
    elif origin is tuple:
        if isinstance(value, list):
            return tuple(_read(arguments[0], item, file, path) for item in value)
    elif kind is float:
        if type(value) in (int, float):
            return float(value)
    elif kind is Path:
        if isinstance(value, str):
            return Path(value)
    elif type(value) is kind:
        return value
    raise ConfigError(file, ".".join(path), f"must be {_wanted(kind)}, not {value!r}"[:200])


def _wanted(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return "a list"
    return "a table" if is_dataclass(kind) else _NAMES[kind]


def _unknown(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, n=1)
    return f"unknown key; did you mean {near[0]}?" if near else "unknown key"


def _dotted(within: tuple[str, ...], key: str) -> str:
    return ".".join((*within, key))
