"""Memory types: unset attribute indices, code and stack on device types, devices on memory types, aliases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyemu.debug.doctor.case import MAX_EACH, Case, Finding
from pyemu.debug.words import memory_type, shareability_text
from pyemu.machine import board
from pyemu.mmu import MappedRange, Prot

__all__ = ["Device", "aliases", "device_at", "devices", "notes", "program", "unset_index"]

_STRONGLY_ORDERED, _DEVICE = 0x00, 0x04


@dataclass(frozen=True)
class Device:
    """A device of the board: ``size`` bytes at physical ``base``."""

    name: str
    base: int
    size: int


_BOARD = (
    Device("GIC distributor", board.GIC_DISTRIBUTOR, board.GIC_REGION_BYTES),
    Device("GIC CPU interface", board.GIC_CPU_INTERFACE, board.GIC_REGION_BYTES),
    Device("UART", board.UART, board.DEVICE_BYTES),
    Device("RTC", board.RTC, board.DEVICE_BYTES),
    Device("GPIO", board.GPIO, board.DEVICE_BYTES),
    Device("virtio transports", board.VIRTIO, board.VIRTIO_BYTES * board.VIRTIO_COUNT),
)
_UART = _BOARD[2]


def device_at(case: Case, pa: int) -> Device | None:
    """The device of the board at a physical address, where the target is a machine."""
    if case.session.target.machine is None:
        return None
    return next((each for each in _BOARD if each.base <= pa < each.base + each.size), None)


def unset_index(case: Case) -> Iterator[Finding]:
    """Attribute indices of RAM whose byte of MAIR was never set."""
    unset: dict[int, MappedRange] = {}
    for r in case.ranges:
        if case.regime.long_format and not r.outside and r.attr == 0 and case.is_ram(r.pa):
            unset.setdefault(r.descriptor >> 2 & 7, r)
    for index, r in unset.items():
        register = f"MAIR{index // 4} = {(case.regime.mair0, case.regime.mair1)[index // 4]:#010x}"
        yield Finding(
            "memory attributes",
            f"AttrIndx {index} is used for RAM at {r.va:#010x} (@{r.descriptor_pa:#x} = {r.descriptor:#x}), "
            f"and its byte of {register} is 0: Strongly-ordered, so not cached, no exclusives, no unaligned "
            "access",
            "AttrIndx selects a byte of MAIR0 or MAIR1, and 0x00 there means Strongly-ordered",
            "B4.1.104",
        )


def program(case: Case) -> Iterator[Finding]:
    """The code that runs, or its stack, lies in memory that is mapped as a device would be."""
    for what, va in (("the code", case.pc), ("the stack", case.register("sp"))):
        if va is None:
            continue
        found = case.fetch(va, case.privileged)
        t = found.result
        if not t.ok or t.attr not in (_STRONGLY_ORDERED, _DEVICE) or not case.is_ram(t.pa):
            continue
        step = found.steps[-1]
        bits = "" if case.regime.long_format else " (TEX, C and B)"
        yield Finding(
            "memory attributes",
            f"{what} at {case.session.place(va)} lies in RAM that is mapped as {memory_type(t.attr)}{bits}: "
            f"L{step.level}[{step.index}] @{step.descriptor_pa:#x} = {step.descriptor:#x}; it is not cached, "
            "LDREX and STREX need not work there, and an unaligned access faults",
            "memory that holds programs is Normal; TEX = 0b001, C = B = 1 is write-back, write-allocate",
            "B4.1.104" if case.regime.long_format else "B3.8.2",
        )
        return


def devices(case: Case) -> Iterator[Finding]:
    """Devices that are mapped as memory, and such as may be executed."""
    count = 0
    for r in case.ranges:
        if r.outside or r.attr in (_STRONGLY_ORDERED, _DEVICE) or case.session.target.machine is None:
            continue
        for each in _BOARD:
            if r.pa < each.base + each.size and each.base < r.pa + r.size and count < MAX_EACH:
                count += 1
                yield Finding(
                    "device memory",
                    f"the {each.name} is {memory_type(r.attr)} at {r.va + max(0, each.base - r.pa):#010x} "
                    f"(@{r.descriptor_pa:#x} = {r.descriptor:#x}): a store may stay in a cache, be merged or "
                    "come late, a load may be repeated",
                    "devices with side effects are mapped as Device or Strongly-ordered memory",
                    "A3.5",
                )
                break
    count = 0
    for r in case.ranges:
        device = r.attr in (_STRONGLY_ORDERED, _DEVICE) and not r.outside and not case.is_ram(r.pa)
        if device and Prot.EXEC in r.prot | r.prot_user and count < MAX_EACH:
            count += 1
            yield Finding(
                "device memory",
                f"{r.va:#010x}-{r.end:#x} is {memory_type(r.attr)} at {r.pa:#x} and may be executed: a "
                "speculative fetch may read a device",
                "memory that contains read-sensitive devices is marked XN",
                "B3.7.2",
            )


def aliases(case: Case) -> Iterator[Finding]:
    """RAM that is mapped twice with different memory types."""
    if case.linux is not None:
        return
    ram = sorted((r for r in case.ranges if not r.outside and case.is_ram(r.pa)), key=lambda r: r.pa)
    found, last = 0, None
    for r in ram:
        again = last is not None and r.pa < last.pa + last.size
        if last is not None and again and _type(r) != _type(last) and found < MAX_EACH:
            found += 1
            other = last.va + r.pa - last.pa
            yield Finding(
                "mismatched attributes",
                f"physical {r.pa:#x} is {_type(last)} at {other:#010x} and {_type(r)} at {r.va:#010x}",
                "all aliases of a location have the same memory type, cacheability and shareability",
                "A3.5.7",
            )
        if last is None or r.pa + r.size > last.pa + last.size:
            last = r


def _type(r: MappedRange) -> str:
    return f"{memory_type(r.attr)}, {shareability_text(r.shareability)}"


def notes(case: Case) -> Iterator[str]:
    """A console that nothing maps looks like a hang."""
    if case.linux is not None or case.session.target.machine is None:
        return
    if not any(not r.outside and r.pa <= _UART.base < r.pa + r.size for r in case.ranges):
        yield f"nothing maps the UART ({_UART.base:#010x}): with the MMU on, to print through it aborts"
