"""Whatever memory, registers and tables hold: a backtrace ends, soon, and without an exception."""

from __future__ import annotations

import random
import struct
import time

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyemu.debug import Session
from pyemu.debug.render import as_json, as_text
from pyemu.debug.unwind.bytecode import CannotUnwind, unwind
from pyemu.debug.unwind.index import CANTUNWIND, ElfTables, Index, prel31
from pyemu.debug.unwind.instructions import decode
from pyemu.debug.unwind.state import PC, SP, MemoryView, State
from pyemu.machine.loaders import Symbols
from pyemu.mem import Memory
from pyemu.mmu import Regime
from tests.debug.targets import TableTarget
from tests.debug.test_hostile_tables import random_session

RAM, BYTES = 0x4000_0000, 1 << 16
SECONDS = 20  # far more than it takes

# What makes a search go on: prologues, calls, branches, returns of both kinds.
WORDS = (
    0xE92D4010,  # push {r4, lr}
    0xE8BD8010,  # pop {r4, pc}
    0xE24DD008,  # sub sp, sp, #8
    0xE28DD008,
    0xE1A0000D,
    0xE1A0D00B,
    0xEBFFFFFE,  # bl .
    0xEB000010,
    0x0A000004,  # beq
    0x1AFFFFF0,
    0xEAFFFFF8,
    0xE12FFF1E,  # bx lr
    0xE25EF004,  # subs pc, lr, #4
    0xF8BD0A00,  # rfeia sp!
    0xE8FD9FFF,  # ldm sp!, {r0-r12, pc}^
    0xB510_B510,
    0xBD10_BF08,
    0xF000_F800,
)


def session_of(source: random.Random) -> Session:
    """Code-like words, with the MMU off, and registers that point into them."""
    memory = Memory()
    memory.add_ram(RAM, BYTES)
    words = (
        source.choice((source.choice(WORDS), source.getrandbits(32), RAM | source.getrandbits(16)))
        for _ in range(BYTES // 4)
    )
    memory.write(RAM, struct.pack(f"<{BYTES // 4}I", *words))
    registers = {
        f"r{n}": source.choice((source.getrandbits(32), RAM | source.getrandbits(16))) for n in range(13)
    }
    near = {name: RAM | source.getrandbits(16) & ~1 for name in ("sp", "lr", "pc", "vbar")}
    modes = (0x10, 0x11, 0x12, 0x13, 0x17, 0x1B, 0x1F, source.getrandbits(5))
    banked = {
        f"{name}_{mode}": RAM | source.getrandbits(16)
        for name in ("sp", "lr", "spsr")
        for mode in ("usr", "fiq", "irq", "svc", "abt", "und")
    }
    registers |= near | banked | {"cpsr": source.choice(modes) | source.getrandbits(1) << 5, "ifar": RAM}
    symbols = {f"f{n}": RAM + 512 * n for n in range(BYTES // 512)} if source.getrandbits(1) else {}
    if source.getrandbits(1):
        symbols |= {"__exidx_start": RAM, "__exidx_end": RAM | source.getrandbits(17)}
    return Session(TableTarget(memory, Regime(), registers=registers, symbols=symbols))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, (1 << 32) - 1))
def test_a_backtrace_of_anything_ends(seed: int) -> None:
    with session_of(random.Random(seed)) as session:
        began = time.process_time()
        found = session.execute("bt 1000")
        assert time.process_time() - began < SECONDS
        assert 1 <= len(found.frames) <= 1000
        as_text(found)
        as_json(found)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, (1 << 32) - 1))
def test_a_backtrace_behind_random_tables_ends(seed: int) -> None:
    source = random.Random(seed)
    with random_session(source, Memory()) as session:
        session.target.registers(0).update(  # type: ignore[attr-defined]
            {f"r{n}": source.getrandbits(32) for n in range(13)}
            | {
                "sp": source.getrandbits(32),
                "lr": source.getrandbits(32),
                "pc": source.getrandbits(32),
                "cpsr": 0x13,
            }
        )
        assert session.execute("bt").frames


@settings(max_examples=500)
@given(st.binary(max_size=64), st.integers(0, (1 << 32) - 1))
@example(b"\xb2" + b"\xff" * 16, RAM)
@example(b"\x9d", RAM)
@example(b"\x80\x00", RAM)
@example(b"\xb1\x00", RAM)
def test_bytecode_of_any_kind_leads_to_a_pc_or_is_refused(code: bytes, sp: int) -> None:
    memory = Memory()
    memory.add_ram(RAM, BYTES)
    state = State(MemoryView(Session(TableTarget(memory, Regime()))), [0] * 16)
    state.r[SP] = sp
    try:
        unwind(state, code)
    except CannotUnwind:
        return
    assert isinstance(state.r[PC], int)
    assert isinstance(state.r[SP], int)
    assert 0 <= state.r[SP] < 1 << 32


@settings(max_examples=300)
@given(st.binary(max_size=256), st.integers(0, 1 << 24), st.integers(0, (1 << 32) - 1))
def test_an_index_of_anything_answers(data: bytes, count: int, pc: int) -> None:
    def word(address: int) -> int | None:
        at = address - RAM
        return int.from_bytes(data[at : at + 4], "little") if 0 <= at <= len(data) - 4 else None

    rule = Index(RAM, count, word).find(pc)
    assert rule is None or rule.code is None or len(rule.code) <= 4 * 256


@settings(max_examples=300)
@given(st.binary(max_size=512))
def test_an_elf_file_of_anything_has_no_tables_or_some(data: bytes) -> None:
    tables = ElfTables(b"\x7fELF\x01\x01\x01" + bytes(9) + data)
    tables.find(RAM)
    tables.function(RAM)


@settings(max_examples=2000)
@given(st.binary(min_size=2, max_size=4), st.booleans())
def test_every_instruction_can_be_carried_out(data: bytes, thumb: bool) -> None:
    insn = decode(data, thumb)
    if insn is None:
        return
    memory = Memory()
    memory.add_ram(RAM, BYTES)
    view = MemoryView(Session(TableTarget(memory, Regime())))
    for state in (State(view, [RAM + 256] * 16, "svc"), State.entry(view, "irq"), State(view, [None] * 16)):
        insn.run(state)
        for value in state.r:
            assert value is None or isinstance(value, tuple) or 0 <= value < 1 << 32, (insn, value)


def test_entries_say_what_ihi_0038_says_of_them() -> None:
    assert prel31(0x7FFF_FFF8, 0x100) == 0xF8
    assert prel31(0x0000_0010, 0x100) == 0x110
    extab = RAM + 64
    words = {
        RAM: 0x1000,
        RAM + 4: CANTUNWIND,
        RAM + 8: 0x1000,
        RAM + 12: 0x80A8_B0B0,
        RAM + 16: 0x1000,
        RAM + 20: extab - (RAM + 20),
        RAM + 24: 0x1000,
        RAM + 28: extab + 16 - (RAM + 28),
        extab: 0x8101_9B42,
        extab + 4: 0xA5B0_B0B0,
        extab + 16: 0x40,  # a routine of a language
        extab + 20: 0x01AF_B201,
        extab + 24: 0xB0B0_B0B0,
    }
    index = Index(RAM, 4, words.get)
    found = [index.find(RAM + 8 * n + 0x1000) for n in range(4)]
    assert [rule.code if rule else b"?" for rule in found] == [
        None,
        b"\xa8\xb0\xb0",
        b"\x9b\x42\xa5\xb0\xb0\xb0",
        b"\xaf\xb2\x01\xb0\xb0\xb0\xb0",
    ]
    assert index.find(RAM) is None


def test_symbols_of_the_index_are_enough_where_no_file_is_known() -> None:
    """A snapshot or a dump: the tables are read from memory."""
    memory = Memory()
    memory.add_ram(RAM, BYTES)
    function, index, stack = RAM + 0x100, RAM + 0x800, RAM + 0x1000
    memory.write(index, struct.pack("<II", (function - index) & 0x7FFF_FFFF, 0x80A8_B0B0))
    memory.write(stack, struct.pack("<II", 4, RAM + 0x40))
    registers = dict.fromkeys([f"r{n}" for n in range(13)], 0) | {"lr": 0, "cpsr": 0x13}
    registers |= {"sp": stack, "pc": function + 8}
    target = TableTarget(memory, Regime(), registers=registers)
    with Session(target) as session:
        assert len(session.execute("bt").frames) == 1
        target.symbols = Symbols.known({"__exidx_start": index, "__exidx_end": index + 8})
        found = session.execute("bt").frames
        assert [(frame.pc, frame.how) for frame in found[:2]] == [(function + 8, "pc"), (RAM + 0x40, "exidx")]
