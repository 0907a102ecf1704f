"""Small ARM programs that run into one trap of the engine each: an assembler, vectors, tables, and a log.

Registers of a :class:`Guest` program: r11 is the log's end, r12 is the handlers' own, r10 is where a handler
goes on after an SVC or a prefetch abort (0: behind the SVC).  Other handlers skip the faulting instruction.
The interrupt handler turns both timers off.  The program runs in SVC mode until :meth:`Guest.exit`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyemu.config import GIB, MIB, MachineConfig
from pyemu.machine import Machine, Stop, StopReason
from tests.machine.images import RAM, SVC_HOST, words

ORIGIN = RAM + 0x8000
LOG = RAM + 0x20_0000
TABLES = RAM + 0x30_0000
FREE = RAM + 0x40_0000  # from here on nothing is used by this file
SMALL = MachineConfig(16 * MIB)
ELF = Path(__file__).resolve().parents[3] / "firmware/elf"

# CP15 registers: CRn, opc1, CRm, opc2
MPIDR = (0, 0, 0, 5)
SCTLR, CPACR, SCR = (1, 0, 0, 0), (1, 0, 0, 2), (1, 0, 1, 0)
TTBR0, TTBCR, DACR = (2, 0, 0, 0), (2, 0, 0, 2), (3, 0, 0, 0)
DFSR, IFSR, ADFSR, AIFSR = (5, 0, 0, 0), (5, 0, 0, 1), (5, 0, 1, 0), (5, 0, 1, 1)
DFAR, IFAR = (6, 0, 0, 0), (6, 0, 0, 2)
ICIALLU, TLBIALL, TLBIMVA, TLBIMVAA = (7, 0, 5, 0), (8, 0, 7, 0), (8, 0, 7, 1), (8, 0, 7, 3)
MAIR0, AMAIR0, AMAIR1 = (10, 0, 2, 0), (10, 0, 3, 0), (10, 0, 3, 1)
VBAR, ISR, CONTEXTIDR = (12, 0, 0, 0), (12, 0, 1, 0), (13, 0, 0, 1)
TVAL = {"physical": (14, 0, 2, 0), "virtual": (14, 0, 3, 0)}
CTL = {"physical": (14, 0, 2, 1), "virtual": (14, 0, 3, 1)}
# 64-bit ones: opc1, CRm
COUNT = {"physical": (0, 14), "virtual": (1, 14)}
CVAL = {"physical": (2, 14), "virtual": (3, 14)}
TTBR0_64 = (0, 2)

NOP, BX_LR, ISB, DSB = 0xE1A00000, 0xE12FFF1E, 0xF57FF06F, 0xF57FF04F
WFE, WFI, YIELD = 0xE320F002, 0xE320F003, 0xE320F001
UDF, HVC, SMC = 0xE7F000F0, 0xE1400070, 0xE1600070
CPSIE_I, CPSID_I = 0xF1080080, 0xF10C0080

CONDITIONS = {"eq": 0, "ne": 1, "cs": 2, "cc": 3, "al": 14}

UNDEF, SVC, PABT, DABT, IRQ = range(1, 6)


def ldr(rt: int, rn: int, offset: int = 0) -> int:
    return 0xE5900000 | rn << 16 | rt << 12 | offset


def store(rt: int, rn: int, offset: int = 0) -> int:
    return 0xE5800000 | rn << 16 | rt << 12 | offset


def add(rd: int, rn: int, value: int) -> int:
    return 0xE2800000 | rn << 16 | rd << 12 | value


def add_reg(rd: int, rn: int, rm: int) -> int:
    return 0xE0800000 | rn << 16 | rd << 12 | rm


def subs(rd: int, rn: int, value: int) -> int:
    return 0xE2500000 | rn << 16 | rd << 12 | value


def movw(rd: int, value: int) -> int:
    return 0xE3000000 | (value & 0xF000) << 4 | rd << 12 | value & 0xFFF


def blx(rm: int) -> int:
    return 0xE12FFF30 | rm


class Arm:
    """ARM instructions one after the other; branches may name labels that come later."""

    def __init__(self, origin: int) -> None:
        self.origin = origin
        self._words: list[int] = []
        self._labels: dict[str, int] = {}
        self._fixups: list[tuple[int, str, int | None]] = []

    @property
    def here(self) -> int:
        return self.origin + 4 * len(self._words)

    def op(self, *instructions: int) -> None:
        self._words += instructions

    def label(self, name: str) -> None:
        assert name not in self._labels
        self._labels[name] = self.here

    def address_of(self, name: str) -> int:
        return self._labels[name]

    def b(self, label: str, condition: str = "al") -> None:
        self._fixups.append((len(self._words), label, None))
        self.op(CONDITIONS[condition] << 28 | 0x0A000000)

    def mov(self, rd: int, value: int) -> None:
        """MOVW and MOVT: always two instructions."""
        self.op(movw(rd, value & 0xFFFF), movw(rd, value >> 16) | 0x00400000)

    def mov_label(self, rd: int, label: str) -> None:
        self._fixups.append((len(self._words), label, rd))
        self.mov(rd, 0)

    def mcr(self, register: tuple[int, int, int, int], rt: int) -> None:
        crn, opc1, crm, opc2 = register
        self.op(0xEE000F10 | opc1 << 21 | crn << 16 | rt << 12 | opc2 << 5 | crm)

    def mrc(self, register: tuple[int, int, int, int], rt: int) -> None:
        crn, opc1, crm, opc2 = register
        self.op(0xEE100F10 | opc1 << 21 | crn << 16 | rt << 12 | opc2 << 5 | crm)

    def mcrr(self, register: tuple[int, int], rt: int, rt2: int) -> None:
        opc1, crm = register
        self.op(0xEC400F00 | rt2 << 16 | rt << 12 | opc1 << 4 | crm)

    def mrrc(self, register: tuple[int, int], rt: int, rt2: int) -> None:
        opc1, crm = register
        self.op(0xEC500F00 | rt2 << 16 | rt << 12 | opc1 << 4 | crm)

    def set_cp15(self, register: tuple[int, int, int, int], value: int, scratch: int = 0) -> None:
        self.mov(scratch, value)
        self.mcr(register, scratch)

    def log(self, *registers: int) -> None:
        """Each register to the log: str rN, [r11], #4."""
        self.op(*[0xE48B0004 | rt << 12 for rt in registers])

    def code(self) -> bytes:
        for at, label, rd in self._fixups:
            target = self._labels[label]
            if rd is None:
                self._words[at] |= (target - (self.origin + 4 * at) - 8 >> 2) & 0xFFFFFF
            else:
                self._words[at] = movw(rd, target & 0xFFFF)
                self._words[at + 1] = movw(rd, target >> 16) | 0x00400000
        self._fixups.clear()
        return words(*self._words)


@dataclass(frozen=True)
class Exception_:
    """An exception as the guest's handler saw it."""

    kind: int
    lr: int
    spsr: int
    dfsr: int
    dfar: int
    ifsr: int
    ifar: int


class Guest(Arm):
    """A program with vectors; what is appended runs first."""

    def __init__(self) -> None:
        super().__init__(ORIGIN)
        self.b("start")
        for handler in ("undef", "svc", "pabt", "dabt", "unused", "irq"):
            self.b(handler)
        self.op(NOP)
        returns = {
            "undef": [0xE1B0F00E],  # movs pc, lr
            "svc": [0xE35A0000, 0x11A0F00A, 0xE1B0F00E],  # cmp r10, #0; movne pc, r10; movs pc, lr
            "pabt": [0xE1B0F00A],  # movs pc, r10
            "dabt": [0xE25EF004],  # subs pc, lr, #4
            "irq": [0xE25EF004],
        }
        for kind, (name, back) in enumerate(returns.items(), 1):
            self.label(name)
            self.op(0xE3A0C000 | kind)  # mov r12, #kind
            self.log(12, 14)
            self.op(0xE14FC000)  # mrs r12, spsr
            self.log(12)
            for register in (DFSR, DFAR, IFSR, IFAR):
                self.mrc(register, 12)
                self.log(12)
            if kind == IRQ:
                self.op(0xE3A0C000)  # mov r12, #0
                self.mcr(CTL["physical"], 12)
                self.mcr(CTL["virtual"], 12)
            self.op(*back)
        self.label("unused")
        self.b("unused")
        self.label("start")
        self.mov(11, LOG)
        self.set_cp15(VBAR, ORIGIN)
        self.op(0xE3A0A000)  # mov r10, #0

    def mmu_on(self) -> None:
        """The long format with the root of :class:`Tables`."""
        self.set_cp15(MAIR0, 0x04FF)
        self.set_cp15(TTBCR, 1 << 31)
        self.mov(0, TABLES)
        self.op(0xE3A01000)  # mov r1, #0
        self.mcrr(TTBR0_64, 0, 1)
        self.mrc(SCTLR, 0)
        self.op(0xE3800001)  # orr r0, r0, #1
        self.mcr(SCTLR, 0)
        self.op(ISB)

    def user(self) -> None:
        """What follows runs in user mode; an SVC with r10 set comes back."""
        self.op(0xE3A0C010, 0xE16FF00C)  # mov r12, #0x10; msr spsr_cxsf, r12
        self.op(0xE28FE000, 0xE1B0F00E)  # add lr, pc, #0; movs pc, lr

    def privileged(self) -> None:
        """The way back from :meth:`user`."""
        name = f"privileged {self.here:#x}"
        self.mov_label(10, name)
        self.op(0xEF000001)
        self.label(name)
        self.op(0xE3A0A000)

    def exit(self) -> None:
        self.op(0xE3A00018)  # mov r0, #0x18
        self.mov(1, 0x20026)
        self.op(SVC_HOST)
        self.label("end")
        self.b("end")

    def run(self, machine: Machine, max_insns: int = 1_000_000) -> Stop:
        """Load into the machine and run to :meth:`exit`."""
        machine.load(self.code())
        stop = machine.run(max_insns=max_insns)
        assert stop.reason is StopReason.EXIT, (stop, hex(machine.reg("pc")))
        return stop


class Tables:
    """Long-format tables written from outside: devices and the first GB of RAM flat, the rest as asked."""

    EXECUTE_NEVER = 1 << 54
    USER = 1 << 6
    READ_ONLY = 1 << 7

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._next = TABLES + 4096
        machine.write_phys(TABLES, bytes(4096))
        self._put(TABLES, 0, 0x0 | 0x405 | self.EXECUTE_NEVER)
        self._put(TABLES, 1, RAM | 0x701)

    def _put(self, table: int, index: int, descriptor: int) -> None:
        self._machine.write_phys(table + 8 * index, struct.pack("<Q", descriptor))

    def _below(self, table: int, index: int) -> int:
        old = int.from_bytes(self._machine.read_phys(table + 8 * index, 8), "little")
        if old:
            return old & 0xFF_FFFF_F000
        new, self._next = self._next, self._next + 4096
        self._machine.write_phys(new, bytes(4096))
        self._put(table, index, new | 3)
        return new

    def slot(self, va: int, level: int) -> int:
        """Physical address of the descriptor of ``va`` at a level."""
        table = TABLES
        for upper in range(1, level):
            table = self._below(table, va >> 39 - 9 * upper & 511)
        return table + 8 * (va >> 39 - 9 * level & 511)

    @staticmethod
    def leaf(pa: int, level: int, extra: int = 0) -> int:
        """Normal memory, privileged read-write and executable."""
        return pa | 0x700 | (3 if level == 3 else 1) | extra

    def map(self, va: int, pa: int, extra: int = 0, level: int = 3) -> int:
        """A leaf; returns the physical address of its descriptor."""
        slot = self.slot(va, level)
        self._put(slot, 0, self.leaf(pa, level, extra))
        return slot


def read_words(machine: Machine, pa: int, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}I", machine.read_phys(pa, 4 * count))


def logged(machine: Machine) -> list[int]:
    """The words that the guest logged."""
    return list(read_words(machine, LOG, (machine.reg("r11") - LOG) // 4))


def exceptions(machine: Machine) -> list[Exception_]:
    """The exceptions that the guest logged, where it logged nothing else."""

    def records() -> Iterator[Exception_]:
        values = logged(machine)
        for at in range(0, len(values), 7):
            yield Exception_(*values[at : at + 7])

    return list(records())


def firmware(name: str, config: MachineConfig) -> tuple[Stop, str]:
    """Runs one of the committed firmware programs; how it ended and what it printed."""
    with Machine(config) as machine:
        machine.load(ELF / f"{name}.elf")
        stop = machine.run(max_insns=500_000_000)
        return stop, machine.console.read().decode()


def assert_firmware_passes(name: str, config: MachineConfig = MachineConfig(GIB)) -> None:  # noqa: B008
    """Every check of the program is "ok", its plan is complete, its status 0."""
    stop, output = firmware(name, config)
    failed = [line for line in output.splitlines() if line.startswith("not ok")]
    assert (stop.reason, stop.status, failed) == (StopReason.EXIT, 0, []), output[-2000:]
    passed = sum(line.startswith("ok ") for line in output.splitlines())
    assert passed
    assert f"1..{passed}" in output
