"""ARM instructions made at random, each with what it reads, writes and accesses by the architecture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import strategies as st

FLAGS = "flags"
NOTHING: frozenset[int | str] = frozenset()


@dataclass(frozen=True)
class Insn:
    """Core registers are numbers, others names: "flags", "d7".

    ``kinds``: L or S for each access in order. ``address``: what it is made of; ``base`` gets the address and
    ``step`` back. ``partly``: what keeps a part of its old value.
    """

    word: int
    reads: frozenset[int | str] = NOTHING
    writes: frozenset[int | str] = NOTHING
    partly: frozenset[int | str] = NOTHING
    address: frozenset[int | str] = NOTHING
    step: frozenset[int | str] = NOTHING
    base: int | None = None
    kinds: str = ""
    conditional: bool = False


Draw = Callable[[st.SearchStrategy], int]
core = st.integers(0, 14)
low = st.integers(0, 12)
bit = st.integers(0, 1)
ALWAYS = 0xE000_0000


def some(*registers: int | str) -> frozenset[int | str]:
    return frozenset(registers)


def arithmetic(draw: Draw) -> Insn:
    opcode = draw(st.sampled_from([1, 2, 3, 4, 5, 12, 13, 14, 15]))
    rn, rd, rm, rs = draw(core), draw(core), draw(core), draw(low)
    flags = opcode in (2, 3, 4) and draw(bit)  # the others would leave V as it was
    word = ALWAYS | opcode << 21 | flags << 20 | rd << 12 | rm
    word |= 0 if opcode in (13, 15) else rn << 16
    reads = some(rm) if opcode in (13, 15) else some(rn, rm)
    if draw(bit):
        word |= rs << 8 | draw(st.integers(0, 3)) << 5 | 1 << 4
        reads |= some(rs)
    else:
        kind, amount = draw(st.integers(0, 3)), draw(st.integers(0, 31))
        word |= amount << 7 | kind << 5
        reads |= some(FLAGS) if kind == 3 and not amount else NOTHING  # RRX
    reads |= some(FLAGS) if opcode == 5 else NOTHING
    return Insn(word, reads, some(rd, FLAGS) if flags else some(rd))


def compare(draw: Draw) -> Insn:
    rn, rm, test = draw(core), draw(core), draw(bit)
    word = ALWAYS | (0x0110_0000 if test else 0x0150_0000) | rn << 16 | rm
    return Insn(word, some(rn, rm), some(FLAGS), some(FLAGS) if test else NOTHING)


def constant(draw: Draw) -> Insn:
    rd, value = draw(core), draw(st.integers(0, 0xFFFF))
    word = rd << 12 | (value & 0xF000) << 4 | value & 0xFFF
    top = draw(bit)
    return Insn(word | (0xE340_0000 if top else 0xE300_0000), some(rd) if top else NOTHING, some(rd))


def multiply(draw: Draw) -> Insn:
    rd, rn, rm, ra = draw(low), draw(low), draw(low), draw(low)
    form = draw(st.integers(0, 4))
    word = 0xE000_0090 | rd << 16 | rm << 8 | rn
    if form == 0:
        return Insn(word, some(rn, rm), some(rd))
    if form == 1:
        return Insn(word | 0x0020_0000 | ra << 12, some(rn, rm, ra), some(rd))
    ra = (rd + 1) % 13 if ra == rd else ra
    word |= ra << 12 | {2: 0x0080_0000, 3: 0x00A0_0000, 4: 0x00E0_0000}[form]
    return Insn(word, some(rn, rm) if form == 2 else some(rn, rm, rd, ra), some(rd, ra))


def media(draw: Draw) -> Insn:
    rd, rn, rm = draw(low), draw(low), draw(low)
    form = draw(st.integers(0, 4))
    if form == 0:  # UXTAB
        return Insn(0xE6E0_0070 | rn << 16 | rd << 12 | rm, some(rn, rm), some(rd))
    if form == 1:  # BFI of eight bits
        return Insn(0xE7C7_0010 | rd << 12 | rm, some(rd, rm), some(rd))
    if form == 2:  # PKHBT
        return Insn(0xE680_0210 | rn << 16 | rd << 12 | rm, some(rn, rm), some(rd))
    if form == 3:  # SSAT to eight bits
        return Insn(0xE6A7_0010 | rd << 12 | rm, some(rm), some(rd))
    return Insn(0xE16F_0F10 | rd << 12 | rm, some(rm), some(rd))  # CLZ


def indexing(draw: Draw) -> tuple[int, int, bool, bool]:
    """Bits P and W, then whether the base is written back and whether that comes after the access."""
    pre, write = draw(bit), draw(bit)
    return pre, write & pre, bool(not pre or write), not pre


def transfer(insn: Insn, rn: int, rm: int | None, back: bool, post: bool) -> Insn:
    offset = NOTHING if rm is None else some(rm)
    insn = replace(insn, base=rn if back else None)
    if post:
        return replace(insn, address=some(rn), step=offset)
    return replace(insn, address=insn.address | some(rn) | offset)


def word_or_byte(draw: Draw) -> Insn:
    rn, rt, rm = draw(core), draw(core), draw(core)
    pre, write, back, post = indexing(draw)
    rt = (rt + 1) % 15 if back and rt == rn else rt
    load, by_register = draw(bit), draw(bit)
    word = 0xE400_0000 | pre << 24 | draw(bit) << 23 | draw(bit) << 22 | write << 21 | load << 20
    word |= rn << 16 | rt << 12
    address = NOTHING
    if by_register:
        kind, amount = draw(st.integers(0, 3)), draw(st.integers(0, 31))
        word |= 1 << 25 | amount << 7 | kind << 5 | rm
        address = some(FLAGS) if kind == 3 and not amount and not post else NOTHING
    else:
        word |= draw(st.integers(0, 0xFFF))
    insn = Insn(word, *((NOTHING, some(rt)) if load else (some(rt), NOTHING)), kinds="L" if load else "S")
    if by_register and post and word >> 5 & 3 == 3 and not word >> 7 & 31:
        word |= 1 << 7  # a step by RRX would depend on flags too
        insn = replace(insn, word=word)
    return transfer(replace(insn, address=address), rn, rm if by_register else None, back, post)


def half_or_double(draw: Draw) -> Insn:
    rn, rt, rm = draw(low), draw(low), draw(low)
    pre, write, back, post = indexing(draw)
    form = draw(st.sampled_from(["ldrh", "strh", "ldrsb", "ldrsh", "ldrd", "strd"]))
    load = form != "strh" and form[0] == "l"
    data = [rt & 14, rt & 14 | 1] if form in ("ldrd", "strd") else [rt]
    if back and rn in data:
        rn = (rn + 2) % 13
        rn = rn if rn not in data else 14
    rm = 14 if rm in data else rm
    low_bits = {"ldrh": 1, "strh": 1, "ldrsb": 2, "ldrsh": 3, "ldrd": 2, "strd": 3}[form]
    word = (
        ALWAYS | pre << 24 | draw(bit) << 23 | write << 21 | 0x90 | low_bits << 5 | rn << 16 | data[0] << 12
    )
    word |= (load and form != "ldrd") << 20
    by_register = draw(bit)
    if by_register:
        word |= rm
    else:
        word |= 1 << 22 | draw(st.integers(0, 15)) << 8 | draw(st.integers(0, 15))
    sides = (NOTHING, frozenset(data)) if load else (frozenset(data), NOTHING)
    kinds = ("L" if load else "S") * len(data)
    return transfer(Insn(word, *sides, kinds=kinds), rn, rm if by_register else None, back, post)


def several(draw: Draw) -> Insn:
    rn, load, write = draw(core), draw(bit), draw(bit)
    registers = draw(st.integers(1, 0x7FFF))  # type: ignore[arg-type]
    if write:
        registers &= ~(1 << rn)
        registers |= 0 if registers else 1 << (rn + 1) % 15
    word = 0xE800_0000 | draw(st.integers(0, 3)) << 23 | write << 21 | load << 20 | rn << 16 | registers
    data: frozenset[int | str] = frozenset(r for r in range(15) if registers >> r & 1)
    insn = Insn(word, *((NOTHING, data) if load else (data, NOTHING)), kinds="LS"[not load] * len(data))
    return transfer(insn, rn, None, bool(write), False)


def double_name(number: int) -> str:
    return f"d{number}"


def vfp_transfer(draw: Draw) -> Insn:
    rn, load, double = draw(core), draw(bit), draw(bit)
    if draw(bit):  # VLDR, VSTR
        count, back, word = 1, False, 0xED00_0A00 | draw(bit) << 23 | draw(st.integers(0, 255))
    else:
        count, form = draw(st.integers(1, 16)), draw(st.integers(0, 2))
        word = (0xEC80_0A00, 0xECA0_0A00, 0xED20_0A00)[form] | count << double
        back = form > 0
    first = draw(st.integers(0, 32 - count))
    if double:
        word |= 1 << 8 | (first >> 4) << 22 | (first & 15) << 12
        data = frozenset(double_name(n) for n in range(first, first + count))
        partly = NOTHING
    else:
        word |= (first & 1) << 22 | (first >> 1) << 12
        data = partly = frozenset(double_name(n // 2) for n in range(first, first + count))
    word |= load << 20 | rn << 16
    kinds = "LS"[not load] * count
    insn = Insn(word, NOTHING, data, partly, kinds=kinds) if load else Insn(word, data, kinds=kinds)
    return transfer(insn, rn, None, back, False)


# VLDn of several registers, by type: n, registers, spacing (ARM DDI 0406C A7.7).
STRUCTURES = {
    7: (1, 1, 1),
    10: (1, 2, 1),
    6: (1, 3, 1),
    2: (1, 4, 1),
    8: (2, 2, 1),
    9: (2, 2, 2),
    3: (2, 4, 1),
    4: (3, 3, 1),
    5: (3, 3, 2),
    0: (4, 4, 1),
    1: (4, 4, 2),
}


def structure(draw: Draw) -> Insn:
    rn, rm, load = draw(core), draw(st.sampled_from([15, 13, *range(13)])), draw(bit)
    form = draw(st.integers(0, 2))
    partly = False
    if form == 0:
        kind = draw(st.sampled_from(list(STRUCTURES)))
        n, registers, spacing = STRUCTURES[kind]
        size = draw(st.integers(0, 3 if n == 1 else 2))
        word, count = 0xF400_0000 | kind << 8 | size << 6, registers if n == 1 else registers * 8 >> size
    elif form == 1:  # one lane
        n, size, spacing = draw(st.integers(1, 4)), draw(st.integers(0, 2)), 1
        lane = draw(st.integers(0, (8 >> size) - 1)) << size + 1
        registers, partly, count = n, True, n
        word = 0xF480_0000 | size << 10 | (n - 1) << 8 | lane << 4
    else:  # all lanes
        n, size, more, load = draw(st.integers(1, 4)), draw(st.integers(0, 2)), draw(bit), 1
        registers, spacing, count = (2 if n == 1 and more else n), (2 if n > 1 and more else 1), n
        word = 0xF480_0C00 | (n - 1) << 8 | size << 6 | more << 5
    first = draw(st.integers(0, 31 - (registers - 1) * spacing))
    word |= load << 21 | (first >> 4) << 22 | (first & 15) << 12 | rn << 16 | rm
    data = frozenset(double_name(first + spacing * i) for i in range(registers))
    kinds = "LS"[not load] * count
    if load:
        insn = Insn(word, NOTHING, data, data if partly else NOTHING, kinds=kinds)
    else:
        insn = Insn(word, data, kinds=kinds)
    return transfer(insn, rn, rm if rm < 13 else None, rm != 15, True)


def vfp_move(draw: Draw) -> Insn:
    rt, rt2, d, s = draw(low), draw(low), draw(st.integers(0, 31)), draw(st.integers(0, 31))
    rt2 = (rt + 1) % 13 if rt2 == rt else rt2
    form = draw(st.integers(0, 4))
    pair = rt2 << 16 | rt << 12 | (d >> 4) << 5 | d & 15
    single = (s >> 1) << 16 | rt << 12 | (s & 1) << 7
    if form == 0:
        return Insn(0xEC50_0B10 | pair, some(double_name(d)), some(rt, rt2))
    if form == 1:
        return Insn(0xEC40_0B10 | pair, some(rt, rt2), some(double_name(d)))
    half = some(double_name(s // 2))
    if form == 2:
        return Insn(0xEE10_0A10 | single, half, some(rt))
    if form == 3:
        return Insn(0xEE00_0A10 | single, some(rt), half, half)
    n, m = draw(st.integers(0, 15)), draw(st.integers(0, 15))  # VADD.I32
    word = 0xF220_0800 | n << 16 | (d >> 4) << 22 | (d & 15) << 12 | m
    return Insn(word, some(double_name(n), double_name(m)), some(double_name(d)))


MAKERS = [
    arithmetic,
    arithmetic,
    compare,
    constant,
    multiply,
    media,
    word_or_byte,
    word_or_byte,
    half_or_double,
    several,
    vfp_transfer,
    structure,
    vfp_move,
]


@st.composite
def instructions(draw: Draw) -> Insn:
    """Any of them; those that can be conditional sometimes are."""
    insn = draw(st.sampled_from(MAKERS))(draw)  # type: ignore[operator]
    condition = draw(st.sampled_from([14, 14, 14, *range(14)]))
    if insn.word >> 28 == 14 and condition != 14:
        insn = replace(insn, word=insn.word & 0x0FFF_FFFF | condition << 28, conditional=True)
    return insn


def code_of(block: list[Insn]) -> bytes:
    return b"".join(insn.word.to_bytes(4, "little") for insn in block)
