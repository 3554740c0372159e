"""Where the programs of the interop tests run."""

from collections.abc import Iterator

import pytest

from tests.interop.hosts import Host, namespace


@pytest.fixture(scope="session")
def hosts() -> Iterator[list[Host]]:
    """Addresses of one network namespace, from which nothing can leave."""
    with namespace(9) as made:
        yield made
