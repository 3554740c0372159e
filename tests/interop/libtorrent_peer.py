"""libtorrent as a program that says what `bittwist seed --json` and `bittwist download --json` say.

Run as a process, so that its CPU seconds and memory are its own and its crash is not ours. SIGTERM closes the
session properly: killed, libtorrent loses blocks that it has reported but not yet written.
"""

import argparse
import json
import signal
import sys
import time
from typing import Any

import libtorrent as lt

QUIET = {  # nothing but TCP, peers and trackers; several peers behind one address
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_outgoing_utp": False,
    "enable_incoming_utp": False,
    "allow_multiple_connections_per_ip": True,
    "ssrf_mitigation": False,
    "out_enc_policy": 2,
    "in_enc_policy": 2,
    "listen_system_port_fallback": False,
    "alert_mask": int(lt.alert.category_t.error_notification | lt.alert.category_t.status_notification),
}
TUNED = {  # what made it faster on two cores; compare with its defaults before you believe it
    "aio_threads": 4,
    "hashing_threads": 2,
    "send_buffer_watermark": 3 << 20,
    "send_buffer_watermark_factor": 150,
    "max_out_request_queue": 2000,
    "max_queued_disk_bytes": 64 << 20,
    "send_socket_buffer_size": 1 << 20,
    "recv_socket_buffer_size": 1 << 20,
}
NAP = 0.02  # seconds between looks at the torrent: how finely the time of completion is known


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("torrent", help="a torrent file or a magnet link")
    parser.add_argument("folder", help="where the torrent's file or folder is, or is to be")
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--peer", action="append", default=[], metavar="HOST:PORT")
    parser.add_argument("--tuned", action="store_true")
    parser.add_argument("--lsd", action="store_true")
    parser.add_argument("--download-limit", type=int, default=0, metavar="BYTES/S")
    return parser.parse_args()


def torrent_parameters(chosen: argparse.Namespace) -> Any:
    if chosen.torrent.startswith("magnet:"):
        parameters = lt.parse_magnet_uri(chosen.torrent)
    else:
        parameters = lt.add_torrent_params()
        parameters.ti = lt.torrent_info(chosen.torrent)
    parameters.save_path = chosen.folder
    parameters.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if chosen.download_limit:
        parameters.download_limit = chosen.download_limit
    return parameters


def watch(torrent: Any, chosen: argparse.Namespace, stopping: list[int]) -> None:
    """Say what happens until a signal comes."""
    checked = complete = False
    said_at = 0.0
    while not stopping:
        status = torrent.status()
        if status.errc.value():
            say(event="failed", reason=status.errc.message())
            sys.exit(1)
        if not checked and status.state not in (
            lt.torrent_status.checking_files,
            lt.torrent_status.checking_resume_data,
        ):
            checked = True
            for peer in chosen.peer:
                host, _, port = peer.rpartition(":")
                torrent.connect_peer((host, int(port)))
        if checked and not complete and status.is_seeding:
            complete = True
            say(event="complete", path=chosen.folder)
        if time.monotonic() - said_at > 0.25:
            said_at = time.monotonic()
            say(
                event="progress",
                done=status.total_wanted_done,
                total=status.total_wanted,
                download_rate=status.download_payload_rate,
                upload_rate=status.upload_payload_rate,
                peers=status.num_peers,
            )
        time.sleep(NAP)


def main() -> None:
    chosen = options()
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, _: stopping.append(signum))
    settings: Any = {
        **QUIET,
        "listen_interfaces": f"{chosen.bind}:{chosen.port}",
        "outgoing_interfaces": chosen.bind,
    }
    if chosen.lsd:
        settings["enable_lsd"] = True
    if chosen.tuned:
        settings.update(TUNED)
    session = lt.session(settings)
    while not session.is_listening():
        time.sleep(NAP)
    torrent = session.add_torrent(torrent_parameters(chosen))
    say(event="listening", address=chosen.bind, port=session.listen_port())
    watch(torrent, chosen, stopping)
    torrent.flush_cache()
    session.pause()
    del torrent, session  # the last reference closes the session, and waits for its disk threads


if __name__ == "__main__":
    main()
