"""Debian's nginx as a web seed: it gives files from a folder, and redirects to itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.interop.clients import STARTED
from tests.interop.hosts import Host, Program
from tests.interop.partners import program

_CONFIGURATION = """
daemon off;
user root;
worker_processes 1;
error_log {work}/error.log;
pid {work}/pid;
events {{ }}
http {{
    log_format asked escape=json '{{"connection":$connection,"port":$server_port,"status":$status,'
        '"uri":"$request_uri","sent":$body_bytes_sent,"agent":"$http_user_agent"}}';
    access_log {work}/access.log asked;
    client_body_temp_path {work}/temp;
    proxy_temp_path {work}/temp;
    fastcgi_temp_path {work}/temp;
    uwsgi_temp_path {work}/temp;
    scgi_temp_path {work}/temp;
    limit_conn_zone $binary_remote_addr zone=each:1m;
    server {{
        listen {address}:{port};
        root {root};
        {own}
    }}
    server {{
        listen {address}:{redirecting};
        return 302 http://{address}:{port}$request_uri;
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as the access log has it."""

    connection: int
    port: int
    status: int
    uri: str
    sent: int
    agent: str


class Nginx:
    """Gives what `root` holds on `port`, and redirects there on `redirecting`."""

    port = 8080
    redirecting = 8081

    def __init__(self, host: Host, work: Path, root: Path, own: str = "") -> None:
        self.host = host
        self.work = work
        self._configuration = work / "nginx.conf"
        work.mkdir(parents=True, exist_ok=True)
        self._configuration.write_text(
            _CONFIGURATION.format(
                work=work, address=host.address, port=self.port, redirecting=self.redirecting, root=root,
                own=own,
            )
        )  # fmt: skip
        self.program: Program | None = None

    def start(self) -> None:
        nginx = program("nginx")
        assert nginx is not None
        error_log = str(self.work / "start.log")
        self.program = Program(
            [nginx, "-e", error_log, "-p", self.work, "-c", self._configuration], self.host, self.work / "log"
        )
        self.program.until_listening(self.port, STARTED)

    def stop(self) -> None:
        if self.program is not None:
            self.program.stop()

    def url(self, port: int) -> str:
        return f"http://{self.host.address}:{port}/"

    def asked(self) -> list[Asked]:
        """What has been asked so far, in the order it was answered."""
        lines = (self.work / "access.log").read_text().splitlines()
        return [Asked(**json.loads(line)) for line in lines]
