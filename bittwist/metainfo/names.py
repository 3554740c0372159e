"""One name from a stranger, made safe for a file system (the rules of A0 to A9 in the security notes).

Tried so far: parents, absolute paths, separators inside names, device names, names that differ only in
invisible characters, names too long to be written.
"""

from __future__ import annotations

import re
from unicodedata import category, normalize

MAX_COMPONENT = 255  # bytes in a file's name, on every file system in use
CUT_COMPONENT = 240  # what longer ones are cut to: a suffix for twins still fits
MAX_EXTENSION = 24  # characters after the last dot that a cut leaves in place
MAX_CONSIDERED = 1024  # characters of a name that are looked at: normalising long runs of marks is quadratic
MAX_PATH_DEPTH = 100  # folders in folders; no honest torrent comes near, and each costs a descriptor to walk

RESERVED = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]  # devices, on Windows, whatever the extension
    + [f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789\u00b9\u00b2\u00b3"]
)

_PLAIN = re.compile(r"[A-Za-z0-9_(\[](?:[A-Za-z0-9_()\[\]{}!#$%&'+,;=@^`~. -]{0,238}[A-Za-z0-9_)\]])?")
_REFUSED = re.compile("[\ufffd\x00]+")
_REFUSED_PORTABLE = re.compile('[\ufffd\x00<>:"|?*]+')
_SEPARATORS = re.compile(r"[/\\]")


def safe_parts(component: str, portable: bool) -> tuple[str, ...]:
    """The parts that one listed component makes: none for `.` and `..`, several where it holds separators."""
    if _PLAIN.fullmatch(component) and not (portable and _is_reserved(component)):
        return (component,)
    pieces = _SEPARATORS.split(component, maxsplit=MAX_PATH_DEPTH + 1)
    return tuple(_clean(piece, portable) for piece in pieces if piece not in ("", ".", ".."))


def fold(name: str) -> str:
    """What two names share where a file system may take them for the same: NFC and case folding."""
    return normalize("NFC", normalize("NFC", name).casefold()).casefold()


def split_extension(name: str) -> tuple[str, str]:
    """The name up to its last dot, and the rest; a long rest is no extension."""
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > MAX_EXTENSION:
        return name, ""
    return stem, dot + extension


def cut(name: str) -> str:
    """The name cut to 240 bytes of UTF-8, its extension kept."""
    stem, extension = split_extension(name)
    room = CUT_COMPONENT - len(extension.encode())
    return stem.encode()[:room].decode(errors="ignore") + extension


def _clean(text: str, portable: bool) -> str:
    if len(text) > MAX_CONSIDERED:
        text = text[: MAX_CONSIDERED - MAX_EXTENSION] + text[-MAX_EXTENSION:]
    text = normalize("NFC", "".join(_visible(character) for character in text))
    text = (_REFUSED_PORTABLE if portable else _REFUSED).sub("_", text)
    if portable:
        text = text.lstrip(" ").rstrip(". ")
        if _is_reserved(text):
            text = f"_{text}"
    if len(text.encode()) > MAX_COMPONENT:
        text = cut(text)
        if portable:
            text = text.rstrip(". ")
    return text if text not in ("", ".", "..") else "_"


def _visible(character: str) -> str:
    """The character; nothing for invisible ones (bidi marks, zero widths); NUL for controls and the like."""
    if character < "\x7f":
        return character if character >= " " else "\0"
    kind = category(character)
    if kind == "Cf" or character == "\u034f":  # the combining grapheme joiner, invisible too
        return ""
    return "\0" if kind in ("Cc", "Cs", "Zl", "Zp") else character


def _is_reserved(name: str) -> bool:
    return name.partition(".")[0].rstrip(" ").casefold() in RESERVED
