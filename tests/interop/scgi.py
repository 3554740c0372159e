"""One request over SCGI on a Unix socket: how rtorrent is spoken to."""

import socket
from pathlib import Path


def call(path: Path, body: bytes) -> bytes:
    """Send `body`, and return the body of the answer."""
    headers = b"CONTENT_LENGTH\0%d\0SCGI\x001\0" % len(body)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(b"%d:%s,%s" % (len(headers), headers, body))
        answer = bytearray()
        while received := connection.recv(65536):
            answer += received
    return bytes(answer).partition(b"\r\n\r\n")[2]
