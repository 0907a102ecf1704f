"""Guest memory from outside: physical bytes, translations, virtual bytes through the guest's own tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pyemu.native import NativeError, check, error, ffi, lib

Access = Literal["read", "write", "fetch"]
_ACCESS: dict[str, int] = {"read": lib.PE_READ, "write": lib.PE_WRITE, "fetch": lib.PE_FETCH}
_FLAGS: dict[str, int] = {
    name[6:].lower(): getattr(lib, name) for name in dir(lib) if name.startswith("PE_TF_")
}
PAGE: int = lib.PE_PAGE_SIZE
DESCRIBE_BYTES = 512


class TranslationFault(Exception):
    """A virtual access that the guest's tables refuse; the text names level, index and descriptor."""

    def __init__(self, text: str, translation: Translation) -> None:
        super().__init__(text)
        self.translation = translation


@dataclass(frozen=True)
class Translation:
    """The result of a stage-1 translation: the fields of ``pe_translation``.

    ``fault``  its name ("translation", "permission", ...), or None; then ``pa`` is the physical address.
    ``level``  of the leaf or of the fault; 0 with the MMU off.
    ``prot``   rights of the privilege that was asked, ``prot_other`` of the other: of "r", "w", "x".
    ``flags``  of "ng", "ns", "contiguous", "supersection", "large", "ttbr1", "mmu_off", ... (``PE_TF_*``).
    ``attr``   the memory type in MAIR encoding; ``size`` the bytes that the leaf maps.
    """

    pa: int
    fault: str | None
    level: int
    prot: str
    prot_other: str
    attr: int
    shareability: int
    domain: int
    size: int
    flags: frozenset[str]
    descriptor: int
    descriptor_pa: int

    @classmethod
    def from_native(cls, t: Any) -> Translation:
        """The Python form of a ``pe_translation``."""
        fault = None if t.fault == lib.PE_FAULT_NONE else ffi.string(lib.pe_fault_name(t.fault)).decode()
        flags = frozenset(name for name, bit in _FLAGS.items() if t.flags & bit)
        return cls(
            t.pa,
            fault,
            t.level,
            _prot(t.prot),
            _prot(t.prot_other),
            t.attr,
            t.shareability,
            t.domain,
            1 << t.size_log2,
            flags,
            t.descriptor,
            t.descriptor_pa,
        )


@dataclass(frozen=True)
class Step:
    """One descriptor that a walk read: the fields of ``pe_step``; ``kind`` is "table", "block", ..."""

    level: int
    ttbr: int
    table_pa: int
    index: int
    descriptor_pa: int
    descriptor: int
    kind: str


@dataclass(frozen=True)
class Walk:
    """A translation with its steps; ``text`` says the result in one sentence."""

    translation: Translation
    steps: tuple[Step, ...]
    text: str


_KINDS: dict[int, str] = {
    getattr(lib, name): name[8:].lower() for name in dir(lib) if name.startswith("PE_DESC_")
}


def _prot(bits: int) -> str:
    pairs = ((lib.PE_PROT_READ, "r"), (lib.PE_PROT_WRITE, "w"), (lib.PE_PROT_EXEC, "x"))
    return "".join(letter for bit, letter in pairs if bits & bit)


class Memory:
    """The memory of one machine."""

    def __init__(self, machine: Any) -> None:
        self._machine = machine

    @property
    def _mem(self) -> Any:
        return lib.pe_machine_mem(self._machine.handle)

    def read_phys(self, pa: int, size: int) -> bytes:
        """``size`` bytes of RAM or flash; :class:`~pyemu.native.NativeError` where there is neither."""
        buf, err = ffi.new("char[]", size), error()
        check(lib.pe_mem_read(self._mem, pa, buf, size, err), err)
        return bytes(ffi.buffer(buf, size))

    def write_phys(self, pa: int, data: bytes) -> None:
        """Write RAM or flash; code that was translated from these bytes is dropped."""
        err = error()
        check(lib.pe_machine_write(self._machine.handle, pa, ffi.from_buffer(data), len(data), err), err)

    def regime(self, cpu: int) -> tuple[Any, bool]:
        """The registers that decide translation on a CPU now, and whether it is privileged."""
        regime, privileged, err = ffi.new("pe_regime *"), ffi.new("bool *"), error()
        check(lib.pe_machine_regime(self._machine.handle, cpu, regime, privileged, err), err)
        return regime, bool(privileged[0])

    def walk(self, va: int, access: Access, privileged: bool | None, cpu: int) -> Walk:
        """Translate and record each descriptor that was read."""
        regime, now = self.regime(cpu)
        walk = ffi.new("pe_walk *")
        who = now if privileged is None else privileged
        lib.pe_translate_steps(self._mem, regime, va, _ACCESS[access], who, walk)
        steps = tuple(
            Step(s.level, s.ttbr, s.table_pa, s.index, s.descriptor_pa, s.descriptor, _KINDS[s.kind])
            for s in walk.steps[0 : walk.nsteps]
        )
        text = ffi.new("char[]", DESCRIBE_BYTES)
        lib.pe_walk_describe(regime, va, walk, text, DESCRIBE_BYTES)
        return Walk(Translation.from_native(walk.result), steps, ffi.string(text).decode(errors="replace"))

    def translate(self, va: int, access: Access, privileged: bool | None, cpu: int) -> Translation:
        """Translate without recording."""
        regime, now = self.regime(cpu)
        out = ffi.new("pe_translation *")
        lib.pe_translate(
            self._mem, regime, va, _ACCESS[access], now if privileged is None else privileged, out
        )
        return Translation.from_native(out)

    def _pieces(
        self, va: int, size: int, access: Access, privileged: bool | None, cpu: int
    ) -> Iterator[tuple[int, int]]:
        """(pa, length) of each page's part of a virtual range; raises at the first page that faults."""
        if va < 0 or va + size > 1 << 32:
            raise ValueError(f"[{va:#x}, {va + size:#x}) is not a range of 32-bit addresses")
        regime, now = self.regime(cpu)
        out = ffi.new("pe_translation *")
        while size:
            part = min(size, PAGE - va % PAGE)
            who = now if privileged is None else privileged
            lib.pe_translate(self._mem, regime, va, _ACCESS[access], who, out)
            if out.fault != lib.PE_FAULT_NONE:
                walk = self.walk(va, access, privileged, cpu)
                raise TranslationFault(f"{access} of {va:#010x}: {walk.text}", walk.translation)
            yield out.pa, part
            va, size = va + part, size - part

    def read(self, va: int, size: int, privileged: bool | None, cpu: int) -> bytes:
        """Read virtual memory."""
        return b"".join(
            self.read_phys(pa, part) for pa, part in self._pieces(va, size, "read", privileged, cpu)
        )

    def write(self, va: int, data: bytes, access: Access, privileged: bool | None, cpu: int) -> None:
        """Write virtual memory, or nothing when a page of the range faults."""
        pieces = list(self._pieces(va, len(data), access, privileged, cpu))
        for pa, _ in pieces:
            self.read_phys(pa, 1)  # an output address outside memory shows before anything is written
        at = 0
        for pa, part in pieces:
            self.write_phys(pa, data[at : at + part])
            at += part

    def touched_runs(self, max_bytes: int) -> Iterator[tuple[int, bytes]]:
        """(pa, content) of all backed pages that are not zero, joined where they touch, ascending."""
        zero = bytes(PAGE)
        start, run = 0, bytearray()
        for pa in self.touched_pages():
            page = self.read_phys(pa, PAGE)
            if page == zero:
                continue
            if run and (pa != start + len(run) or len(run) + PAGE > max_bytes):
                yield start, bytes(run)
                run.clear()
            if not run:
                start = pa
            run += page
        if run:
            yield start, bytes(run)

    def touched_pages(self, start: int = 0, end: int = 1 << 64) -> Iterator[int]:
        """Addresses of the backed pages in [start, end), ascending."""
        room = 1 << 14
        pages = ffi.new("uint64_t[]", room)
        at = start & ~(PAGE - 1)
        while count := lib.pe_mem_touched(self._mem, at, pages, room):
            for index in range(count):
                if pages[index] >= end:
                    return
                yield pages[index]
            at = pages[count - 1] + PAGE

    def clear(self, pa: int, size: int) -> None:
        """Make [pa, pa+size) read as zero, at the cost of what is backed."""
        end = pa + size
        for page in self.touched_pages(pa, end):
            low, high = max(page, pa), min(page + PAGE, end)
            self.write_phys(low, bytes(high - low))


__all__ = ["Access", "Memory", "NativeError", "Step", "Translation", "TranslationFault", "Walk"]
