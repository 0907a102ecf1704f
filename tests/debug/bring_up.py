"""Guests to be debugged: one turns its MMU on and writes a PTE, one has Thumb IT blocks; an ELF file."""

from __future__ import annotations

import struct

from pyemu.debug.control import Control
from pyemu.debug.session import Session
from pyemu.debug.target import LiveTarget
from pyemu.machine import Machine
from tests.machine.images import RAM
from tests.machine.traps.guest import DSB, FREE, ISB, NOP, SMALL, TABLES, TLBIALL, Guest, store, subs

LEVEL2 = TABLES + 0x1000
MAPPED = 0x8000_0000
PTE = LEVEL2 + 8
PTE_VALUE = FREE + 0x20_0000 | 0x701
MARK = 0x1234_5678


def _put(guest: Guest, pa: int, value: int) -> None:
    guest.mov(0, pa)
    guest.mov(1, value & 0xFFFF_FFFF)
    guest.mov(2, value >> 32)
    guest.op(store(1, 0), store(2, 0, 4))


def bring_up_only() -> Guest:
    """Long tables of its own, MMU on, a store through 0x80000000."""
    guest = Guest()
    guest.label("make_tables")
    _put(guest, TABLES, 0x405 | 1 << 54)
    _put(guest, TABLES + 8, RAM | 0x701)
    _put(guest, TABLES + 16, LEVEL2 | 3)
    _put(guest, LEVEL2, FREE | 0x701)
    guest.mmu_on()
    guest.label("mmu_is_on")
    guest.op(NOP)
    guest.mov(4, MAPPED)
    guest.mov(5, MARK)
    guest.op(store(5, 4))
    return guest


def bring_up(loops: int = 1000) -> Guest:
    """As that, then a PTE by STRD, an SVC, a loop, the end."""
    guest = bring_up_only()
    guest.label("write_pte")
    guest.mov(0, PTE)
    guest.mov(6, PTE_VALUE)
    guest.mov(7, 0)
    guest.label("pte_store")
    guest.op(0xE1C060F0, DSB)  # strd r6, r7, [r0]
    guest.mcr(TLBIALL, 0)
    guest.op(DSB, ISB)
    guest.label("call")
    guest.op(0xEF000001)
    guest.label("after_call")
    guest.mov(8, loops)
    guest.label("loop")
    guest.op(subs(8, 8, 1))
    guest.b("loop", "ne")
    guest.exit()
    return guest


THUMB = RAM + 0x8000
# Halfwords from THUMB on, each with what it is.
IT_PROGRAM = (
    0x2001,  # 00 movs r0, #1
    0x2801,  # 02 cmp r0, #1
    0xBF0C,  # 04 ite eq
    0x2102,  # 06 moveq r1, #2
    0x2103,  # 08 movne r1, #3
    0xBF01,  # 0a itttt eq
    0x3201,  # 0c addeq r2, #1
    0x3201,  # 0e addeq r2, #1
    0x3A02,  # 10 subeq r2, #2: sets no flag here
    0x2307,  # 12 moveq r3, #7
    0xBF14,  # 14 ite ne
    0x2409,  # 16 movne r4, #9
    0x240A,  # 18 moveq r4, #10
    0xBF08,  # 1a it eq
    0xE7FE,  # 1c beq . + 0
)


def thumb_machine() -> Machine:
    """A machine at the start of IT_PROGRAM."""
    machine = Machine(SMALL)
    machine.load(struct.pack(f"<{len(IT_PROGRAM)}H", *IT_PROGRAM))
    machine.reset(THUMB | 1)
    return machine


def arm_machine(guest: Guest, config: object = SMALL) -> Machine:
    """A machine at the start of a guest."""
    machine = Machine(config)  # type: ignore[arg-type]
    machine.load(guest.code())
    return machine


def controlled(machine: Machine) -> tuple[Session, Control]:
    """A session of a machine, and its control."""
    session = Session(LiveTarget(machine, owned=True))
    return session, session.part(Control)


def elf_of(code: bytes, origin: int, symbols: dict[str, int]) -> bytes:
    """An ELF executable of one segment, with a symbol table of functions."""
    names, records = b"\0", bytes(16)
    for name, address in symbols.items():
        records += struct.pack("<IIIBBH", len(names), address, 4, 0x12, 0, 1)
        names += name.encode() + b"\0"
    sections = b"\0.text\0.symtab\0.strtab\0.shstrtab\0"
    text = 52 + 32
    symtab = text + len(code) + -len(code) % 4
    strtab = symtab + len(records)
    shstrtab = strtab + len(names)
    table = shstrtab + len(sections) + -(shstrtab + len(sections)) % 4
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    header = ident + struct.pack(
        "<HHIIIIIHHHHHH", 2, 40, 1, origin, 52, table, 0x0500_0000, 52, 32, 1, 40, 5, 4
    )
    segment = struct.pack("<IIIIIIII", 1, text, origin, origin, len(code), len(code), 7, 4)

    def section(
        name: int, kind: int, flags: int, address: int, at: int, size: int, more: tuple[int, ...]
    ) -> bytes:
        return struct.pack("<IIIIIIIIII", name, kind, flags, address, at, size, *more)

    headers = (
        bytes(40)
        + section(1, 1, 6, origin, text, len(code), (0, 0, 4, 0))
        + section(7, 2, 0, 0, symtab, len(records), (3, 1, 4, 16))
        + section(15, 3, 0, 0, strtab, len(names), (0, 0, 1, 0))
        + section(23, 3, 0, 0, shstrtab, len(sections), (0, 0, 1, 0))
    )
    body = header + segment + code.ljust(symtab - text, b"\0") + records + names + sections
    return body.ljust(table, b"\0") + headers


def bring_up_elf(loops: int = 1000) -> bytes:
    """The ELF file of :func:`bring_up`."""
    guest = bring_up(loops)
    labels = ("svc", "make_tables", "mmu_is_on", "write_pte", "pte_store", "call", "after_call", "loop")
    return elf_of(guest.code(), guest.origin, {name: guest.address_of(name) for name in labels})
