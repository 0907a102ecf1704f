"""The machine from Python: load, run, look inside, save and go on."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pyemu.config import GIB, MIB, MachineConfig, UserError
from pyemu.machine import Machine, StopReason
from pyemu.mmu import Access, DescriptorKind, Fault, Regime, TranslationFault
from pyemu.native import NativeError
from tests.machine.images import RAM, Segment, exit_code, hello_elf, make_elf, print_code, words

SMALL = MachineConfig(16 * MIB)
LOOP = words(0xE2800001, 0xEAFFFFFD)  # add r0, r0, #1; b .-4


def short_tables(machine: Machine, table: int = RAM + 0x4000) -> None:
    """Sections: RAM's first megabyte flat; two neighbours that are apart in memory; 0x12600000 read-only."""
    pairs = (
        (RAM, RAM | 0xC02),
        (0x12300000, RAM + 0x100000 | 0xC02),
        (0x12400000, RAM + 0x500000 | 0xC02),
        (0x12600000, RAM + 0x600000 | 0x8C02),
    )
    for va, descriptor in pairs:
        machine.write_phys(table + 4 * (va >> 20), words(descriptor))
    for name, value in (("ttbr0", table), ("dacr", 1), ("ttbcr", 0), ("sctlr", machine.reg("sctlr") | 1)):
        machine.set_reg(name, value)


def test_a_program_prints_and_exits_with_its_status() -> None:
    with Machine(SMALL) as machine:
        machine.load(hello_elf(7, "hello\n"))
        stop = machine.run(max_insns=1000)
        assert (stop.reason, stop.status) == (StopReason.EXIT, 7)
        assert machine.console.read() == b"hello\n"
        assert machine.console.read() == b""


def test_an_instruction_limit_stops_a_loop_where_it_can_go_on() -> None:
    with Machine(SMALL) as machine:
        machine.load(LOOP)
        first = machine.run(max_insns=1000)
        assert first.reason is StopReason.LIMIT
        assert 1000 <= first.insns < 1010
        assert machine.reg("r0") == first.insns // 2
        second = machine.run(max_insns=10_000_000)
        assert machine.stats().insns == first.insns + second.insns
        assert machine.reg("r0") == machine.stats()["insns"] // 2


def test_a_run_is_the_same_in_one_piece_and_in_many() -> None:
    counts = []
    for pieces in ([9_000_000], [1_000_000] * 9):
        with Machine(SMALL) as machine:
            machine.load(LOOP)
            for piece in pieces:
                machine.run(max_insns=piece)
            counts.append(machine.reg("r0"))
    assert abs(counts[0] - counts[1]) <= 9


def test_a_timeout_ends_a_guest_that_loops_for_ever() -> None:
    with Machine(SMALL) as machine:
        machine.load(LOOP)
        begin = time.monotonic()
        assert machine.run(timeout=0.2).reason is StopReason.TIMEOUT
        assert 0.2 <= time.monotonic() - begin < 5
        assert machine.run(max_insns=1000).reason is StopReason.LIMIT


def test_another_thread_can_stop_a_run() -> None:
    with Machine(SMALL) as machine:
        machine.load(LOOP)
        timer = threading.Timer(0.1, machine.stop)
        timer.start()
        assert machine.run(timeout=20).reason is StopReason.REQUESTED
        timer.join()


def test_a_run_stops_before_an_address_a_symbol_or_at_console_text() -> None:
    code = print_code("one two three\n", exit_code(0))
    elf = make_elf(Segment(RAM + 0x8000, code), symbols=[("start", RAM + 0x8000), ("third", RAM + 0x8008)])
    with Machine(SMALL) as machine:
        machine.load(elf)
        stop = machine.run(until=RAM + 0x8004, max_insns=1000)
        assert (stop.reason, stop.address, stop.insns) == (StopReason.BREAKPOINT, RAM + 0x8004, 1)
        stop = machine.run(until="third", max_insns=1000)
        assert (stop.reason, stop.address, machine.reg("pc")) == (
            StopReason.BREAKPOINT,
            RAM + 0x8008,
            RAM + 0x8008,
        )
        assert machine.run(until=b"two", max_insns=1000).reason is StopReason.CONSOLE
        assert machine.run(max_insns=1000).reason is StopReason.EXIT
        assert machine.console.read() == b"one two three\n"


def test_console_text_across_two_runs_of_the_core_is_seen() -> None:
    """The text is printed a letter every 3 million instructions, so slices end inside it."""
    delay = words(
        0xE59F4008, 0xE2544001, 0x1AFFFFFD, 0xEA000000, 1_500_000
    )  # ldr r4, =N; 1: subs; bne 1b; b over
    code = b"".join(
        delay + print_code(letter, b"\0" * 0 or words(0xE1A00000)) for letter in "abcdef"
    ) + exit_code(0)
    with Machine(SMALL) as machine:
        machine.load(code)
        assert machine.run(until=b"bcde", max_insns=100_000_000).reason is StopReason.CONSOLE
        assert machine.console.read().startswith(b"abcde")


def test_registers_are_read_and_written_by_name() -> None:
    with Machine(SMALL) as machine:
        machine.load(LOOP)
        regs = machine.cpus[0].regs
        assert regs["pc"] == regs["R15"] == RAM + 0x8000
        regs["r7"] = 0xDEADBEEF
        assert machine.reg("r7") == 0xDEADBEEF
        machine.set_reg("d3", 0x1122334455667788)
        assert machine.reg("d3") == 0x1122334455667788
        assert regs["cpsr"] & 0x1F == 0x13
        assert {"sctlr", "ttbr0", "ttbr1", "ttbcr", "dacr"} <= set(regs.group("cp15"))
        with pytest.raises(KeyError, match="no register 'r99'"):
            machine.reg("r99")
        with pytest.raises(ValueError, match="does not fit"):
            machine.set_reg("r0", 1 << 32)


def test_writing_a_register_changes_no_core_register() -> None:
    """The engine keeps some CP15 registers as constants, and writes to them went to r0."""
    with Machine(SMALL) as machine:
        machine.load(LOOP)
        regs = machine.cpus[0].regs
        for number in range(13):
            regs[f"r{number}"] = 0x1111 * (number + 1)
        for name in regs.group("cp15"):
            with contextlib.suppress(NativeError):  # constants refuse
                regs[name] = regs[name]
            assert [regs[f"r{number}"] for number in range(13)] == [0x1111 * (n + 1) for n in range(13)], name


def test_linux_registers_are_set_at_entry() -> None:
    with Machine(SMALL) as machine:
        machine.load(hello_elf())
        assert [machine.reg(f"r{n}") for n in range(3)] == [0, 0xFFFFFFFF, RAM]
        assert machine.read_phys(RAM, 4) == b"\xd0\x0d\xfe\xed"


def test_physical_memory_is_read_and_written_to_its_last_byte() -> None:
    with Machine(MachineConfig(16 * GIB)) as machine:
        top = RAM + 16 * GIB
        machine.write_phys(top - 4, b"last")
        assert machine.read_phys(top - 4, 4) == b"last"
        with pytest.raises(NativeError):
            machine.read_phys(top - 2, 4)
        with pytest.raises(NativeError):
            machine.write_phys(top - 2, b"over")
        assert machine.read_phys(top - 4, 4) == b"last"


def test_virtual_memory_is_reached_through_the_guests_tables_across_pages() -> None:
    with Machine(SMALL) as machine:
        short_tables(machine)
        machine.write(0x123FFFFE, b"span")
        assert machine.read_phys(RAM + 0x1FFFFE, 2) + machine.read_phys(RAM + 0x500000, 2) == b"span"
        assert machine.read(0x123FFFFE, 4) == b"span"
        translation = machine.translate(0x12400010)
        assert (translation.pa, translation.fault, translation.size) == (
            RAM + 0x500010,
            Fault.NONE,
            1 << 20,
        )
        walk = machine.walk(0x12400010)
        assert [(step.level, step.index, step.kind) for step in walk.steps] == [
            (1, 0x124, DescriptorKind.BLOCK)
        ]


def test_a_virtual_access_that_faults_names_the_descriptor_and_changes_nothing() -> None:
    with Machine(SMALL) as machine:
        short_tables(machine)
        with pytest.raises(TranslationFault, match="0x12500000") as caught:
            machine.write(0x124FFFFE, b"span")
        assert caught.value.walk.result.fault is Fault.TRANSLATION
        assert machine.read_phys(RAM + 0x5FFFFE, 2) == b"\0\0"
        assert machine.translate(0x12600000, Access.WRITE).fault is Fault.PERMISSION
        with pytest.raises(TranslationFault, match="write of 0x12600000"):
            machine.write(0x12600000, b"x")
        machine.write(0x12600000, b"x", force=True)
        assert machine.read(0x12600000, 1) == b"x"
        with pytest.raises(ValueError, match="32-bit"):
            machine.read(0xFFFFFFFF, 2)


def test_the_regime_of_a_cpu_is_that_of_its_registers() -> None:
    with Machine(SMALL) as machine:
        short_tables(machine)
        names = ("sctlr", "ttbcr", "ttbr0", "ttbr1", "dacr", "mair0", "mair1", "contextidr")
        assert machine.regime() == Regime(**{name: machine.reg(name) for name in names})
        assert machine.regime().mmu_on
        assert machine.privileged()
        machine.set_reg("cpsr", machine.reg("cpsr") & ~0x1F | 0x10)
        assert not machine.privileged()
        assert machine.translate(0x12600000, Access.WRITE).fault is Fault.PERMISSION


def test_the_memory_of_a_machine_is_a_memory_but_keeps_its_segments() -> None:
    with Machine(SMALL) as machine:
        mem = machine.mem
        assert [(s.base, s.size, s.readonly) for s in mem.segments] == [
            (0, 64 * MIB, True),
            (64 * MIB, 64 * MIB, True),
            (RAM, 16 * MIB, False),
        ]
        mem.write(RAM + 4, b"word")
        assert (mem.read(RAM + 4, 4), machine.read_phys(RAM + 4, 4)) == (b"word", b"word")
        for change in (lambda: mem.add_ram(1 << 36, 4096), mem.reset, lambda: mem.add_file(0, "/dev/null")):
            with pytest.raises(ValueError, match="belongs to a machine"):
                change()
    with pytest.raises(ValueError, match="closed"):
        mem.read(RAM, 4)


def test_code_that_is_written_from_outside_is_what_runs() -> None:
    with Machine(SMALL) as machine:
        machine.load(LOOP)
        machine.run(max_insns=1000)
        before = machine.reg("r0")
        machine.mem.write(RAM + 0x8000, words(0xE2800C01))  # add r0, r0, #0x100
        machine.run(max_insns=1000)
        assert machine.reg("r0") - before >= 400 * 0x100


def test_a_second_load_clears_what_the_first_program_left_in_bss() -> None:
    elf = make_elf(Segment(RAM + 0x8000, exit_code(0), size=0x10000))
    with Machine(SMALL) as machine:
        machine.load(elf)
        machine.write_phys(RAM + 0x9000, b"left over")
        machine.write_phys(RAM + 0x18000, b"beyond")
        machine.load(elf)
        assert machine.read_phys(RAM + 0x9000, 9) == bytes(9)
        assert machine.read_phys(RAM + 0x18000, 6) == b"beyond"


def test_an_elf_in_flash_runs_there() -> None:
    with Machine(SMALL) as machine:
        machine.load(make_elf(Segment(0x1000, print_code("flash\n", exit_code(3)))))
        assert machine.run(max_insns=1000).status == 3
        assert machine.console.read() == b"flash\n"


def test_two_machines_do_not_know_of_each_other() -> None:
    with Machine(SMALL) as one, Machine(SMALL) as two:
        one.load(hello_elf(1, "one\n"))
        two.load(LOOP)
        two.run(max_insns=1000)
        one.run(max_insns=1000)
        assert (one.console.read(), two.console.read()) == (b"one\n", b"")
        assert two.reg("r0") >= 500


def test_a_closed_machine_says_so() -> None:
    machine = Machine(SMALL)
    machine.close()
    machine.close()
    with pytest.raises(ValueError, match="closed"):
        machine.run()


def test_alignment_faults_without_sctlr_a_are_an_option_that_snapshots_keep(tmp_path: Path) -> None:
    # mov r0, #0x40000000; ldr r1, [r0, #1]; ldrd r2, r3, [r0, #1]; b .
    code = words(0xE3A00101, 0xE5901001, 0xE1C020D1, 0xEAFFFFFE)
    aborts = {}
    for strict in (False, True):
        with Machine(replace(SMALL, strict_alignment=strict)) as machine:
            machine.load(code)
            machine.set_reg("vbar", RAM + 0x10000)
            machine.write_phys(RAM + 0x10010, words(0xEAFFFFFE))
            machine.snapshot(tmp_path / "m.snap")
            machine.run(max_insns=100)
            aborts[strict] = machine.stats().data_aborts
            # MMU off: all of memory is Strongly-ordered, and the first load faults.
            assert not strict or machine.reg("dfar") == RAM + 1
        with Machine.restore(tmp_path / "m.snap") as machine:
            assert machine.config.strict_alignment is strict
            machine.run(max_insns=100)
            assert machine.stats().data_aborts == aborts[strict]
    assert aborts == {False: 0, True: 1}


# ---- snapshots ----


def test_a_restored_machine_goes_on_as_the_saved_one(tmp_path: Path) -> None:
    delay = words(0xE59F4008, 0xE2544001, 0x1AFFFFFD, 0xEA000000, 1_000_000)
    elf = make_elf(
        Segment(RAM + 0x8000, delay + print_code("done\n", exit_code(5))), symbols=[("f", RAM + 0x8000)]
    )
    with Machine(MachineConfig(4 * GIB, "cortex-a7")) as machine:
        machine.load(elf)
        machine.run(max_insns=500_000)
        machine.write_phys(RAM + 4 * GIB - 5, b"above")
        machine.snapshot(tmp_path / "m.snap")
        rest = machine.run(max_insns=10_000_000)
        output, stats = machine.console.read(), machine.stats()
    assert (tmp_path / "m.snap").stat().st_size < 1 << 20
    with Machine.restore(tmp_path / "m.snap") as machine:
        assert machine.config == MachineConfig(4 * GIB, "cortex-a7")
        assert machine.read_phys(RAM + 4 * GIB - 5, 5) == b"above"
        assert machine.symbols.find("f") == RAM + 0x8000
        assert machine.run(max_insns=10_000_000) == rest
        assert machine.console.read() == output == b"done\n"
        assert machine.stats().insns == stats.insns
        assert machine.time_ns == stats.time_ns


def test_a_snapshot_holds_flash_too(tmp_path: Path) -> None:
    with Machine(SMALL) as machine:
        machine.load(make_elf(Segment(0x1000, print_code("flash\n", exit_code(3)))))
        machine.snapshot(tmp_path / "m.snap")
    with Machine.restore(tmp_path / "m.snap") as machine:
        assert machine.run(max_insns=1000).status == 3


def test_a_snapshot_with_a_state_that_the_core_refuses_is_one_line(tmp_path: Path) -> None:
    from pyemu.machine.snapshot import write_snapshot

    meta = {"config": {"memory_bytes": 16 * MIB}, "symbols": {}}
    for path, described, state in (
        ("state", meta, b"junk"),
        ("config", {"config": {"smp": 99}}, b""),
        ("meta", {}, b""),
    ):
        write_snapshot(tmp_path / path, described, state, [])
        with pytest.raises(UserError, match=f"{path}: damaged snapshot") as caught:
            Machine.restore(tmp_path / path)
        assert "\n" not in str(caught.value)


def test_memory_outside_the_machine_in_a_snapshot_is_refused(tmp_path: Path) -> None:
    from pyemu.machine.snapshot import write_snapshot

    meta = {"config": {"memory_bytes": 16 * MIB}, "symbols": {}}
    write_snapshot(tmp_path / "m", meta, b"", [(RAM + 32 * MIB, bytes(4096))])
    with pytest.raises(UserError, match="damaged snapshot"):
        Machine.restore(tmp_path / "m")
