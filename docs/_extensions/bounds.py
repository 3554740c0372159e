"""A directive that lists every named bound of the source with its reason: the table cannot go out of date."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

PACKAGE = Path(__file__).parents[2] / "bittwist"
SHOWN = (
    "metainfo",
    "wire",
    "announce",
    "swarm",
    "net",
    "peer",
    "storage",
    "discovery",
    "tracker",
    "session",
    "app",
)


@dataclass(frozen=True, slots=True)
class Bound:
    """A number with a name and a reason, in one module; `owner` is the settings class of a field."""

    module: str
    name: str
    value: str
    reason: str


def bounds(path: Path) -> Iterator[Bound]:
    """The named numbers of a module: its constants, and the fields of its settings, that say why."""
    text = path.read_text()
    lines = text.splitlines()
    module = path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield from _bound(module, node.targets[0].id, node.value, lines)
        elif isinstance(node, ast.ClassDef) and node.name.endswith("Settings"):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and field.value:
                    yield from _bound(module, f"{node.name}.{field.target.id}", field.value, lines)


def _bound(module: str, name: str, value: ast.expr, lines: list[str]) -> Iterator[Bound]:
    constant = "." in name or name.isupper()
    source = ast.unparse(value)
    if not constant or not re.fullmatch(r"[-+*/<() 0-9_.e]+", source):
        return
    span = (
        lines[value.lineno - 1 : value.end_lineno]
        + lines[value.end_lineno or 0 : (value.end_lineno or 0) + 1]
    )
    first = span[0].partition("  # ")[2]
    after = span[-1].strip().partition("# ")[2] if not first and span[-1].strip().startswith(")") else ""
    yield Bound(module, name, readable(source), first or after)


def readable(source: str) -> str:
    """The value of an arithmetic expression, with the units of sizes: `10 << 20` is 10 MiB."""
    if match := re.fullmatch(r"(\d+) << (10|20|30)", source):
        return f"{match[1]} {('KiB', 'MiB', 'GiB')[int(match[2]) // 10 - 1]}"
    if re.fullmatch(r"\d{5,}", source):
        return f"{int(source):,}".replace(",", "\u202f")
    return source


class Bounds(SphinxDirective):
    """``{bounds}``: a table of all of them, room by room."""

    def run(self) -> list[nodes.Node]:
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 40 14 46", ""]
        lines += ["   * - Name", "     - Value", "     - Why"]
        for room in SHOWN:
            for path in sorted((PACKAGE / room).glob("*.py")):
                self.env.note_dependency(str(path))
                for bound in bounds(path):
                    reason = bound.reason.replace("\\", "\\\\").replace("*", r"\*").replace("|", r"\|")
                    lines += [
                        f"   * - ``{bound.module}.{bound.name}``",
                        f"     - {bound.value}",
                        f"     - {reason}",
                    ]
        node = nodes.Element()
        self.state.nested_parse(StringList(lines, "bounds"), self.content_offset, node)
        return list(node.children)


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_directive("bounds", Bounds)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
