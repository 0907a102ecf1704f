"""What gdb might send: packets of every kind, whole and damaged, and frames around them."""

from __future__ import annotations

import random

from pyemu.debug import Session
from pyemu.debug.gdb.packets import MAX_PAYLOAD, frame
from pyemu.debug.gdb.target_xml import gdb_registers
from tests.fuzz.damage import hostile_number
from tests.fuzz.debugger.lines import random_line

__all__ = ["framed", "payload"]

_RAM, _RAM_BYTES = 0x4000_0000, 16 << 20
_STARTS = (
    *(
        b"?",
        b"g",
        b"G",
        b"p",
        b"P",
        b"m",
        b"M",
        b"X",
        b"c",
        b"s",
        b"C",
        b"S",
        b"b",
        b"Z",
        b"z",
        b"H",
        b"T",
        b"D",
        b"k",
    ),
    *(
        b"v",
        b"q",
        b"Q",
        b"!",
        b"A",
        b"B",
        b"d",
        b"i",
        b"R",
        b"t",
        b"x",
        b"vCont;",
        b"vFile:",
        b"vRun;",
        b"vKill;1",
    ),
    *(
        b"qXfer:features:read:",
        b"qRcmd,",
        b"qThreadExtraInfo,",
        b"Qqemu.PhyMemMode:",
        b"qSupported:",
        b"qCRC:",
    ),
)
_QUERIES = (
    *(
        b"qC",
        b"qAttached",
        b"qfThreadInfo",
        b"qsThreadInfo",
        b"qSymbol::",
        b"qqemu.PhyMemMode",
        b"qqemu.Supported",
    ),
    *(
        b"qSupported:multiprocess+;hwbreak+;vContSupported+",
        b"qTStatus",
        b"qOffsets",
        b"vCont?",
        b"vMustReplyEmpty",
    ),
    *(b"QStartNoAckMode", b"qL1200000000000000000", b"?", b"qAttached:1", b"QNonStop:1", b"QThreadEvents:1"),
)


def _hex(rng: random.Random, bits: int = 32) -> bytes:
    """A number as gdb writes it, or nearly."""
    kind = rng.randrange(24)
    if kind == 0:
        return rng.choice(
            (b"", b"-1", b"0x1", b"g", b" 1", b"1 ", b"f" * 17, b"f" * 16, b"1_0", b"\xff", b"+4")
        )
    text = b"%x" % hostile_number(rng, 64 if kind == 1 else bits)
    return text.upper() if kind == 2 else text.zfill(8) if kind == 3 else text


def _address(rng: random.Random) -> bytes:
    if rng.randrange(2):
        return b"%x" % (
            _RAM + rng.choice((0, 0x8000, 0x8000, 0x30_0000, _RAM_BYTES - 8)) + rng.randrange(0x1100) - 8
        )
    return _hex(rng, rng.choice((32, 32, 40)))


def _data(rng: random.Random, count: int) -> bytes:
    text = rng.randbytes(count).hex().encode()
    kind = rng.randrange(12)
    if kind == 0:
        return text[: rng.randrange(len(text) + 1)]
    if kind == 1:
        return text + rng.choice((b"0", b"zz", b"xx", b"\x80", b"00" * 20))
    return text


def _registers(rng: random.Random) -> bytes:
    number = rng.choice((rng.randrange(len(gdb_registers()) + 3), 15, 16, 13, hostile_number(rng, 32)))
    if rng.randrange(2):
        return b"p%x" % number
    size = gdb_registers()[number].bits // 8 if number < len(gdb_registers()) else 4
    return b"P%x=%b" % (number, rng.choice((_data(rng, size), b"x" * 2 * size, _data(rng, 8), b"")))


def _all_registers(rng: random.Random) -> bytes:
    if rng.randrange(3) == 0:
        return b"g"
    whole = sum(each.bits // 8 for each in gdb_registers())
    return b"G" + _data(rng, rng.choice((0, 1, 3, 4, 60, 64, 68, whole - 1, whole, whole + 1, whole * 3)))


def _memory(rng: random.Random) -> bytes:
    count = rng.choice((0, 1, 2, 4, 8, 100, 0x1000, 0x1FE0, hostile_number(rng, 32), hostile_number(rng, 64)))
    if rng.randrange(2):
        return b"m%b,%x" % (_address(rng), count)
    given = min(count, rng.choice((0, 1, 4, 64, 0x1100)))
    count = given if rng.randrange(4) else count
    if rng.randrange(2):
        return b"M%b,%x:%b" % (_address(rng), count, _data(rng, given))
    return b"X%b,%x:%b" % (_address(rng), count, rng.randbytes(given))


def _point(rng: random.Random) -> bytes:
    kind = rng.choice((0, 1, 2, 3, 4, rng.randrange(9)))
    size = rng.choice((1, 2, 4, 4, 4, 8, 0, 3, 4096, 4097, hostile_number(rng, 64)))
    tail = b";X1,00" if rng.randrange(20) == 0 else b""
    return b"%b%x,%b,%x%b" % (rng.choice((b"Z", b"Z", b"z")), kind, _address(rng), size, tail)


def _thread(rng: random.Random) -> bytes:
    return rng.choice((b"1", b"1", b"2", b"4", b"0", b"-1", b"p1.1", b"p1.-1", b"5", b"ff", _hex(rng)))


def _run(rng: random.Random) -> bytes:
    kind = rng.randrange(8)
    if kind < 4:
        actions = []
        for _ in range(rng.choice((1, 1, 2, 3, 40))):
            what = rng.choice((b"c", b"c", b"s", b"s", b"C05", b"S0b", b"t", b"r8000,8010", b"", b"z"))
            actions.append(what + rng.choice((b"", b":" + _thread(rng))))
        return b"vCont;" + b";".join(actions)
    if kind == 4:
        return rng.choice((b"c", b"s")) + rng.choice((b"", b"", _address(rng)))
    if kind == 5:
        return rng.choice((b"C", b"S")) + rng.choice((b"05", b"05;" + _address(rng), b"", _hex(rng)))
    return rng.choice((b"bs", b"bc", b"bs", b"b", b"bx"))


def _features(rng: random.Random) -> bytes:
    name = rng.choice(
        (b"target.xml", b"target.xml", b"arm-core.xml", b"../../etc/passwd", b"", b"target.xml:0")
    )
    return b"qXfer:features:read:%b:%b,%b" % (name, _hex(rng, 16), rng.choice((b"ffb", b"0", _hex(rng, 64))))


def _other(rng: random.Random) -> bytes:
    return rng.choice(
        (
            rng.choice(_QUERIES),
            b"H%b%b" % (rng.choice((b"g", b"c", b"c", b"m", b"")), _thread(rng)),
            b"T" + _thread(rng),
            b"qThreadExtraInfo," + _thread(rng),
            b"Qqemu.PhyMemMode:" + rng.choice((b"0", b"1", b"0", _hex(rng), b"")),
            _features(rng),
        )
    )


def _monitor(rng: random.Random, session: Session) -> bytes:
    line = random_line(rng, session, ["/nowhere", "."]).encode()
    if rng.randrange(10) == 0:
        line += rng.randbytes(rng.choice((1, 7, 3000)))
    text = line.hex().encode()
    return b"qRcmd," + (text if rng.randrange(16) else text[: rng.randrange(len(text) + 1)] + b"x")


def payload(rng: random.Random, session: Session) -> bytes:
    """What is in a packet: mostly of the right form."""
    kind = rng.randrange(32)
    if kind < 4:
        data = _registers(rng)
    elif kind < 6:
        data = _all_registers(rng)
    elif kind < 12:
        data = _memory(rng)
    elif kind < 16:
        data = _point(rng)
    elif kind < 21:
        data = _run(rng)
    elif kind < 25:
        data = _other(rng)
    elif kind < 28:
        data = _monitor(rng, session)
    else:
        data = rng.choice(_STARTS) + rng.randbytes(rng.choice((0, 1, 4, 17, 60)))
    if rng.randrange(8) == 0 and data:
        at = rng.randrange(len(data))
        data = (
            data[:at]
            + rng.choice((b"", bytes((rng.randrange(256),)), b",", b":", b";", b"=", b"0"))
            + data[at + rng.randrange(2) :]
        )
    return data


def framed(rng: random.Random, data: bytes) -> bytes:
    """As it is sent: mostly right, else with something wrong about the frame."""
    whole = frame(data)
    kind = rng.randrange(24)
    if kind == 0:
        return whole[:-2] + b"%02x" % rng.randrange(256)
    if kind == 1:
        return whole[:-2] + rng.choice((b"zz", b"#", b"$$", b"0", b"FF", b"\x03\x03", b"-1"))
    if kind == 2:
        return whole[: rng.randrange(len(whole))]
    if kind == 3:
        return (
            rng.choice((b"$", b"#", b"}", b"$}", b"$#", b"+", b"-", b"---", b"\x03", b"\x00", b"%Stop:"))
            + whole
        )
    if kind == 4:
        raw = data + rng.choice(
            (b"}", b"}}", b"*", b"0*~", b"*\x00", b"}\x03")
        )  # escapes at the end, run-length
        return b"$%b#%02x" % (raw, sum(raw) & 0xFF)
    if kind == 5:
        at = rng.randrange(len(whole) + 1)
        return whole[:at] + rng.choice((b"\x03", b"+", b"$", b"#", b"}", b"\xff")) + whole[at:]
    if kind == 6 and rng.randrange(8) == 0:
        return frame(
            data + b"0" * rng.choice((MAX_PAYLOAD - len(data), MAX_PAYLOAD, 2 * MAX_PAYLOAD, 5 * MAX_PAYLOAD))
        )
    if kind == 7:
        return rng.randbytes(rng.choice((1, 8, 200))) + whole
    return whole
