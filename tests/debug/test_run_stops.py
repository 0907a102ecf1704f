"""Steps, breakpoints and watchpoints: they stop exactly, and the guest does not notice."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from pyemu.config import GIB, MachineConfig, UserError
from pyemu.debug import Session, open_target
from pyemu.debug.control import Control, Watch
from pyemu.machine import Machine, StopReason
from tests.conftest import ROOT
from tests.debug.bring_up import (
    LEVEL2,
    MAPPED,
    MARK,
    PTE,
    PTE_VALUE,
    THUMB,
    arm_machine,
    bring_up,
    bring_up_only,
    controlled,
    thumb_machine,
)
from tests.machine.traps.guest import ELF, FREE, LOG, SMALL, WFI, Guest, add, ldr, store, subs


def state(machine: Machine) -> Any:
    """What the guest has made of registers, memory and time."""
    registers = [
        (cpu.regs.group("core"), cpu.regs.group("banked"), cpu.regs.group("cp15")) for cpu in machine.cpus
    ]
    return registers, list(machine.mem.content()), machine.stats().insns, machine.time_ns


def state_at_end(guest: Guest) -> Any:
    """The state when nobody stops it."""
    with arm_machine(guest) as machine:
        machine.run(max_insns=100_000)
        return state(machine)


def steps(control: Control, count: int) -> list[int]:
    """PC behind each of so many steps."""
    return [control.step().pc for _ in range(count)]


@pytest.mark.parametrize(
    ("name", "smp"), [("timer", 1), ("thumb", 1), ("faults", 1), ("user", 1), ("atomic", 3)]
)
def test_a_run_that_is_stopped_and_stepped_is_the_same_to_the_last_bit(name: str, smp: int) -> None:
    config, budget = MachineConfig(64 << 20, smp=smp), 3_000_000
    with Machine(config) as machine:
        machine.load(ELF / f"{name}.elf")
        machine.run(max_insns=budget)
        wanted, printed, total = state(machine), machine.console.read(), machine.stats().insns
    machine = Machine(config)
    machine.load(ELF / f"{name}.elf")
    session, control = controlled(machine)
    dice = random.Random(name)
    with session:
        while control.position.insns < total - 2000:
            target = control.position.insns + dice.randrange(1, total // 12)
            if target > total - 2000:
                break
            stop = control._run(1, stop_at=target)
            assert (stop.reason, control.position.insns) == (StopReason.POSITION, target)
            for _ in range(20):
                before = control.position
                assert control.step().reason is StopReason.STEP
                after = control.position
                assert after.insns - before.insns + after.exceptions - before.exceptions >= 1
                assert after.insns - before.insns <= 1
        control.resume(total - control.position.insns)
        assert machine.console.read() == printed
        assert state(machine) == wanted


def test_a_step_is_one_instruction_also_in_it_blocks() -> None:
    session, control = controlled(thumb_machine())
    with session:
        visited = steps(control, 16)
        assert [pc - THUMB for pc in visited] == [*range(2, 0x1E, 2), 0x1C, 0x1C]
        regs = session.machine.cpus[0].regs
        assert [regs[f"r{n}"] for n in range(5)] == [1, 2, 0, 7, 10]
        assert regs["cpsr"] >> 30 & 1
        assert not regs["cpsr"] & 0x0600_FC00


def test_a_step_shows_the_it_state_that_the_next_instruction_has() -> None:
    session, control = controlled(thumb_machine())
    with session:
        states = []
        for _ in range(6):
            control.step()
            cpsr = session.machine.reg("cpsr")
            states.append(cpsr >> 8 & 0xFC | cpsr >> 25 & 3)
        assert states == [0, 0, 0x0C, 0x18, 0, 0x01]


@pytest.mark.parametrize("offset", [0x06, 0x0C, 0x10, 0x12, 0x18])
def test_a_breakpoint_within_an_it_block_stops_before_its_instruction(offset: int) -> None:
    session, control = controlled(thumb_machine())
    with session:
        control.add(THUMB + offset)
        halt = control.resume(10_000)
        assert (halt.reason, halt.pc) == (StopReason.BREAKPOINT, THUMB + offset)
        assert control.position.insns == offset // 2
        control.remove(THUMB + offset)
        control.resume(10_000)
        regs = session.machine.cpus[0].regs
        assert [regs[f"r{n}"] for n in range(5)] == [1, 2, 0, 7, 10]


@pytest.mark.parametrize("offset", [0x08, 0x16])
def test_a_breakpoint_where_the_it_condition_fails_is_passed(offset: int) -> None:
    session, control = controlled(thumb_machine())
    with session:
        control.add(THUMB + offset)
        assert control.resume(10_000).reason is StopReason.LIMIT
        assert session.machine.reg("r4") == 10


def test_a_step_enters_an_exception() -> None:
    guest = bring_up()
    code = guest.code()
    session, control = controlled(arm_machine(guest))
    with session:
        assert code
        control.add(guest.address_of("call"))
        assert control.resume().pc == guest.address_of("call")
        halt = control.step()
        assert (halt.reason, halt.pc) == (StopReason.STEP, guest.origin + 8)
        assert control.step().pc == guest.address_of("svc")
        assert session.machine.reg("lr_svc") == guest.address_of("after_call")


def test_a_step_at_a_faulting_instruction_executes_nothing() -> None:
    guest = Guest()
    guest.mov(0, 0xF000_0000)
    guest.label("load")
    guest.op(ldr(1, 0))
    session, control = controlled(arm_machine(guest))
    with session:
        control.add(guest.address_of("load"))
        control.resume()
        before = control.position
        assert control.step().pc == guest.origin + 0x10
        assert (control.position.insns, control.position.exceptions) == (before.insns, before.exceptions + 1)
        assert session.machine.reg("lr_abt") == guest.address_of("load") + 8


def test_a_jump_to_nowhere_and_its_abort_are_two_steps() -> None:
    guest = Guest()
    guest.mov(0, 0xF000_0000)
    guest.label("jump")
    guest.op(0xE12FFF10)  # bx r0
    session, control = controlled(arm_machine(guest))
    with session:
        control.add(guest.address_of("jump"))
        control.resume()
        assert steps(control, 2) == [0xF000_0000, guest.origin + 0x0C]


def test_a_step_over_wfi_ends_behind_it() -> None:
    guest = Guest()
    guest.op(WFI, WFI)
    guest.label("behind")
    session, control = controlled(arm_machine(guest))
    with session:
        control.add(guest.address_of("behind") - 8)
        control.resume()
        assert control.step().pc == guest.address_of("behind") - 4


def test_a_breakpoint_is_left_when_the_run_goes_on_and_found_again() -> None:
    guest = bring_up(5)
    session, control = controlled(arm_machine(guest))
    guest.code()
    with session:
        control.add(guest.address_of("loop"))
        left = []
        while (halt := control.resume()).reason is StopReason.BREAKPOINT:
            left.append(session.machine.reg("r8"))
        assert left == [5, 4, 3, 2, 1]
        assert halt.reason is StopReason.EXIT
        with pytest.raises(UserError, match="the guest has ended"):
            control.resume()


# ---- watchpoints ----


def test_a_watchpoint_stops_behind_the_store_with_both_values() -> None:
    guest = bring_up()
    session, control = controlled(arm_machine(guest))
    with session:
        control.add(Watch(MAPPED, 4))
        halt = control.resume()
        assert halt.reason is StopReason.WATCHPOINT
        assert halt.hit is not None
        assert (halt.hit.va, halt.hit.pa, halt.hit.old, halt.hit.new) == (MAPPED, FREE, 0, MARK)
        assert halt.pc == halt.hit.pc + 4 == guest.address_of("write_pte")
        assert session.memory.read(FREE, 4) == MARK.to_bytes(4, "little")
        assert control.resume().reason is StopReason.EXIT


def test_a_physical_watchpoint_sees_every_mapping_and_a_virtual_one_its_own() -> None:
    guest = bring_up()
    for watch, hits in ((Watch(FREE, 4, "w", True), 1), (Watch(FREE, 4), 0)):
        session, control = controlled(arm_machine(guest))
        with session:
            control.add(watch)
            seen = 0
            while control.resume().reason is StopReason.WATCHPOINT:
                seen += 1
            assert seen == hits


def _touch(guest: Guest) -> None:
    """Accesses around LOG + 0x100, from r0 on: words beside it, a word there, STM, LDM, a byte."""
    guest.mov(0, LOG + 0x100)
    guest.op(store(1, 0, 4), store(1, 0, 0x10), add(2, 0, 8))
    guest.label("word")
    guest.op(store(1, 0, 8))
    guest.label("multiple")
    guest.op(0xE880_001E)  # stm r0, {r1-r4}
    guest.label("load")
    guest.op(0xE890_001E)  # ldm r0, {r1-r4}
    guest.label("byte")
    guest.op(0xE5C0_1009)  # strb r1, [r0, #9]
    guest.label("odd")
    guest.op(0xE580_1005)  # str r1, [r0, #5]
    guest.label("behind")
    guest.exit()


@pytest.mark.parametrize(
    ("access", "found"),
    [
        ("w", ["word", "multiple", "byte", "odd"]),
        ("r", ["load"]),
        ("rw", ["word", "multiple", "load", "byte", "odd"]),
    ],
)
def test_a_watchpoint_stops_at_each_access_that_overlaps_it_and_at_no_other(
    access: str, found: list[str]
) -> None:
    guest = Guest()
    _touch(guest)
    session, control = controlled(arm_machine(guest))
    with session:
        control.add(Watch(LOG + 0x108, 4, access))
        seen = []
        while (halt := control.resume()).reason is StopReason.WATCHPOINT:
            assert halt.hit is not None
            assert halt.pc == halt.hit.pc + 4
            seen.append(halt.hit.pc)
        assert seen == [guest.address_of(name) for name in found]
        assert halt.reason is StopReason.EXIT


def test_accesses_beside_a_watchpoint_change_nothing() -> None:
    """A loop over the page of a watchpoint that it never touches."""
    guest = Guest()
    guest.mov(0, LOG + 0x100)
    guest.mov(8, 500)
    guest.label("loop")
    guest.op(store(8, 0), ldr(1, 0, 4), store(1, 0, 8), 0xE880_001E, subs(8, 8, 1))
    guest.b("loop", "ne")
    guest.exit()
    wanted = state_at_end(guest)
    session, control = controlled(arm_machine(guest))
    with session:
        control.add(Watch(LOG + 0x800, 16, "rw"))
        assert control.resume().reason is StopReason.EXIT
        assert state(session.machine) == wanted


@pytest.mark.parametrize("access", ["w", "rw"])
def test_a_watched_page_of_flash_is_flash_all_the_same(access: str) -> None:
    """Stores are commands there, and what they ask for hides the array (JEDEC JESD68.01)."""
    guest = Guest()
    guest.mov(0, 0x100)
    for at, command in enumerate((0x98, 0xFF, 0x90, 0x70, 0x12)):
        guest.mov(1, command)
        guest.op(store(1, 0), ldr(2 + at, 0))
    guest.op(ldr(7, 0, 0x40))
    guest.exit()
    wanted = state_at_end(guest)
    session, control = controlled(arm_machine(guest))
    with session:
        control.add(Watch(0x100, 4, access))
        hits = 0
        while control.resume().reason is not StopReason.EXIT:
            hits += 1
        assert hits == (5 if access == "w" else 10)
        assert state(session.machine) == wanted


# Accesses on both sides of what is watched, and a branch back to the first.
WORDS = struct.pack("<5I", 0xE580_1000, 0xE590_1008, 0xE580_1000, 0xE590_1008, 0xEAFF_FFFA)
BESIDE = {
    "ARM": struct.pack("<5I", 0xE5C0_1000, 0xE5D0_1006, 0xE7C0_1002, 0xE1D0_30D6, 0xEAFF_FFFA),
    "Thumb": struct.pack("<5H", 0x7001, 0x7983, 0x5481, 0x5683, 0xE7FA),
    "ARM, exclusive": struct.pack("<4I", 0xE190_3F9F, 0xE180_1F93, 0xE1D0_3F9F, 0xEAFF_FFFB),
    "Thumb, exclusive": struct.pack("<7H", 0xE850, 0x3F00, 0xE840, 0x3100, 0xE8D0, 0x3F4F, 0xE7F8),
}
"""strb, ldrb, strb by register, ldrsb; ldrex, strex, ldrexb"""


def _seconds_beside_a_watchpoint(code: bytes, thumb: bool) -> float:
    machine = Machine(SMALL)
    machine.load(code)
    machine.reset(THUMB | thumb)
    session, control = controlled(machine)
    with session:
        machine.cpus[0].regs["r0"] = FREE
        machine.cpus[0].regs["r2"] = 6
        control.add(Watch(FREE + 4, 1, "rw"))
        control.resume(5000)
        flushes, began = machine.stats().tlb_flushes, process_time()
        assert control.resume(30_000).reason is StopReason.LIMIT
        assert machine.stats().tlb_flushes == flushes  # the window is not taken for thrashing
        return process_time() - began


@pytest.mark.parametrize("state", BESIDE)
def test_accesses_beside_a_watchpoint_are_known_to_be_beside_it(state: str) -> None:
    """Where it is not known whether an access reaches a watchpoint, it is tried alone, and far slower."""
    beside, words = (
        min(_seconds_beside_a_watchpoint(code, thumb) for _ in range(3))
        for code, thumb in ((BESIDE[state], "Thumb" in state), (WORDS, False))
    )
    assert beside < 10 * words


def test_a_window_in_the_slot_of_code_does_not_make_flushes_of_the_guest_dear() -> None:
    """The engine lost count of its entries there, and doubled its table with each flush, to half a million.

    The guest is one of the fuzzer's, whose vectors lie in such a page and are read as data too.
    """
    seconds = []
    for watch in (Watch(0x7FA0_C05C, 4, "rw"), Watch(0x100, 4, "rw")):
        with Session(open_target(ROOT / "tests/data/window-slot.snap")) as session:
            control = session.part(Control)
            control.add(watch)
            control.resume(4000)
            began = process_time()
            assert control.resume(12_000).reason is StopReason.LIMIT
            seconds.append(process_time() - began)
    assert seconds[1] < 10 * seconds[0]


def test_watchpoints_are_checked() -> None:
    session, control = controlled(thumb_machine())
    with session:
        for wrong in (Watch(0xFFE, 4), Watch(0x1000, 0), Watch(0x1000, 4097), Watch(0xFFFF_FFFF, 2)):
            with pytest.raises(Exception, match=r"within a page|above the address space"):
                control.add(wrong)
        with pytest.raises(Exception, match="unknown kind of access 0"):
            control.add(Watch(0x1000, 4, ""))
        for number in range(16):
            control.add(Watch(0x1000 + 8 * number, 4))
        with pytest.raises(Exception, match="all 16 watchpoints are in use"):
            control.add(Watch(0x2000, 4))


# ---- tables ----


def test_stores_to_descriptors_are_recorded_with_their_place_and_values() -> None:
    guest = bring_up()
    session, control = controlled(arm_machine(guest))
    with session:
        control.resume()
        (write,) = control.table_writes(PTE, 8)
        assert (write.pc, write.pa, write.size, write.old, write.new) == (
            guest.address_of("pte_store"),
            PTE,
            8,
            0,
            PTE_VALUE,
        )
        assert session.memory.read(PTE, 8) == PTE_VALUE.to_bytes(8, "little")
        assert not control.table_writes(LEVEL2, 8)  # before the MMU was on nobody knew that it was a table
        last = control.last_write(PTE)
        assert last is not None
        assert last.ago == control.position.insns - write.insns


def test_tables_that_are_in_use_when_recording_begins_are_known() -> None:
    """A store to one counts although no walk reads it first."""
    guest = bring_up()
    machine = arm_machine(guest)
    machine.run(until=guest.address_of("write_pte"), max_insns=1000)
    session, control = controlled(machine)
    with session:
        control.add(guest.address_of("call"))
        assert control.resume().reason is StopReason.BREAKPOINT
        assert [write.pc for write in control.table_writes(PTE, 8)] == [guest.address_of("pte_store")]


def test_a_table_counts_from_where_it_is_linked() -> None:
    """What fills it before its first use is recorded, by word or doubleword, and who called by LR."""
    level3, pte = LEVEL2 + 0x1000, FREE | 0x403
    guest = bring_up_only()
    guest.mov(0, LEVEL2 + 16)
    guest.mov(6, level3 | 3)
    guest.mov(7, 0)
    guest.op(store(6, 0), store(7, 0, 4))
    guest.mov(0, level3 + 8)
    guest.mov(6, pte)
    guest.mov(14, 0xC0DE)
    guest.label("pte_store")
    guest.op(0xE1C060F0)  # strd r6, r7, [r0]
    guest.exit()
    session, control = controlled(arm_machine(guest))
    with session:
        control.resume()
        link = control.table_writes(LEVEL2 + 16, 8)
        assert [write.new for write in link] == [level3 | 3, 0]
        (write,) = control.table_writes(level3 + 8, 8)
        assert (write.pc, write.new, write.lr) == (guest.address_of("pte_store"), pte, 0xC0DE)
        assert not control.table_writes(FREE, 1 << 20)


def test_recording_keeps_the_latest_when_there_is_no_more_room(tmp_path: Path) -> None:
    from pyemu.native import check, error, ffi, lib

    with Machine(MachineConfig(GIB)) as machine:
        machine.load(ELF / "lpae.elf")
        err = error()
        check(lib.pe_machine_record_tables(machine.handle, 10, err), err)
        machine.run(max_insns=10_000_000)
        out, first = ffi.new("pe_table_write[]", 20), ffi.new("uint64_t *")
        assert lib.pe_machine_table_writes(machine.handle, 0, out, 20, first) == 10
        assert first[0] > 100
        assert [each.insns for each in out[0:10]] == sorted(each.insns for each in out[0:10])


def test_the_run_is_the_same_while_tables_are_recorded() -> None:
    with Machine(MachineConfig(GIB)) as machine:
        machine.load(ELF / "lpae.elf")
        machine.run(max_insns=10_000_000)
        wanted = state(machine)
    machine = Machine(MachineConfig(GIB))
    machine.load(ELF / "lpae.elf")
    session, control = controlled(machine)
    with session:
        control.resume(10_000_000)
        assert state(machine) == wanted


def test_without_a_debugger_nothing_is_recorded() -> None:
    guest = bring_up()
    with arm_machine(guest, SMALL) as machine:
        machine.run(max_insns=100_000)
        from pyemu.native import ffi, lib

        out, first = ffi.new("pe_table_write[]", 4), ffi.new("uint64_t *")
        assert lib.pe_machine_table_writes(machine.handle, 0, out, 4, first) == 0
