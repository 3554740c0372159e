"""A program that writes down every packet of its network namespace: who sent it, to whom, and what for.

One JSON object for each kind of packet, at the end (SIGTERM). `words` are those of its arguments that the
packets of that kind have in them.
"""

import json
import signal
import socket
import sys
from ipaddress import ip_address
from types import FrameType

EVERYTHING = 0x0003  # ETH_P_ALL
PROTOCOLS = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 58: "icmp6"}
OUTGOING = 4  # PACKET_OUTGOING: the same packet once more, on loopback
LARGEST = 1 << 17

Kind = tuple[str, str, str, int, int]  # protocol, from, to, and the ports


def kind_of(frame: bytes) -> tuple[Kind, bytes]:
    """What a frame of an Ethernet or loopback device is, and its payload."""
    ether, packet = int.from_bytes(frame[12:14], "big"), frame[14:]
    if ether == 0x0800:
        header, number = (packet[0] & 15) * 4, packet[9]
        ends = packet[12:16], packet[16:20]
    elif ether == 0x86DD:
        header, number = 40, packet[6]
        ends = packet[8:24], packet[24:40]
    else:
        return (f"ether {ether:04x}", "", "", 0, 0), packet
    payload = packet[header:]
    name = PROTOCOLS.get(number, str(number))
    ports = [int.from_bytes(payload[at : at + 2], "big") if name in ("tcp", "udp") else 0 for at in (0, 2)]
    source, target = (str(ip_address(end)) for end in ends)
    return (name, source, target, ports[0], ports[1]), payload


def main() -> None:
    words = [word.encode() for word in sys.argv[1:]]
    seen: dict[Kind, set[bytes]] = {}

    def finish(number: int, frame: FrameType | None) -> None:
        for kind, found in seen.items():
            keys = ("protocol", "source", "target", "source_port", "target_port")
            told = dict(zip(keys, kind), event="packets", words=sorted(word.decode() for word in found))
            print(json.dumps(told))
        sys.exit(0)

    signal.signal(signal.SIGTERM, finish)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING)) as capture:
        print(json.dumps({"event": "listening"}), flush=True)
        while True:
            frame, origin = capture.recvfrom(LARGEST)
            if origin[0] == "lo" and origin[2] == OUTGOING:
                continue
            kind, payload = kind_of(frame)
            seen.setdefault(kind, set()).update(word for word in words if word in payload)


if __name__ == "__main__":
    main()
