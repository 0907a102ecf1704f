"""Traps of the engine where the host shows through: its clock, its heap, its speed, its version.

See test_engine_traps.py.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyemu.machine import Machine, StopReason
from tests.conftest import ROOT, need_tool
from tests.machine.images import words
from tests.machine.traps.guest import (
    ADFSR,
    AIFSR,
    AMAIR0,
    AMAIR1,
    COUNT,
    CPSID_I,
    CPSIE_I,
    CTL,
    CVAL,
    FREE,
    IRQ,
    ISB,
    ISR,
    LOG,
    SMALL,
    TLBIALL,
    TVAL,
    Guest,
    Tables,
    add,
    assert_firmware_passes,
    blx,
    exceptions,
    ldr,
    logged,
    store,
    subs,
)

VA = 0x8000_0000
TICK_NS = 16
PPI = {"physical": 30, "virtual": 27}
CHANNELS = pytest.mark.parametrize("channel", ["physical", "virtual"])


def delay(code: Guest, insns: int, name: str) -> None:
    """About so many instructions, through r9."""
    code.mov(9, insns // 2)
    code.label(name)
    code.op(subs(9, 9, 1))
    code.b(name, "ne")


# ---- 2: the generic timer ----


@CHANNELS
def test_02_timer_registers_keep_what_is_written(channel: str) -> None:
    """Trap 2: the engine drops writes of CVAL and CTL, and computes no status."""
    code = Guest()
    code.mov(2, 0x89ABCDEF)
    code.mov(3, 0x01234567)
    code.mcrr(CVAL[channel], 2, 3)
    code.set_cp15(CTL[channel], 1)
    code.mrrc(CVAL[channel], 4, 5)
    code.mrc(CTL[channel], 6)
    code.log(4, 5, 6)
    code.set_cp15(TVAL[channel], 0xFFFF_FFFF)  # -1: has passed
    code.mrc(CTL[channel], 6)
    code.log(6)
    code.set_cp15(CTL[channel], 2)
    code.mrc(CTL[channel], 6)
    code.log(6)
    code.set_cp15(TVAL[channel], 100_000)
    code.mrc(TVAL[channel], 6)
    code.mrrc(CVAL[channel], 4, 5)
    code.mrrc(COUNT[channel], 2, 3)
    code.log(6, 4, 2)
    code.exit()
    with Machine(SMALL) as machine:
        code.run(machine)
        low, high, ctl, passed, off, tval, cval, count = logged(machine)
        assert (low, high) == (0x89ABCDEF, 0x01234567)
        assert (ctl, passed, off) == (1, 5, 2)
        assert 99_990 <= tval <= 100_000
        assert 99_990 <= cval - count <= 100_000


@CHANNELS
def test_02_counters_count_executed_work(channel: str) -> None:
    """Trap 2: the engine's counter is the host's clock."""
    code = Guest()
    code.mrrc(COUNT[channel], 2, 3)
    delay(code, 1_600_000, "delay")
    code.mrrc(COUNT[channel], 4, 5)
    code.log(2, 3, 4, 5)
    code.exit()
    seen = []
    for pause in (0.0, 0.05):
        with Machine(SMALL) as machine:
            machine.load(code.code())
            machine.run(max_insns=800_000)
            time.sleep(pause)
            assert machine.run(max_insns=2_000_000).reason is StopReason.EXIT
            seen.append(logged(machine))
    assert seen[0] == seen[1]
    before, _, after, _ = seen[0]
    assert after - before == pytest.approx(1_600_000 // TICK_NS, abs=2)


@CHANNELS
def test_02_a_timer_interrupts_when_it_is_due(channel: str) -> None:
    """Trap 2: an armed timer of the engine never fires."""
    code = Guest()
    code.mov(4, 0x0800_0000)  # GICD: on; the interrupt enabled
    code.op(0xE3A02001, store(2, 4))
    code.mov(2, 1 << PPI[channel])
    code.op(store(2, 4, 0x100))
    code.mov(4, 0x0801_0000)  # GICC: on; every priority
    code.op(0xE3A02001, store(2, 4), 0xE3A020F0, store(2, 4, 4))
    code.set_cp15(TVAL[channel], 1000)
    code.set_cp15(CTL[channel], 1)
    code.op(CPSIE_I)
    begin = code.here
    code.mov(9, 50_000)
    code.label("loop")
    code.op(subs(9, 9, 1))
    code.b("loop", "ne")
    end = code.here
    code.op(CPSID_I)
    code.exit()
    with Machine(SMALL) as machine:
        code.run(machine)
        [taken] = exceptions(machine)
        assert taken.kind == IRQ
        assert begin <= taken.lr - 4 < end
        assert machine.stats().irqs == 1
    with Machine(SMALL) as machine:
        machine.load(code.code())
        machine.run(until=code.address_of("irq"), max_insns=100_000)
        left = machine.reg("r9")
        assert (50_000 - left) * 2 == pytest.approx(1000 * TICK_NS, abs=40)


@pytest.mark.parametrize("offset", [0xFF8, 0xFFA, 0xFFC, 0xFFE])
def test_02_a_thumb_read_of_the_counter_may_cross_a_page(offset: int) -> None:
    """Trap 2: accesses of the virtual timer do not trap, and are found by looking at the page's words."""
    code = Guest()
    code.mov(4, FREE + offset + 1)
    code.op(blx(4))
    code.log(0, 1)
    code.exit()
    with Machine(SMALL) as machine:
        machine.write_phys(FREE + offset, words(0x0F1EEC51, 0x4770))  # mrrc p15, 1, r0, r1, c14; bx lr
        code.run(machine)
        low, high = logged(machine)
        assert low < 100
        assert high == 0


def test_02_both_timers_as_the_firmware_checks_them() -> None:
    """Trap 2: user access, conditional and Thumb reads, waiting for a timer, ..."""
    assert_firmware_passes("timer")


# ---- constants, interrupt status ----


def test_a_write_to_a_constant_register_changes_nothing() -> None:
    """A raw write to a register that is a constant of the engine lands in r0."""
    code = Guest()
    code.mov(0, 0x1111)
    code.mov(2, 0x2222)
    for register in (ADFSR, AIFSR, AMAIR0, AMAIR1):
        code.mcr(register, 2)
        code.mrc(register, 3)
        code.log(0, 3)
    code.exit()
    with Machine(SMALL) as machine:
        code.run(machine)
        assert logged(machine) == 4 * [0x1111, 0]


def test_a_snapshot_keeps_r0(tmp_path: Path) -> None:
    """Loading a state writes every register, constants too where nothing prevents it."""
    with Machine(SMALL) as machine:
        machine.load(words(0xEAFFFFFE))
        machine.set_reg("r0", 0x1111)
        machine.snapshot(tmp_path / "m")
    with Machine.restore(tmp_path / "m") as machine:
        assert machine.reg("r0") == 0x1111


def test_isr_shows_the_lines_of_our_interrupt_controller() -> None:
    """The engine answers ISR from interrupt lines of its own, which nothing drives."""
    code = Guest()
    code.mrc(ISR, 2)
    code.log(2)
    code.mov(4, 0x0800_0000)
    code.op(0xE3A02001, store(2, 4))
    code.mov(2, 1 << PPI["physical"])
    code.op(store(2, 4, 0x100))
    code.mov(4, 0x0801_0000)
    code.op(0xE3A02001, store(2, 4), 0xE3A020F0, store(2, 4, 4))
    code.set_cp15(TVAL["physical"], 0)
    code.set_cp15(CTL["physical"], 1)
    code.op(ISB)
    code.mrc(ISR, 2)
    code.log(2)
    code.set_cp15(CTL["physical"], 0)
    code.mrc(ISR, 2)
    code.log(2)
    code.exit()
    with Machine(SMALL) as machine:
        code.run(machine)
        assert logged(machine) == [0, 0x80, 0]


# ---- the host's clock, heap and speed ----


def test_the_number_of_walks_does_not_depend_on_the_speed_of_the_host() -> None:
    """At a flush the engine shrinks a soft TLB that was too large for 100 ms of the host's clock."""
    code = Guest()
    code.mmu_on()
    code.mov(8, 0x1000)
    code.mov(7, 12)
    code.label("many")  # many pages between flushes: it grows
    code.mov(4, VA)
    code.mov(5, 1000)
    code.label("page")
    code.op(ldr(2, 4), 0xE0844008, subs(5, 5, 1))  # add r4, r4, r8
    code.b("page", "ne")
    code.mov(6, 8)
    code.label("few")  # few pages between flushes: it is too large
    code.mcr(TLBIALL, 4)
    code.mov(4, VA)
    code.op(ldr(2, 4))
    code.label("pause")
    code.op(subs(6, 6, 1))
    code.b("few", "ne")
    code.op(subs(7, 7, 1))
    code.b("many", "ne")
    code.exit()
    seen = []
    for pause in (0.0, 0.11):
        with Machine(SMALL) as machine:
            tables = Tables(machine)
            for n in range(1000):
                tables.map(VA + 0x1000 * n, FREE + 0x1000 * n)
            machine.load(code.code())
            machine.run(max_insns=26_000)
            for _ in range(5):
                stop = machine.run(until=code.address_of("pause"), max_insns=100_000)
                assert stop.reason is StopReason.BREAKPOINT
                time.sleep(pause)
            assert machine.run(max_insns=1_000_000).reason is StopReason.EXIT
            stats = machine.stats()
            seen.append((stats.insns, stats.walks, stats.fills))
    assert seen[0] == seen[1]


def test_machines_made_one_after_another_all_work() -> None:
    """A stale copy of an engine's registers in freed memory looks like the registers themselves."""
    for number in range(600):
        with Machine(SMALL) as machine:
            machine.load(words(0xE2811003, 0xEAFFFFFD))  # add r1, r1, #3; b .-4
            machine.set_reg("r1", number)
            machine.run(max_insns=20)
            assert machine.reg("r1") == number + 3 * (machine.stats().insns // 2)


def _seconds(machine: Machine) -> float:
    begin = time.perf_counter()
    machine.run(max_insns=2_000_000)
    return time.perf_counter() - begin


def test_a_store_costs_a_few_instructions_and_not_a_call() -> None:
    """A hook on memory accesses, wherever it looks, makes every store call out.

    A loop that is half stores takes 4 times as long as one without, and 40 times with such a hook.  Short
    pieces in turn, the best of each: a busy host slows both.
    """
    loops = [add(2, 2, 1)] * 16, [store(2, 4), add(2, 2, 1)] * 8
    with Machine(SMALL) as integer, Machine(SMALL) as stores:
        for machine, loop in zip((integer, stores), loops, strict=True):
            machine.load(words(*loop, 0xEAFFFFEE))
            machine.set_reg("r4", LOG)
            machine.run(max_insns=100_000)
        times = [(_seconds(integer), _seconds(stores)) for _ in range(20)]
        assert min(s for _, s in times) < 15 * min(i for i, _ in times)


# ---- 17: the version ----

SYMBOLS = (
    "open close emu_start emu_stop reg_read reg_write reg_write_batch mem_map_ptr mmio_map hook_add hook_del "
    "ctl strerror"
)


@pytest.mark.parametrize(("patch", "accepted"), [(3, False), (4, True)])
def test_17_an_engine_that_cuts_addresses_is_refused(tmp_path: Path, patch: int, accepted: bool) -> None:
    """Trap 17: 2.1.3 and older cut physical addresses to 32 bits, without a word."""
    need_tool("cc", "gcc")
    source, library = tmp_path / "engine.c", tmp_path / "libunicorn.so.2"
    functions = "".join(f"void uc_{name}(void) {{}}\n" for name in SYMBOLS.split())
    source.write_text(
        f"{functions}unsigned uc_version(unsigned *major, unsigned *minor)"
        f"{{ *major = 2; *minor = 1; return 0x020100ff | {patch} << 8; }}\n"
    )
    subprocess.run(
        ["cc", "-shared", "-fPIC", f"-Wl,-soname,{library.name}", "-o", library, source], check=True
    )
    script = (
        "import ctypes, sys; ctypes.CDLL(sys.argv[1])\n"
        "from pyemu.native import ffi, lib\n"
        "text, err = ffi.new('char[200]'), ffi.new('pe_error *')\n"
        "status = lib.pe_engine_describe(text, 200, err)\n"
        "print(status, ffi.string(err.text if status else text).decode())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, library], capture_output=True, text=True, cwd=ROOT, check=True
    )
    if accepted:
        assert done.stdout.startswith("0 unicorn 2.1.4;")
    else:
        assert done.stdout.endswith("libunicorn is 2.1.3: pyemu needs 2.1.4 or a later 2.x\n")
