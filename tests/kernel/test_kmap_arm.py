"""ARM code on a machine reads windows that the model makes: through init_mm's tables and the engine's TLB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import pytest

from pyemu.config import GIB, MachineConfig
from pyemu.kernel import Gfp, Kernel, KernelConfig
from pyemu.kernel.kmap import kmap, kmap_local, kunmap, kunmap_local, pkmap
from pyemu.kernel.process import Map, spawn
from pyemu.machine import Machine
from tests.kernel.user_tables import PAGE, UserTables

RAM = 0x4000_0000
TEXT_OFFSET = 0x40_0000  # of the kernel's image: the one part of lowmem that may be executed
# ldr r0, [r1]; str r2, [r1, #4]; b .
LOAD_AND_STORE = bytes.fromhex("000091e5 042081e5 feffffea")
SVC_IRQS_OFF = 0xD3


class Guest:
    """A machine that runs under the model's tables."""

    def __init__(self, tables: str, timing: str) -> None:
        core = None if timing == "off" else "cortex-a15"
        self.machine = Machine(MachineConfig(memory_bytes=GIB, timing=timing, core=core or "cortex-a15"))
        self.machine.reset(RAM + TEXT_OFFSET)  # before the model borrows what a reset makes anew
        self.kernel = Kernel(
            KernelConfig(memory_bytes=GIB, tables=tables, timing=timing, core=core),  # type: ignore[arg-type]
            machine=self.machine,
        )
        layout = self.kernel.layout
        self.machine.write_phys(layout.phys_offset + TEXT_OFFSET, LOAD_AND_STORE)
        self.code = layout.page_offset + TEXT_OFFSET

    def enter(self, cpu: int = 0) -> None:
        """The registers with which the CPU translates in the model."""
        registers = asdict(self.kernel.regime(cpu))
        self.machine.set_reg("cpsr", SVC_IRQS_OFF)
        for name in ("mair0", "mair1", "dacr", "ttbcr", "ttbr0", "ttbr1", "contextidr", "sctlr"):
            self.machine.set_reg(name, registers[name])

    def load_and_store(self, va: int, value: int) -> int:
        """The word at va; ``value`` is stored behind it."""
        for name, content in (("r1", va), ("r2", value), ("pc", self.code)):
            self.machine.set_reg(name, content)
        self.machine.run(until=self.code + 8, max_insns=100)
        assert self.machine.reg("pc") == self.code + 8
        return self.machine.reg("r0")

    def page(self, word: int) -> int:
        pfn = self.kernel.alloc_pages(0, Gfp.HIGHMEM)
        self.machine.write_phys(pfn * PAGE, word.to_bytes(4, "little"))
        return pfn


@pytest.fixture(params=[("lpae", "off"), ("classic", "off"), ("lpae", "cache")], ids="-".join)
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    made = Guest(*request.param)
    made.enter()
    yield made
    made.kernel.close()
    made.machine.close()


def test_arm_code_sees_each_page_that_comes_to_the_same_window(guest: Guest) -> None:
    """A window is used again and again: without its flush the engine would go on with the first page."""
    for word in (0x1111_1111, 0x2222_2222, 0x3333_3333):
        pfn = guest.page(word)
        va = kmap_local(guest.kernel, pfn)
        assert va == 0xFFEF_E000
        assert guest.load_and_store(va, word ^ 0xFF) == word
        assert guest.machine.read_phys(pfn * PAGE + 4, 4) == (word ^ 0xFF).to_bytes(4, "little")
        kunmap_local(guest.kernel, va)


def test_arm_code_faults_on_a_window_that_is_gone(guest: Guest) -> None:
    va = kmap_local(guest.kernel, guest.page(1))
    assert va is not None
    assert guest.load_and_store(va, 2) == 1
    kunmap_local(guest.kernel, va)
    guest.machine.set_reg("r1", va)
    guest.machine.set_reg("pc", guest.code)
    guest.machine.run(max_insns=1)
    assert guest.machine.reg("dfar") == va


def test_arm_code_reads_pkmap(guest: Guest) -> None:
    pfns = [guest.page(word) for word in (7, 8)]
    for pfn, word in zip(pfns, (7, 8), strict=True):
        va = kmap(guest.kernel, pfn)
        assert va is not None
        assert guest.load_and_store(va, 0) == word
    for pfn in pfns:
        kunmap(guest.kernel, pfn)
    # Whoever wraps around flushes: a slot that comes again shows the new page.
    slots = {slot.va: slot.pfn for slot in pkmap(guest.kernel) if slot.count}
    for _ in range(512):
        pfn = guest.page(9)
        va = kmap(guest.kernel, pfn)
        kunmap(guest.kernel, pfn)
        if va in slots:
            assert va is not None
            assert slots.pop(va) != pfn
            assert guest.load_and_store(va, 0) == 9
    assert not slots


@pytest.mark.parametrize("timing", ["off", "tlb", "cache"])
def test_arm_code_walks_a_process_page_table_through_a_window(timing: str) -> None:
    """As gup_fast's loop does: the PTE table of highmem, mapped, read by LDR."""
    guest = Guest("lpae", timing)
    process = spawn(guest.kernel)
    process.mmap(16 * PAGE, 0x2000_0000, flags=Map.PRIVATE | Map.FIXED)
    process.touch(0x2000_0000, 16 * PAGE, write=True)
    guest.enter()
    tables = UserTables(guest.kernel, process)
    pte = tables.pte(0x2000_0000)
    assert pte is not None
    va = kmap_local(guest.kernel, pte // PAGE)
    assert va is not None
    for page in range(0, 16, 2):
        at = va + pte % PAGE + page * 8
        entry = tables.read_pte(0x2000_0000 + page * PAGE)
        assert guest.load_and_store(at, entry >> 32) == entry & 0xFFFF_FFFF
    kunmap_local(guest.kernel, va)
    guest.kernel.close()
    guest.machine.close()
