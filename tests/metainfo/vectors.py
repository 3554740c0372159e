"""Reads tests/vectors."""

import json
from pathlib import Path
from typing import Any


def load(name: str) -> Any:
    return json.loads((Path(__file__).parents[1] / "vectors" / f"{name}.json").read_text())
