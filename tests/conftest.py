"""Which partners tests need: run what can run, and name what cannot."""

import os

import pytest

from tests.interop.partners import present

REQUIRED = os.environ.get("CI") == "true" or os.environ.get("REQUIRE_PARTNERS") == "1"
_left_out: dict[str, int] = {}


def _lacking(item: pytest.Item) -> list[str]:
    needed = [str(name) for mark in item.iter_markers("needs") for name in mark.args]
    return sorted({name for name in needed if not present(name)})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests whose partners are missing, unless every partner is required."""
    if REQUIRED:
        return
    missing = {item: lacking for item in items if (lacking := _lacking(item))}
    for lacking in missing.values():
        for name in lacking:
            _left_out[name] = _left_out.get(name, 0) + 1
    config.hook.pytest_deselected(items=list(missing))
    items[:] = [item for item in items if item not in missing]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if lacking := _lacking(item):
        pytest.fail(f"missing partners: {', '.join(lacking)} (make partners installs them)", pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name, count in sorted(_left_out.items()):
        terminalreporter.write_line(f"{name} is missing: {count} tests not run (make partners installs it)")
