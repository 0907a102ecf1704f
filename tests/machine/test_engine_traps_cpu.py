"""Traps of the engine's CPU: the world it starts in, its number, its alignment checks.

See test_engine_traps.py.
"""

from __future__ import annotations

from pyemu.config import MIB, MachineConfig
from pyemu.machine import Machine
from tests.machine.images import words
from tests.machine.traps.guest import (
    CPACR,
    DABT,
    FREE,
    HVC,
    LOG,
    MPIDR,
    SCR,
    SCTLR,
    SMALL,
    SMC,
    UNDEF,
    WFI,
    YIELD,
    Guest,
    Tables,
    add,
    exceptions,
    ldr,
    logged,
    read_words,
    store,
)

# ---- 13: the world that a CPU starts in ----


def test_13_a_cpu_starts_as_firmware_leaves_it_for_a_kernel() -> None:
    """Trap 13: HVC is undefined, CPACR ignored and SCR readable until SCR and NSACR are set."""
    code = Guest()
    for call in (HVC, SMC):
        code.mov(0, 0x84000000)  # PSCI_VERSION
        code.op(call)
        code.log(0)
    code.set_cp15(CPACR, 0xF00000)
    code.mrc(CPACR, 2)
    code.log(2)
    code.mov(2, 1 << 30)
    code.op(0xEEE82A10, 0xEE002A10, 0xEE103A10)  # vmsr fpexc, r2; vmov s0, r2; vmov r3, s0
    code.log(3)
    code.mrc(SCR, 0)
    code.label("behind")
    code.exit()
    with Machine(SMALL) as machine:
        machine.load(code.code())
        assert machine.reg("cpsr") & 0x3FF == 0x1D3  # SVC, A, I and F masked, ARM state
        code.run(machine)
        version, by_smc, cpacr, vfp, *secure = logged(machine)
        assert 0x2 <= version == by_smc < 0x20000
        assert (cpacr & 0xF00000, vfp) == (0xF00000, 1 << 30)
        assert secure[:2] == [UNDEF, code.address_of("behind")]


# ---- 14: MPIDR ----


def test_14_each_cpu_reads_its_own_number() -> None:
    """Trap 14: MPIDR is not writable; the guest's view of it is set through VMPIDR."""
    code = Guest()
    for number in (1, 2):
        code.mov(0, 0x84000003)  # PSCI CPU_ON
        code.mov(1, number)
        code.mov_label(2, "secondary")
        code.mov(3, LOG + 4 * number)
        code.op(HVC)
    code.mov(0, LOG)
    code.mrc(MPIDR, 2)
    code.op(store(2, 0))
    code.label("wait")
    code.op(YIELD, ldr(2, 0, 8), 0xE3520000)
    code.b("wait", "eq")
    code.exit()
    code.label("secondary")
    code.mrc(MPIDR, 2)
    code.op(store(2, 0), WFI)
    with Machine(MachineConfig(16 * MIB, smp=3)) as machine:
        code.run(machine)
        assert read_words(machine, LOG, 3) == (0x80000000, 0x80000001, 0x80000002)
    with Machine(SMALL) as machine:
        machine.load(words(0xEE100FB0, 0xEAFFFFFE))  # mrc p15, 0, r0, c0, c0, 5; b .
        machine.run(max_insns=4)
        assert machine.reg("r0") == 0xC0000000  # U: no other CPU


# ---- 15: alignment ----

ALIGNED_ONLY = [
    (0xE5942000, "ldr"),
    (0xE1D420B0, "ldrh"),
    (0xE5842000, "str"),
    (0xE1C420D0, "ldrd"),
    (0xE894000C, "ldm"),
]


def test_15_sctlr_a_makes_unaligned_accesses_fault() -> None:
    """Trap 15: the engine ignores SCTLR.A."""
    code = Guest()
    code.mov(4, FREE + 1)
    code.op(ldr(2, 4))
    code.mrc(SCTLR, 0)
    code.op(0xE3800002)  # orr r0, r0, #2
    code.mcr(SCTLR, 0)
    at = code.here
    code.op(*[instruction for instruction, _ in ALIGNED_ONLY])
    code.op(0xE5D42000, add(4, 4, 3), ldr(2, 4))  # ldrb; aligned ldr
    code.mrc(SCTLR, 0)
    code.op(0xE3C00002)  # bic r0, r0, #2
    code.mcr(SCTLR, 0)
    code.op(ldr(2, 4, 1))
    code.exit()
    with Machine(SMALL) as machine:
        code.run(machine)
        taken = exceptions(machine)
        assert [(e.kind, e.lr - 8) for e in taken] == [(DABT, at + 4 * n) for n in range(len(ALIGNED_ONLY))]
        assert {(e.dfsr & ~0x800, e.dfar) for e in taken} == {(1, FREE + 1)}
        assert [bool(e.dfsr & 0x800) for e in taken] == [name == "str" for _, name in ALIGNED_ONLY]


def test_15_an_unaligned_exclusive_access_is_an_abort_with_an_address() -> None:
    """Trap 15: LDREX and STREX report an interrupt without an address."""
    code = Guest()
    code.mov(4, FREE + 2)
    code.op(0xE1942F9F, 0xE1842F93)  # ldrex r2, [r4]; strex r2, r3, [r4]
    code.exit()
    with Machine(SMALL) as machine:
        code.run(machine)
        taken = exceptions(machine)
        assert [(e.kind, e.dfar) for e in taken[:1]] == [(DABT, FREE + 2)]
        assert all((e.kind, e.dfsr & ~0x800, e.dfar) == (DABT, 1, FREE + 2) for e in taken)


def test_15_a_strict_machine_checks_doubleword_accesses_without_sctlr_a() -> None:
    """Trap 15: LDRD and LDM need an aligned address in every case (ARM DDI 0406C A3.2.1)."""
    code = Guest()
    code.mmu_on()  # without it all memory is Strongly-ordered
    code.mov(4, FREE + 2)
    code.op(ldr(2, 4), 0xE1C420D0, 0xE894000C)  # ldrd r2, r3, [r4]; ldm r4, {r2, r3}
    code.exit()
    with Machine(MachineConfig(16 * MIB, strict_alignment=True)) as machine:
        Tables(machine)
        code.run(machine)
        assert [(e.kind, e.dfsr, e.dfar) for e in exceptions(machine)] == 2 * [(DABT, 0x221, FREE + 2)]
