"""A guest that hangs is described: where it is, which fault it handles, which descriptor made it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyemu.config import MIB, MachineConfig
from pyemu.machine import Machine, Stop, StopReason
from pyemu.machine.diagnosis import Diagnosis, diagnose
from pyemu.mmu import PageTables
from tests.machine.images import RAM, Segment, make_elf, words

CODE, VECTORS = RAM + 0x8000, RAM + 0xC000
VA = 0x1234_5000
HERE = 0xEAFFFFFE  # b .
LOAD, STORE, JUMP = 0xE5901000, 0xE5801000, 0xE12FFF10  # ldr r1, [r0]; str r1, [r0]; bx r0
UNDEFINED = 0xE7F000F0
WFI = 0xE320F003
USER = 0x10


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(MachineConfig(16 * MIB)) as machine:
        yield machine


@pytest.fixture(params=["lpae", "short"])
def tables(machine: Machine, request: pytest.FixtureRequest) -> PageTables:
    return PageTables(machine, request.param)


def start(machine: Machine, *code: int, vectors: bool = True, **registers: int) -> None:
    machine.write_phys(CODE, words(*code, HERE))
    machine.write_phys(VECTORS, words(*[HERE] * 8))
    machine.reset(CODE, {"vbar": VECTORS if vectors else 0, **registers})


def stopped(machine: Machine, reason: StopReason = StopReason.LIMIT) -> tuple[Stop, Diagnosis]:
    stop = machine.run(max_insns=10_000)
    assert stop.reason is reason
    return stop, diagnose(machine, stop)


# ---- lockups ----


def test_a_vector_that_is_not_mapped_is_named_with_its_descriptor(
    machine: Machine, tables: PageTables
) -> None:
    start(machine, HERE, vectors=False)
    tables.activate()
    stop, diagnosis = stopped(machine, StopReason.LOCKUP)
    assert stop.address == 0xC
    root = f"L1[0] @{tables.root:#x} = 0x0"
    assert diagnosis.cause is not None
    assert diagnosis.cause == (
        f"the prefetch abort vector at 0x0000000c cannot be fetched: level 1 table not present: {root}"
    )
    assert stop.origin == CODE
    assert diagnosis.notes[0].startswith(
        f"it began with the fetch of {CODE:#010x}: level 1 table not present"
    )
    kind = "long" if tables.format.name == "lpae" else "short"
    assert diagnosis.notes[-1].startswith(f"MMU on with {kind} descriptors: SCTLR 0x")
    assert f"TTBR0 {machine.reg('ttbr0'):#x}" in diagnosis.notes[-1]


def test_a_data_abort_before_the_lockup_is_told(machine: Machine, tables: PageTables) -> None:
    start(machine, STORE, vectors=False, r0=VA)
    tables.map(CODE, CODE, 4096)
    tables.activate()
    stop, diagnosis = stopped(machine, StopReason.LOCKUP)
    assert stop.address == 0xC
    (origin, abort, _) = diagnosis.notes
    assert origin == f"it began with an exception of the instruction at {CODE:#010x}"
    assert abort.startswith("last data abort: level 1 translation fault, write to 0x12345000 (DFSR 0x")
    assert "level 1 table not present: L1[" in abort


def test_a_table_outside_memory_is_the_cause(machine: Machine) -> None:
    start(machine, HERE, ttbr0=0x2000_0000, dacr=1)
    machine.set_reg("sctlr", machine.reg("sctlr") | 1)
    _, diagnosis = stopped(machine, StopReason.LOCKUP)
    assert diagnosis.cause is not None
    assert diagnosis.cause.startswith(f"the prefetch abort vector at {VECTORS + 0xC:#010x} cannot be fetched")
    assert diagnosis.cause.endswith("cannot be read, table from TTBR0 = 0x20000000")


def test_a_vector_without_memory_behind_it_is_the_cause(machine: Machine, tables: PageTables) -> None:
    start(machine, UNDEFINED)
    tables.map(RAM, RAM, MIB)
    tables.map(VECTORS, 0x2000_0000, 4096)
    tables.activate()
    stop, diagnosis = stopped(machine, StopReason.LOCKUP)
    at = f"{stop.address:#010x} (physical {0x2000_0000 + stop.address % 4096:#x})"
    assert diagnosis.cause is not None
    assert diagnosis.cause.endswith(f"vector at {at} cannot be fetched: there is no memory")


def test_an_undefined_instruction_in_its_own_vector_is_the_cause(machine: Machine) -> None:
    start(machine, UNDEFINED)
    machine.write_phys(VECTORS + 4, words(UNDEFINED))
    stop, diagnosis = stopped(machine, StopReason.LOCKUP)
    assert stop.origin == CODE
    assert diagnosis.cause == (
        f"the instruction 0xe7f000f0 in the undefined instruction vector at {VECTORS + 4:#010x} "
        "takes an exception itself"
    )


def test_high_vectors_are_named(machine: Machine, tables: PageTables) -> None:
    start(machine, HERE)
    tables.activate()
    machine.set_reg("sctlr", machine.reg("sctlr") | 1 << 13)
    _, diagnosis = stopped(machine, StopReason.LOCKUP)
    assert diagnosis.cause is not None
    assert "vector at 0xffff000c" in diagnosis.cause
    assert "high vectors (SCTLR.V)" in diagnosis.notes[-1]


# ---- handlers that never return ----


@pytest.mark.parametrize(("insn", "what"), [(LOAD, "read of"), (STORE, "write to")])
def test_a_data_abort_handler_that_loops(machine: Machine, tables: PageTables, insn: int, what: str) -> None:
    start(machine, insn, r0=VA + 0x10)
    tables.map(RAM, RAM, MIB)
    tables.activate()
    _, diagnosis = stopped(machine)
    handler, abort, registers = diagnosis.notes
    assert diagnosis.cause is None
    assert handler == f"CPU 0 handles a data abort of the instruction at {CODE:#010x}"
    assert abort.startswith(f"last data abort: level 1 translation fault, {what} 0x12345010 (DFSR ")
    assert "not present: L1[" in abort
    assert f"VBAR {VECTORS:#010x}" in registers
    (at,) = diagnosis.cpus
    assert (at.pc, at.mode, at.irqs_masked, at.thumb) == (VECTORS + 0x10, "abort", True, False)
    assert "abort mode, IRQs masked, MMU on with" in at.text


def test_a_prefetch_abort_handler_that_loops(machine: Machine, tables: PageTables) -> None:
    start(machine, JUMP, r0=VA)
    tables.map(RAM, RAM, MIB)
    tables.map(VA, RAM, 4096, execute=False)
    tables.activate()
    _, diagnosis = stopped(machine)
    assert diagnosis.notes[0] == f"CPU 0 handles a prefetch abort of the instruction at {VA:#010x}"
    assert "permission fault, fetch of 0x12345000 (IFSR 0x" in diagnosis.notes[1]
    assert "page permits read and write: L" in diagnosis.notes[1]


def test_a_fault_of_user_mode_is_explained_for_user_mode(machine: Machine, tables: PageTables) -> None:
    start(machine, LOAD, r0=VA)
    tables.map(RAM, RAM, MIB, user=True)
    tables.map(VA, RAM, 4096)
    tables.activate()
    machine.set_reg("cpsr", machine.reg("cpsr") & ~0x1F | USER)
    _, diagnosis = stopped(machine)
    assert "permission fault, read of 0x12345000" in diagnosis.notes[1]
    assert "for user mode, level" in diagnosis.notes[1]
    assert "permits no access" in diagnosis.notes[1]


def test_a_fault_that_the_tables_no_longer_make_says_so(machine: Machine, tables: PageTables) -> None:
    start(machine, LOAD, r0=VA)
    tables.map(RAM, RAM, MIB)
    tables.activate()
    machine.run(max_insns=100)
    tables.map(VA, RAM, 4096)
    _, diagnosis = stopped(machine)
    assert ": by now, 0x12345000 is 0x40000000, level" in diagnosis.notes[1]


def test_an_address_where_nothing_answers_is_told_from_a_fault_of_the_tables(machine: Machine) -> None:
    start(machine, LOAD, r0=0x2_0000_0000 - 0x1000 & 0xFFFF_FFFF)
    _, diagnosis = stopped(machine)
    assert diagnosis.notes[1] == (
        "last data abort: external abort, read of 0xfffff000 (DFSR 0x8): "
        "it translates to physical 0xfffff000, where nothing answers"
    )


def test_an_undefined_instruction_handler_that_loops(machine: Machine) -> None:
    start(machine, UNDEFINED)
    _, diagnosis = stopped(machine)
    assert diagnosis.notes == (f"CPU 0 handles an undefined instruction at {CODE:#010x}",)
    assert diagnosis.cpus[0].mode == "undefined"


# ---- elsewhere ----


def test_a_guest_that_loops_has_nothing_but_a_place(machine: Machine) -> None:
    machine.load(make_elf(Segment(CODE, words(HERE)), symbols=[("spin", CODE - 8)]))
    _, diagnosis = stopped(machine)
    assert diagnosis.notes == ()
    assert diagnosis.lines == [f"CPU 0 is at {CODE:#010x} (spin+0x8), SVC mode, IRQs masked, MMU off"]


def test_a_symbol_far_below_is_not_named(machine: Machine) -> None:
    machine.load(make_elf(Segment(CODE, words(HERE)), symbols=[("far", CODE - 0x10_0000)]))
    assert stopped(machine)[1].cpus[0].symbol is None


def test_a_jump_into_memory_that_nobody_wrote_is_told(machine: Machine) -> None:
    start(machine, JUMP, r0=0x1000)
    _, diagnosis = stopped(machine)
    assert diagnosis.cpus[0].empty
    assert ", where memory holds only zeros, SVC mode" in diagnosis.lines[0]


def test_an_abort_without_vectors_is_told_while_the_guest_runs_through_zeros(machine: Machine) -> None:
    start(machine, LOAD, vectors=False, r0=0xFFFF_F000)
    _, diagnosis = stopped(machine)
    assert diagnosis.cpus[0].empty
    assert f"CPU 0 handles a data abort of the instruction at {CODE:#010x}" in diagnosis.notes


def test_a_handler_that_faults_itself_is_told(machine: Machine, tables: PageTables) -> None:
    """The stack of abort mode is not mapped: the handler never gets past its first instruction."""
    start(machine, LOAD, r0=VA)
    machine.write_phys(VECTORS + 0x10, words(0xE92D4001))  # push {r0, lr}
    tables.map(RAM, RAM, MIB)
    tables.activate()
    stop, diagnosis = stopped(machine, StopReason.LOCKUP)
    assert diagnosis.cause is not None
    assert diagnosis.cause.startswith("the instruction 0xe92d4001 in the data abort vector")
    assert "write to 0xfffffff8" in diagnosis.notes[1]
    assert "VBAR" in diagnosis.notes[-1]
    assert stop.address == VECTORS + 0x10


def test_a_wait_for_ever_is_located(machine: Machine) -> None:
    start(machine, WFI)
    _, diagnosis = stopped(machine, StopReason.DEADLOCK)
    assert diagnosis.cpus[0].pc == CODE + 4


def test_a_cpu_that_was_never_started_is_left_out() -> None:
    with Machine(MachineConfig(16 * MIB, smp=4)) as machine:
        machine.load(words(HERE))
        _, diagnosis = stopped(machine)
        assert [at.cpu for at in diagnosis.cpus] == [0]
