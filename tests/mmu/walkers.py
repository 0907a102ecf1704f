"""The two walkers, C core and plain-Python reference, behind one face: a test can ask both."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pyemu.mmu import reference
from pyemu.native import check, check_handle, error, ffi, lib


class Answer(NamedTuple):
    """What both walkers say about one access."""

    fault: int
    level: int
    pa: int
    descriptor: int
    size_log2: int
    domain: int


class ReferenceWalker:
    """pyemu.mmu.reference on a list of (physical address, bytes)."""

    def __init__(self, memory: Iterable[tuple[int, bytes]]) -> None:
        self.memory = list(memory)

    def read(self, pa: int, size: int) -> int | None:
        for base, data in self.memory:
            if base <= pa and pa + size <= base + len(data):
                return int.from_bytes(data[pa - base : pa - base + size], "little")
        return None

    def _walk(self, regime: Any, va: int, access: int, privileged: bool) -> reference.Translation:
        return reference.translate(self.read, regime, va, access, privileged)

    def translate(self, regime: Any, va: int, access: int, privileged: bool) -> Answer:
        t = self._walk(regime, va, access, privileged)
        return Answer(int(t.fault), t.level, t.pa, t.descriptor, t.size_log2, t.domain)

    def par(self, regime: Any, va: int, access: int, privileged: bool) -> int:
        return reference.par(regime, self._walk(regime, va, access, privileged))

    def fault_status(self, regime: Any, va: int, access: int, privileged: bool) -> int:
        return reference.fault_status(regime, self._walk(regime, va, access, privileged), access)


def native_regime(regime: Any) -> Any:
    """A pe_regime with the registers of any object that has them as attributes."""
    names = ("sctlr", "ttbcr", "ttbr0", "ttbr1", "dacr", "mair0", "mair1")
    return ffi.new("pe_regime *", {name: getattr(regime, name) for name in names})


class NativeWalker:
    """The C core on its own guest memory with the same contents."""

    def __init__(self, memory: Iterable[tuple[int, bytes]]) -> None:
        err = error()
        self.mem = ffi.gc(check_handle(lib.pe_mem_new(err), err), lib.pe_mem_free)
        for base, data in memory:
            check(lib.pe_mem_add_ram(self.mem, base, len(data), 0, err), err)
            check(lib.pe_mem_write(self.mem, base, data, len(data), err), err)

    def _walk(self, regime: Any, va: int, access: int, privileged: bool) -> tuple[Any, Any]:
        native, out = native_regime(regime), ffi.new("pe_translation *")
        lib.pe_translate(self.mem, native, va, access, privileged, out)
        return native, out

    def translate(self, regime: Any, va: int, access: int, privileged: bool) -> Answer:
        t = self._walk(regime, va, access, privileged)[1]
        return Answer(t.fault, t.level, t.pa, t.descriptor, t.size_log2, t.domain)

    def par(self, regime: Any, va: int, access: int, privileged: bool) -> int:
        return int(lib.pe_ats(self.mem, native_regime(regime), va, access, privileged))

    def fault_status(self, regime: Any, va: int, access: int, privileged: bool) -> int:
        native, t = self._walk(regime, va, access, privileged)
        return int(lib.pe_fault_status(native, t, access, False))


Walker = ReferenceWalker | NativeWalker
WALKERS: dict[str, Callable[[Iterable[tuple[int, bytes]]], Walker]] = {
    "reference": ReferenceWalker,
    "native": NativeWalker,
}
