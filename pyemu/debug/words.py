"""Memory types, sizes and permissions in words."""

from __future__ import annotations

from pyemu.mmu import Access, Prot

__all__ = [
    "access_text",
    "counted",
    "kernel_size",
    "memory_type",
    "prot_text",
    "shareability_text",
    "size_text",
    "who_text",
]

# Outer and inner halves of a MAIR byte for Normal memory (ARM DDI 0406C B4.1.104).
_CACHED = {
    0b0100: "non-cacheable",
    0b1010: "write-through",
    0b1110: "write-back",
    0b1111: "write-back write-allocate",
}
_PROT_LETTERS = (("r", Prot.READ), ("w", Prot.WRITE), ("x", Prot.EXEC))
_SHAREABILITY = {0: "not shareable", 1: "reserved shareability", 2: "outer shareable", 3: "inner shareable"}


def memory_type(attr: int) -> str:
    """A MAIR byte: ``"Normal write-back"``, ``"Device"``."""
    if attr == 0x00:
        return "Strongly-ordered"
    if attr == 0x04:
        return "Device"
    outer, inner = attr >> 4, attr & 15
    if not outer or not inner:
        return f"unpredictable memory type {attr:#04x}"
    names = [_CACHED.get(half, _generic(half)) for half in (outer, inner)]
    return f"Normal {names[0]}" if names[0] == names[1] else f"Normal outer {names[0]}, inner {names[1]}"


def _generic(half: int) -> str:
    kind = {
        0b00: "write-through transient",
        0b01: "write-back transient",
        0b10: "write-through",
        0b11: "write-back",
    }
    allocate = {0: "no-allocate", 1: "write-allocate", 2: "read-allocate", 3: "read-write-allocate"}
    return f"{kind[half >> 2]} {allocate[half & 3]}"


def shareability_text(code: int) -> str:
    """SH[1:0] in words."""
    return _SHAREABILITY[code]


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """``"1 page"``, ``"2 pages"``"""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def size_text(size: int) -> str:
    """``"4 KB"``, ``"2 MB"``"""
    return kernel_size(size, " ", "B")


def kernel_size(size: int, gap: str = "", tail: str = "") -> str:
    """Divided by 1024 while that is exact, as the kernel's page-table dump does: ``"768M"``."""
    units = iter("KMGT")
    if size < 1024:
        return f"{size}{gap}bytes"
    unit = next(units)
    size //= 1024
    while size % 1024 == 0 and size >= 1024 and unit != "T":
        size, unit = size // 1024, next(units)
    return f"{size}{gap}{unit}{tail}"


def prot_text(prot: Prot) -> str:
    """``"rw-"``"""
    return "".join(letter if bit in prot else "-" for letter, bit in _PROT_LETTERS)


def access_text(access: Access) -> str:
    """``"read"``, ``"write"``, ``"fetch"``"""
    return access.name.lower()


def who_text(privileged: bool) -> str:
    """``"kernel mode"`` is PL1, ``"user mode"`` PL0."""
    return "kernel mode" if privileged else "user mode"
