"""Sphinx settings. `make docs` builds with -W: a warning is an error."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_extensions")]

from bittwist import __version__  # noqa: E402  # the path has to be set first

project = "bittwist"
author = "the bittwist authors"
copyright = "2026, the bittwist authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "bounds", "plain_docstrings"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
autodoc_preserve_defaults = True
default_role = "code"

html_theme = "furo"
html_title = f"bittwist {version}"
