"""The handshake: its bytes, and its life as a machine."""

import json
from pathlib import Path

import pytest
from automat import NoTransition

from bittwist.errors import LocalProtocolError
from bittwist.wire.handshake import PROTOCOL, Handshake, HandshakeRecord, handshake_machine, reserved

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "wire.json").read_text())["handshake"]

OURS = Handshake(b"h" * 20, b"o" * 20)
THEIRS = Handshake(b"h" * 20, b"t" * 20)

INPUTS = {
    "dialed": (OURS,),
    "answered": (),
    "named": (),
    "admitted": (OURS,),
    "matched": (),
    "greeted": (THEIRS,),
    "refused": ("why",),
}
PATHS = {  # how each state is reached, and what may happen in it
    "idle": ([], {"dialed", "answered"}),
    "calling": (["dialed"], {"matched", "refused"}),
    "listening": (["answered"], {"named", "refused"}),
    "asking": (["answered", "named"], {"admitted", "refused"}),
    "knowing (dialed)": (["dialed", "matched"], {"greeted", "refused"}),
    "knowing (answered)": (["answered", "named", "admitted"], {"greeted", "refused"}),
    "done": (["dialed", "matched", "greeted"], set()),
    "over": (["dialed", "refused"], set()),
}


def after(path):
    record = HandshakeRecord()
    machine = handshake_machine(record)
    for name in path:
        getattr(machine, name)(*INPUTS[name])
    return record, machine


@pytest.mark.parametrize("state", PATHS)
@pytest.mark.parametrize("name", INPUTS)
def test_each_state_takes_its_inputs_and_no_others(state, name):
    path, legal = PATHS[state]
    _, machine = after(path)
    if name in legal:
        getattr(machine, name)(*INPUTS[name])
    else:
        with pytest.raises(NoTransition):
            getattr(machine, name)(*INPUTS[name])


def test_who_dials_speaks_at_once():
    assert after(["dialed"])[0].outbox == [OURS.encode()]


def test_who_is_called_speaks_once_the_torrent_is_admitted():
    assert after(["answered", "named"])[0].outbox == []
    assert after(["answered", "named", "admitted"])[0].outbox == [OURS.encode()]


def test_the_end_records_what_came_of_it():
    assert after(["dialed", "matched", "greeted"])[0].theirs == THEIRS
    assert after(["answered", "refused"])[0].refusal == "why"


def test_a_handshake_has_its_68_bytes_in_order():
    encoded = Handshake(b"h" * 20, b"p" * 20, bytes(range(8))).encode()
    assert encoded == b"\x13BitTorrent protocol" + bytes(range(8)) + b"h" * 20 + b"p" * 20
    assert len(encoded) == 68 and encoded.startswith(PROTOCOL)


@pytest.mark.parametrize("name", ["fast", "extended", "dht"])
def test_each_ability_is_one_reserved_bit(name):
    only = {"fast": False, "extended": False, "dht": False} | {name: True}
    offered = Handshake(b"h" * 20, b"p" * 20, reserved(**only))
    byte, bit = VECTORS["reserved_bits"][name]
    assert offered.reserved == bytes(bit if at == byte else 0 for at in range(8))
    assert {ability: getattr(offered, ability) for ability in only} == only


def test_parts_of_a_wrong_length_are_our_own_fault():
    with pytest.raises(LocalProtocolError):
        Handshake(b"h" * 19, b"p" * 20)
