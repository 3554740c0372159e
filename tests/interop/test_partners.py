"""Installing partners: no service starts meanwhile, and what was there before is there again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import partners


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "policy-rc.d"
    monkeypatch.setattr(partners, "POLICY", path)
    monkeypatch.setattr(partners, "KEPT", path.with_name("kept"))
    yield path
    assert not path.with_name("kept").exists()


def test_services_are_kept_from_starting_and_the_rule_goes_afterwards(policy: Path) -> None:
    with partners.services_kept_from_starting():
        assert "exit 101" in policy.read_text()
        assert policy.stat().st_mode & 0o111
    assert not policy.exists()


def test_a_rule_of_the_machine_comes_back_even_after_a_failure(policy: Path) -> None:
    policy.write_text("the machine's own")
    with pytest.raises(OSError), partners.services_kept_from_starting():
        raise OSError("the installation failed")
    assert policy.read_text() == "the machine's own"


def test_a_rule_left_over_by_an_interrupted_installation_is_not_taken_for_the_machines(policy: Path) -> None:
    policy.write_text("ours, left over")
    partners.KEPT.write_text("the machine's own")
    with partners.services_kept_from_starting():
        assert "exit 101" in policy.read_text()
    assert policy.read_text() == "the machine's own"


def test_what_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(partners.PROGRAMS, "no-such-program", "no-such-package")
    assert "no-such-program" in partners.missing()


def test_a_package_of_npm_in_another_version_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package.json").write_text('{"dependencies": {"webtorrent": "2.8.5"}}')
    monkeypatch.setattr(partners, "NPM", tmp_path)
    assert not partners.present("webtorrent")
    package = tmp_path / "node_modules" / "webtorrent" / "package.json"
    package.parent.mkdir(parents=True)
    package.write_text('{"version": "2.8.4"}')
    assert not partners.present("webtorrent")
    package.write_text('{"version": "2.8.5"}')
    assert partners.present("webtorrent")
