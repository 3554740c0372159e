"""Our docstrings are plain sentences: what reStructuredText would read as markup in them is escaped."""

import re

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata


def escape(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    for number, line in enumerate(lines):
        line = re.sub(r"\*(?! )", r"\\*", line)
        line = line.replace("|", r"\|")
        lines[number] = re.sub(r"(?<=\w)_(?=\W|$)(?!`)", r"\\_", line)


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("autodoc-process-docstring", escape)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
