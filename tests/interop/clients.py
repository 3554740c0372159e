"""Real clients and trackers as test programs: `seed`, `download`, `wait`, `stop`.

A client's `seed` returns when it listens and has its data checked; `download` returns when it listens; `wait`
returns when everything is there and verified. DHT, local discovery, port mapping and uTP are off.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xmlrpc.client
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.interop.hosts import Host, Program
from tests.interop.scgi import call

COMMAND = (sys.executable, "-m", "bittwist")
Source = Path | str  # a torrent file, or a magnet link
STARTED = 30.0  # seconds: slow machines; a client that is not up by then is broken


class Client(ABC):
    """One client on one host, with a folder of its own for its settings and its log."""

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]  # what tests.interop.partners must find

    def __init__(self, host: Host, work: Path, port: int = 6881) -> None:
        self.host = host
        self.port = port
        self.work = work
        work.mkdir(parents=True, exist_ok=True)
        self.program: Program | None = None

    @property
    def endpoint(self) -> str:
        return f"{self.host.address}:{self.port}"

    @property
    def running(self) -> Program:
        assert self.program is not None, f"{self.name} was not started"
        return self.program

    def start(self, command: Sequence[str | Path]) -> Program:
        self.program = Program(command, self.host, self.work / "log", folder=self.work)
        return self.program

    @abstractmethod
    def seed(self, torrent: Path, folder: Path, peers: Sequence[str] = ()) -> None:
        """Share what `torrent` names and `folder` holds; returns when it is ready."""

    @abstractmethod
    def download(self, torrent: Source, folder: Path, peers: Sequence[str] = ()) -> None:
        """Begin to download into `folder`; from `peers` (HOST:PORT) where the client can be told them."""

    @abstractmethod
    def wait(self, timeout: float) -> None:
        """Until all is there and verified."""

    def stop(self) -> None:
        if self.program is not None:
            self.program.stop()


class Talking(Client):
    """A client that prints bittwist's events as lines of JSON."""

    @abstractmethod
    def command(self, role: str, torrent: Source, folder: Path) -> list[str | Path]: ...

    def _launch(self, role: str, torrent: Source, folder: Path, peers: Sequence[str]) -> None:
        told = [word for peer in peers for word in ("--peer", peer)]
        where = ["--bind", self.host.address, "--port", str(self.port)]
        program = self.start([*self.command(role, torrent, folder), *where, *told])
        self.port = int(str(program.until_event("listening", STARTED)["port"]))

    def seed(self, torrent: Path, folder: Path, peers: Sequence[str] = ()) -> None:
        self._launch("seed", torrent, folder, peers)
        self.wait(STARTED)

    def download(self, torrent: Source, folder: Path, peers: Sequence[str] = ()) -> None:
        self._launch("download", torrent, folder, peers)

    def wait(self, timeout: float) -> None:
        self.running.until_event("complete", timeout)


class Bittwist(Talking):
    name = "bittwist"
    needs = ()
    stays: bool = True  # go on seeding after a download

    def command(self, role: str, torrent: Source, folder: Path) -> list[str | Path]:
        if role == "seed":
            return [*COMMAND, "seed", torrent, folder, "--json"]
        return [*COMMAND, "download", torrent, "-o", folder, "--json", *(["--seed"] if self.stays else [])]


class Lonely(Bittwist):
    """bittwist with no source of peers but trackers and what it is told."""

    def command(self, role: str, torrent: Source, folder: Path) -> list[str | Path]:
        return [*super().command(role, torrent, folder), "--no-pex", "--no-lsd"]


class Once(Lonely):
    """It ends when its download is complete."""

    stays = False

    def wait(self, timeout: float) -> None:
        super().wait(timeout)
        assert self.running.wait(timeout) == 0, self.running.output


class Libtorrent(Talking):
    name = "libtorrent"
    needs = ("libtorrent",)
    tuned: bool = False
    at_most: int = 0  # bytes/s it downloads; 0: as fast as it can
    looks_around: bool = False  # local discovery

    def command(self, role: str, torrent: Source, folder: Path) -> list[str | Path]:
        script = Path(__file__).with_name("libtorrent_peer.py")
        limit = ["--download-limit", str(self.at_most)] if self.at_most else []
        flags = [*(["--tuned"] if self.tuned else []), *(["--lsd"] if self.looks_around else [])]
        return [sys.executable, script, torrent, folder, *flags, *limit]


class Transmission(Client):
    """transmission-daemon: finds peers by tracker only, and refuses those in 127.0.0.0/8."""

    name = "transmission"
    needs = ("transmission-daemon", "transmission-remote", "ip", "root")
    rpc_port = 9091

    def seed(self, torrent: Path, folder: Path, peers: Sequence[str] = ()) -> None:
        self.download(torrent, folder)
        self._remote("--torrent", "all", "--verify")
        self.wait(STARTED)

    def download(self, torrent: Source, folder: Path, peers: Sequence[str] = ()) -> None:
        settings = {
            "bind-address-ipv4": self.host.address,
            "peer-port": self.port,
            "rpc-bind-address": self.host.address,
            "rpc-port": self.rpc_port,
            "rpc-whitelist-enabled": False,
            "rpc-host-whitelist-enabled": False,
            "download-dir": str(folder),
            "dht-enabled": False,
            "lpd-enabled": False,
            "pex-enabled": False,
            "utp-enabled": False,
            "port-forwarding-enabled": False,
            "blocklist-enabled": False,
            "encryption": 0,
        }
        (self.work / "settings.json").write_text(json.dumps(settings))
        program = self.start(["transmission-daemon", "--foreground", "--config-dir", self.work])
        program.until_listening(self.rpc_port, STARTED)
        program.until_listening(self.port, STARTED)
        self._remote("--add", str(torrent), "--download-dir", str(folder))

    def wait(self, timeout: float) -> None:
        def done() -> bool:
            shown = self._remote("--torrent", "all", "--info")
            return "Percent Done: 100%" in shown and ("State: Seeding" in shown or "State: Idle" in shown)

        self.running.until(done, timeout, "complete")

    def _remote(self, *words: str) -> str:
        command = [*self.host.prefix, "transmission-remote", f"{self.host.address}:{self.rpc_port}", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=STARTED).stdout


class Aria2(Client):
    """aria2c: finds peers by tracker only; a hook tells when it has everything."""

    name = "aria2"
    needs = ("aria2c",)
    dht: bool = False  # without it aria2 has no UDP trackers

    def seed(self, torrent: Path, folder: Path, peers: Sequence[str] = ()) -> None:
        self._launch(torrent, folder, "--bt-seed-unverified=true", "--allow-overwrite=true")

    def download(self, torrent: Source, folder: Path, peers: Sequence[str] = ()) -> None:
        self._launch(torrent, folder)

    def _launch(self, torrent: Source, folder: Path, *words: str) -> None:
        hook = self.work / "completed"
        hook.write_text(f"#!/bin/sh\n: > '{self.work}/complete'\n")
        hook.chmod(0o755)
        command = [
            "aria2c",
            "--no-conf",
            f"--dir={folder}",
            f"--listen-port={self.port}",
            f"--interface={self.host.address}",
            f"--on-bt-download-complete={hook}",
            f"--stop-with-process={os.getpid()}",
            "--seed-ratio=0",
            "--file-allocation=none",
            f"--enable-dht={str(self.dht).lower()}",
            f"--dht-file-path={self.work / 'dht'}",
            f"--dht-listen-port={self.port}",
            "--enable-dht6=false",
            "--bt-enable-lpd=false",
            "--enable-peer-exchange=false",
            "--disable-ipv6=true",
            "--summary-interval=0",
            "--show-console-readout=false",
        ]
        self.start([*command, *words, torrent]).until_listening(self.port, STARTED)

    def wait(self, timeout: float) -> None:
        self.running.until((self.work / "complete").exists, timeout, "complete")


class Rtorrent(Client):
    """rtorrent without its screen, spoken to over its SCGI socket."""

    name = "rtorrent"
    needs = ("rtorrent",)

    def seed(self, torrent: Path, folder: Path, peers: Sequence[str] = ()) -> None:
        self.download(torrent, folder, peers)
        self.wait(STARTED)

    def download(self, torrent: Source, folder: Path, peers: Sequence[str] = ()) -> None:
        session = self.work / "session"
        session.mkdir()
        settings = {
            "system.daemon.set": "true",
            "session.path.set": session,
            "network.scgi.open_local": self._socket,
            "network.bind_address.set": self.host.address,
            "network.port_range.set": f"{self.port}-{self.port}",
            "network.port_random.set": "no",
            "dht.mode.set": "disable",
            "protocol.pex.set": "no",
            "protocol.encryption.set": "none",
            "trackers.use_udp.set": "no",
            "pieces.hash.on_completion.set": "no",
        }
        configuration = self.work / "rtorrent.rc"
        configuration.write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
        program = self.start(["rtorrent", "-n", "-o", f"import={configuration}"])
        program.until_listening(self.port, STARTED)
        program.until(self._socket.exists, STARTED, "its socket")
        self._call("load.start", "", str(torrent), f'd.directory.set="{folder}"')
        program.until(lambda: bool(self._torrents()), STARTED, "torrent loaded")
        for peer in peers:
            self._call("add_peer", self._torrents()[0], peer)

    def wait(self, timeout: float) -> None:
        torrent = self._torrents()[0]

        def done() -> bool:
            return self._call("d.complete", torrent) == 1 and self._call("d.hashing", torrent) == 0

        self.running.until(done, timeout, "complete")

    @property
    def _socket(self) -> Path:
        return self.work / "rpc"

    def _torrents(self) -> list[str]:
        answer = self._call("download_list", "")
        assert isinstance(answer, list)
        return [str(item) for item in answer]

    def _call(self, method: str, *arguments: str) -> object:
        reply = call(self._socket, xmlrpc.client.dumps(arguments, method).encode())
        return xmlrpc.client.loads(reply)[0][0]


class Opentracker:
    """opentracker, which serves only the info hashes it is given, and closes after every answer."""

    name = "opentracker"
    needs = ("opentracker", "root")  # it changes its root folder and its user

    def __init__(self, host: Host, work: Path, port: int = 6969) -> None:
        self.host = host
        self.port = port
        self.work = work
        self.program: Program | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host.address}:{self.port}/announce"

    def start(self, info_hashes: Sequence[str]) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        root = self.work / "root"
        root.mkdir(mode=0o755)
        allowed = root / "allowed"
        allowed.write_text("".join(f"{info_hash}\n" for info_hash in info_hashes))
        where = ["-i", self.host.address, "-p", str(self.port), "-P", str(self.port)]
        command = [
            "opentracker",
            *where,
            "-d",
            str(root),
            "-w",
            "/allowed",
        ]  # it looks after its change of root
        self.program = Program(command, self.host, self.work / "log", folder=self.work)
        self.program.until_listening(self.port, STARTED)

    def stop(self) -> None:
        if self.program is not None:
            self.program.stop()


class BittwistTracker:
    """Our own tracker, as `twistd` runs it, over HTTP and UDP."""

    name = "bittwist-tracker"
    needs = ()

    def __init__(self, host: Host, work: Path, port: int = 6969) -> None:
        self.host = host
        self.port = port
        self.work = work
        self.program: Program | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host.address}:{self.port}/announce"

    @property
    def udp_url(self) -> str:
        return f"udp://{self.host.address}:{self.port}/announce"

    def start(self, info_hashes: Sequence[str]) -> None:
        """It serves any info hash, so these are not looked at."""
        self.work.mkdir(parents=True, exist_ok=True)
        twistd = Path(sys.executable).with_name("twistd")
        http, udp = f"tcp:{self.port}:interface={self.host.address}", f"{self.host.address}:{self.port}"
        options = ["--nodaemon", "--pidfile=", "bittwist-tracker", "--http", http, "--udp", udp]
        self.program = Program([twistd, *options], self.host, self.work / "log")
        self.program.until_listening(self.port, STARTED)

    def stop(self) -> None:
        if self.program is not None:
            self.program.stop()
