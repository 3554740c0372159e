"""Peer ids: making ours, and naming the client behind another's (BEP 20)."""

from __future__ import annotations

import re
from collections.abc import Callable

OURS = b"-bW0100-"  # 0.1.0; no other client has these letters

# Two letters in Azureus style: the client's name, and how its version reads.
_AZUREUS: dict[str, tuple[str, str]] = {
    "AD": ("Advanced Download Manager", "three"),
    "AG": ("Ares", "four"),
    "AR": ("Arctic", "four"),
    "AX": ("BitPump", "four"),
    "AZ": ("Azureus / Vuze", "four"),
    "BC": ("BitComet", "two pairs"),
    "BF": ("Bitflu", "four"),
    "BI": ("BiglyBT", "four"),
    "BL": ("BitLord", "build"),
    "BN": ("Baidu Netdisk", "none"),
    "BR": ("BitRocket", "four"),
    "BT": ("BitTorrent", "mainline"),
    "BW": ("BitTorrent Web", "mainline"),
    "CD": ("Enhanced CTorrent", "two pairs"),
    "CT": ("CTorrent", "four"),
    "DE": ("Deluge", "three"),
    "EB": ("EBit", "four"),
    "FC": ("FileCroc", "four"),
    "FD": ("Free Download Manager", "unsure third"),
    "FG": ("FlashGet", "two pairs"),
    "FL": ("Folx", "major"),
    "FT": ("FoxTorrent", "four"),
    "FW": ("FrostWire", "three"),
    "FX": ("Freebox", "four"),
    "GS": ("GSTorrent", "four"),
    "HL": ("Halite", "three"),
    "KG": ("KGet", "four"),
    "KT": ("KTorrent", "ktorrent"),
    "LH": ("LH-ABC", "four"),
    "LP": ("Lphant", "two pairs"),
    "LT": ("libtorrent", "three"),
    "LW": ("LimeWire", "none"),
    "Lr": ("LibreTorrent", "three"),
    "MO": ("MonoTorrent", "four"),
    "MR": ("Miro", "four"),
    "PD": ("Pando", "four"),
    "PI": ("PicoTorrent", "long second"),
    "QD": ("QQDownload", "four"),
    "RT": ("Retriever", "four"),
    "SB": ("Swiftbit", "four"),
    "SZ": ("Shareaza", "four"),
    "TB": ("Torch Browser", "none"),
    "TN": ("TorrentDotNET", "four"),
    "TR": ("Transmission", "transmission"),
    "TT": ("TuoTu", "four"),
    "UL": ("uLeecher!", "four"),
    "UT": ("µTorrent", "mainline"),
    "UW": ("µTorrent Web", "mainline"),
    "WD": ("WebTorrent Desktop", "four"),
    "WS": ("HTTP Seed", "none"),
    "WT": ("BitLet", "four"),
    "WW": ("WebTorrent", "four"),
    "XF": ("Xfplay", "joined third"),
    "XL": ("Xunlei", "four"),
    "XT": ("XanTorrent", "four"),
    "XX": ("Xtorrent", "four"),
    "ZT": ("ZipTorrent", "four"),
    "bW": ("bittwist", "three"),
    "lt": ("libTorrent (rTorrent)", "three"),
    "qB": ("qBittorrent", "three"),
}
_SHADOW = {
    "A": "ABC",
    "O": "Osprey Permaseed",
    "Q": "BTQueue",
    "R": "Tribler",
    "S": "Shad0w",
    "T": "BitTornado",
    "U": "UPnP NAT BitTorrent",
}
_DASHED = {"M": "BitTorrent", "Q": "Queen Bee", "A2-": "aria2"}
_DASHED_STYLE = re.compile(r"(M|Q|A2-)(\d{1,2}-\d{1,2}-\d{1,2})-")
_SHADOW_STYLE = re.compile(r"([A-Z])([0-9A-Za-z.]{1,5})-{3,}")
_STAGES = {"A": " (Alpha)", "B": " (Beta)"}
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def generate(random: Callable[[int], bytes]) -> bytes:
    """A new peer id of ours: 20 bytes, the last twelve from `random(12)`."""
    return OURS + random(12)


def client_name(peer_id: bytes) -> str:
    """The client and version a peer id claims, as text to show; its first 8 bytes, escaped, where unknown."""
    named = _named(peer_id)
    return " ".join(filter(None, named)) if named else _escaped(peer_id[:8])


def client_software(peer_id: bytes) -> str | None:
    """The client alone, without a version: one of at most a hundred names. None where unknown."""
    named = _named(peer_id)
    return named[0] if named else None


def _named(peer_id: bytes) -> tuple[str, str] | None:
    text = peer_id[:20].decode("latin-1")
    return _azureus(text) or _dashed(text) or _shadow(text) or _singular(peer_id)


def _azureus(text: str) -> tuple[str, str] | None:
    if len(text) < 8 or text[0] != "-" or text[1:3] not in _AZUREUS:
        return None
    name, style = _AZUREUS[text[1:3]]
    version = _version(style, text[3:9])
    return None if version is None or not version.isprintable() else (name, version)


def _version(style: str, digits: str) -> str | None:
    """The version in the (up to six) characters after the letters; None if they do not fit the style."""
    first, second, third, fourth = tuple(digits[:4])
    numbers = [_number(digit) for digit in digits[:4]]
    match style:
        case "none":
            return ""
        case "major":
            return f"{first}.x"
        case "four" if None not in numbers:
            return ".".join(map(str, numbers))
        case "three" if None not in numbers[:3]:
            return ".".join(map(str, numbers[:3]))
        case "two pairs" if digits[:4].isdigit():
            return f"{int(first + second)}.{third}{fourth}"
        case "long second":
            return f"{first}.{second}{third}.{fourth}"
        case "joined third":
            return f"{first}.{second}.{third}{'' if fourth == '0' else fourth}"
        case "unsure third":
            return f"{first}.{second}.{'x' if numbers[2] is None else numbers[2]}"
        case "build":
            return f"{first}.{second}.{third}-{digits[3:]}"
        case "ktorrent":
            stage = {"D": f" Dev {fourth}", "R": f" RC {fourth}"}
            return f"{first}.{second}{stage.get(third, f'.{third}')}"
        case "mainline":
            return _mainline(digits[:5])
        case "transmission":
            return _transmission(digits[:4])
    return None


def _mainline(digits: str) -> str:
    """Hexadecimal digits, the third of two decimal ones in some, then a letter for the stage."""
    long_third = re.fullmatch(r"(\d)(\d)(\d\d)[A-Z]", digits)
    if long_third:
        return ".".join(long_third.groups())
    parts = [str(int(digit, 36)) if digit.isalnum() and digit.isascii() else "x" for digit in digits[:3]]
    return ".".join(parts) + _STAGES.get(digits[3], "")


def _transmission(digits: str) -> str | None:
    if digits.startswith("000"):
        return f"0.{digits[3]}"
    if digits.startswith("00"):
        return f"0.{digits[2:]}"
    first, second, third, stage = tuple(digits)
    numbers = [_number(digit) for digit in digits[:3]]
    if None in numbers:
        return None
    suffix = {"X": " (Dev)", "Z": " (Dev)", "B": " (Beta)"}.get(stage, "")
    if first <= "3":
        return f"{first}.{second}{third}{suffix}"
    return ".".join(map(str, numbers)) + suffix


def _dashed(text: str) -> tuple[str, str] | None:
    """`M4-3-6--`: a letter, then numbers parted by dashes."""
    match = _DASHED_STYLE.match(text)
    return (_DASHED[match[1]], match[2].replace("-", ".")) if match else None


def _shadow(text: str) -> tuple[str, str] | None:
    """`S58B-----`: a letter, up to five base-64 digits of version, dashes."""
    match = _SHADOW_STYLE.match(text)
    if match is None or match[1] not in _SHADOW or match.end() < 9:
        return None
    return _SHADOW[match[1]], ".".join(str(_number(digit) or 0) for digit in match[2])


def _singular(peer_id: bytes) -> tuple[str, str] | None:
    """Those with a style of their own (BEP 20, end)."""
    if peer_id.startswith((b"exbc", b"FUTB")) and len(peer_id) >= 10:
        name = "BitLord" if peer_id[6:10] == b"LORD" else "BitComet"
        return name, f"{peer_id[4]}.{peer_id[5]:02}"
    if match := re.match(rb"FD(\d)", peer_id):
        return "Free Download Manager", match[1].decode()
    if match := re.match(rb"TIX(\d\d)(\d\d)", peer_id):
        return "Tixati", f"{int(match[1])}.{match[2].decode()}"
    if match := re.match(rb"XBT(\d)(\d)(\d)([d-])", peer_id):
        debug = " (debug)" if match[4] == b"d" else ""
        return "XBT Client", b".".join(match.groups()[:3]).decode() + debug
    if match := re.match(rb"OP(\d{4})", peer_id):
        return "Opera", f"(build {match[1].decode()})"
    if match := re.match(rb"-ML(\d[\d.]{0,8})-", peer_id):
        return "MLdonkey", match[1].decode()
    if peer_id.startswith(b"AZ2500BT"):
        return "BitTyrant", "1.1"
    if peer_id.startswith(b"346------"):
        return "TorrenTopia", "1.90"
    return None


def _number(digit: str) -> int | None:
    place = _DIGITS.find(digit)
    return None if place < 0 else place


def _escaped(peer_id: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F and byte != 0x25 else f"%{byte:02X}" for byte in peer_id)
