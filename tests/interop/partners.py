"""The other programs that tests and benchmarks talk to: which are here, and how to install them on Debian.

What npm brings is named in npm/package.json and lies in npm/node_modules.

Standard library only, so that it runs before anything is installed:
`python -m tests.interop.partners install` (root) or `… check`; both exit 1 when one is missing at the end.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = {  # program: the Debian package it is in
    "transmission-daemon": "transmission-daemon",
    "transmission-remote": "transmission-cli",
    "aria2c": "aria2",
    "opentracker": "opentracker",
    "rtorrent": "rtorrent",
    "mktorrent": "mktorrent",
    "tmux": "tmux",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "redis-server": "redis-server",
    "redis-cli": "redis-tools",
    "node": "nodejs",
    "npm": "npm",
    "chromium": "chromium",
    "nginx": "nginx",
}
MODULES = {"libtorrent": "libtorrent", "playwright": "playwright"}  # as above; the extra `partners` of PyPI
NPM = Path(__file__).with_name("npm")
PACKAGES = ("webtorrent", "bittorrent-tracker")  # of npm

POLICY = Path("/usr/sbin/policy-rc.d")  # Debian asks it before it starts a service
KEPT = POLICY.with_name("policy-rc.d.before-bittwist")


def present(name: str) -> bool:
    """Is this program, module or privilege here?"""
    if name == "root":
        return os.geteuid() == 0
    if name in MODULES:
        return importlib.util.find_spec(name) is not None
    if name in PACKAGES:
        return installed(name)
    return program(name) is not None


def installed(name: str) -> bool:
    """Is this package of npm here, in the version that is asked for?"""
    wanted = json.loads((NPM / "package.json").read_text())["dependencies"][name]
    try:
        found = json.loads((NPM / "node_modules" / name / "package.json").read_text())["version"]
    except FileNotFoundError:
        return False
    return bool(found == wanted)


def program(name: str) -> str | None:
    """The path of a program; Debian keeps some outside an ordinary user's PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def missing() -> list[str]:
    """What is not here, by name."""
    return [name for name in (*PROGRAMS, *MODULES, *PACKAGES) if not present(name)]


@contextmanager
def services_kept_from_starting() -> Iterator[None]:
    """Debian's daemons start themselves on installation; for the time of it they do not."""
    if POLICY.exists() and not KEPT.exists():
        POLICY.rename(KEPT)
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
        if KEPT.exists():
            KEPT.rename(POLICY)


def install() -> None:
    """Install what is missing: Debian's packages, then those of npm."""
    install_programs()
    if program("npm") is not None and not all(present(name) for name in PACKAGES):
        # No package's script runs; those that would build or fetch something native are done without.
        subprocess.run(["npm", "ci", "--ignore-scripts", "--silent"], check=True, cwd=NPM)


def install_programs() -> None:
    wanted = sorted({package for name, package in PROGRAMS.items() if not present(name)})
    if not wanted:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print("these need root and apt-get: " + " ".join(wanted), file=sys.stderr)
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with services_kept_from_starting():
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *wanted]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def main(arguments: list[str]) -> int:
    if arguments not in (["install"], ["check"]):
        print(__doc__, file=sys.stderr)
        return 2
    if arguments == ["install"]:
        install()
    lacking = missing()
    if lacking:
        print("missing partners: " + ", ".join(lacking), file=sys.stderr)
        return 1
    print("partners: " + ", ".join((*PROGRAMS, *MODULES, *PACKAGES)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
