"""Cores and raw images of RAM whose headers, notes and tables are not true."""

from __future__ import annotations

import random
import struct

from pyemu.config import UserError
from pyemu.debug import Session
from pyemu.debug.dump import write_core
from pyemu.debug.dump.prstatus import cpu_notes
from pyemu.debug.opening import OpenOptions, open_target
from tests.debug.cores import MIB, RAM, note, prstatus
from tests.fuzz.damage import damage, hostile_number
from tests.fuzz.debugger.files import Files, hostile_json
from tests.fuzz.debugger.fuzzer import one_line
from tests.fuzz.debugger.worlds import ROOT, core_of_a_guest, ram_like_linux

__all__ = ["Cores", "Images"]

MAX_WRITTEN = 64 * MIB


def _hostile_notes(rng: random.Random) -> bytes:
    """Notes of CPUs: of wrong lengths, of other tools, damaged."""
    out = b""
    for number in range(rng.choice((0, 1, 1, 2, 4, 9))):
        kind = rng.randrange(12)
        if kind < 5:
            content = prstatus()
        elif kind == 5:
            content = prstatus().ljust(rng.choice((149, 392, 393, 4096)), b"\5")
        elif kind == 6:
            content = prstatus()[: rng.randrange(148)]
        else:
            content = rng.randbytes(rng.choice((148, 392)))
        out += note(
            rng.choice((b"CORE", b"CORE", b"", b"LINUX", b"core", b"C" * 300)),
            rng.choice((1, 1, 1, 2, 6)),
            content,
        )
        if rng.randrange(3) == 0:
            out += note(b"LINUX", 0x400, rng.randbytes(rng.choice((260, 259, 261, 0))))
        if rng.randrange(3) == 0:
            (own,) = (
                each
                for each in cpu_notes(number, {"sctlr": 1, "ttbcr": 0, "ttbr0": ROOT, "pc": 5})
                if each.name == "PYEMU"
            )
            out += note(
                b"PYEMU", own.kind, damage(rng, own.content) if rng.randrange(2) else hostile_json(rng)
            )
    if rng.randrange(4) == 0:
        out += note(
            b"VMCOREINFO", 0, damage(rng, b"OSRELEASE=6.1\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=c0100000\n")
        )
    return out


def _hostile_core(rng: random.Random, format: str) -> bytes:
    """A core whose headers say what none does: overlaps, ends beyond the file or the address space, wraps."""
    bits = rng.choice((32, 64))
    low, tables = ram_like_linux(format)
    if rng.randrange(3) == 0:
        tables = (damage(rng, tables[:0x6000]) + tables)[: len(tables)]
    if rng.randrange(4) == 0:  # VMCOREINFO and kallsyms
        low = (low[:0x5000] + damage(rng, low[0x5000:]) + low)[: len(low)]
    pieces = [_hostile_notes(rng), low, tables]
    head, size = (64, 56) if bits == 64 else (52, 32)
    count = len(pieces) + rng.choice((0, 0, 0, 1, 5))
    at = head + count * size
    headers, body = [], b""
    for number in range(count):
        data = pieces[number] if number < len(pieces) else b""
        pa = (0, RAM, ROOT)[number] if number < len(pieces) else RAM + hostile_number(rng, 24)
        memory = len(data) if number < len(pieces) else hostile_number(rng, 24)
        headers.append([4 if number == 0 else 1, 7, at + len(body), 0, pa, len(data), memory, 0])
        body += data
    for _ in range(rng.choice((0, 1, 1, 2, 6))):
        header, field = rng.choice(headers), rng.choice((0, 2, 3, 4, 4, 5, 5, 6, 6, 6, 7))
        near = rng.choice((16 * MIB, *headers[rng.randrange(count)][2:7], at + len(body), 1 << bits, 1 << 40))
        header[field] = (near + rng.choice((-4096, -1, 0, 0, 1, 4096)), hostile_number(rng, bits))[
            rng.randrange(2)
        ]
        header[field] %= 1 << (32 if field < 2 else bits)
    fields = [4, rng.choice((40, 40, 40, 183)), 1, 0, head, 0, 0, head, size, count, 0, 0, 0]
    sections = b""
    if rng.randrange(10) == 0:  # more headers than e_phnum can say
        fields[9], fields[5] = 0xFFFF, at + len(body)
        form, width = ("<IIQQQQIIQQ", 64) if bits == 64 else ("<10I", 40)
        number = rng.choice((count, count, 0, 1 << 20, 0xFFFF_FFFF))
        sections, fields[10] = (
            struct.pack(form, *(0, 0, 0, 0, 0, 0, 0, number, 0, 0)),
            rng.choice((width, width, 0)),
        )
    if rng.randrange(6) == 0:
        field = rng.randrange(13)
        fields[field] = hostile_number(rng, 16 if field in (0, 1, 7, 8, 9, 10, 11, 12) else 32)
    ident = b"\x7fELF" + bytes((bits // 32, rng.choice((1, 1, 1, 1, 1, 1, 1, 2)), 1)) + bytes(9)
    out = ident + struct.pack("<HHIQQQIHHHHHH" if bits == 64 else "<HHIIIIIHHHHHH", *fields)
    for kind, flags, offset, va, pa, held, memory, align in headers:
        if bits == 64:
            out += struct.pack("<IIQQQQQQ", kind, flags, offset, va, pa, held, memory, align)
        else:
            out += struct.pack("<8I", kind, offset, va, pa, held, memory, flags, align)
    out += body + sections
    return out[: rng.randrange(len(out))] if rng.randrange(16) == 0 else out


class Cores(Files):
    """Cores of both classes."""

    def case(self, rng: random.Random) -> str:
        format = rng.choice(("lpae", "short"))
        if rng.randrange(8) == 0:
            whole = core_of_a_guest(format, rng.choice((32, 64)))
            content = damage(rng, whole[:600]) + whole[600:]
        else:
            content = _hostile_core(rng, format)
        regs = self.given_registers(rng, format)
        options = OpenOptions(regs=regs, find_pgd=regs is None and bool(rng.randrange(2)))
        return self.open(rng, content, options)

    def use(self, rng: random.Random, session: Session) -> None:
        """Some are written as a core again, which has the same memory."""
        memory = session.target.memory
        if rng.randrange(8) or sum(each.size for each in memory.segments) > MAX_WRITTEN:
            return
        with self.guard.naming(self.written):
            try:
                write_core(session.target, self.written)
            except UserError as problem:
                one_line(problem)
                return
        with Session(open_target(self.written)) as again:
            for segment in memory.segments:
                assert again.memory.read(segment.base, segment.size) == memory.read(
                    segment.base, segment.size
                )


class Images(Files):
    """Raw images of RAM, with registers or a search for tables."""

    def case(self, rng: random.Random) -> str:
        format = rng.choice(("lpae", "short"))
        low, tables = ram_like_linux(format)
        content = low + tables if rng.randrange(2) else tables + low
        if rng.randrange(4) == 0:  # what looks like descriptors, all over
            words = (rng.choice((RAM, ROOT, 0, 1 << 39)) | rng.getrandbits(12) for _ in range(512))
            content += struct.pack("<512Q", *words)
        if rng.randrange(3):
            content = damage(rng, content)
        if rng.randrange(4) == 0:
            content = content[: rng.choice((0, 1, 15, 16, 4095, 4096, 4097, 0x8000))]
        base = rng.choice(
            (ROOT, ROOT, RAM, RAM, 0, hostile_number(rng, 40), hostile_number(rng, 40) & -4096, 1 << 63, None)
        )
        regs = self.given_registers(rng, format)
        options = OpenOptions(regs=regs, find_pgd=regs is None or rng.randrange(4) == 0, ram_base=base)
        return self.open(rng, content, options)
