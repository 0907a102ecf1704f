"""Instruction counts: each has unit and source, a file's mistakes are named, and they are what is billed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyemu.config import UserError
from pyemu.kernel import Gfp, Kernel, KernelConfig
from pyemu.kernel.parameters import DATA, boot_parameters, read_costs
from pyemu.native import ffi, lib
from pyemu.timing import Cost

BUILT_IN = (DATA / "costs.toml").read_text()

MISTAKES = [
    ("put_page = { value = 17.9", "put_pages = { value = 17.9", "gup.put_pages: no such key: fast_call"),
    ("[gup]", "[gups]", "gups: no such group: cycles_per_insn, memory, kmap, locks, gup, process are"),
    (
        'value = 17.9, unit = "instructions"',
        'value = 17.9, unit = "cycles"',
        "gup.put_page: the unit is 'cycles'",
    ),
    ("value = 17.9", "value = -1", "gup.put_page: -1 is no number of instructions: 0 to"),
    ("value = 17.9", "value = true", "gup.put_page: True is no number of instructions"),
    ("value = 17.9", "value = nan", "gup.put_page: nan is no number of instructions"),
    (
        'value = 17.9, unit = "instructions"',
        "value = 17.9",
        "gup.put_page: .* is no value with its unit and source",
    ),
    ("put_page = { value", "put_page = 3 # { value", "gup.put_page: 3 is no value with its unit and source"),
    ("put_page = {", "# put_page = {", "gup.put_page: missing"),
    ("[gup]", "[gup", "not a TOML file"),
]


def bill(kernel: Kernel, cpu: int = 0) -> dict[Cost, tuple[int, int]]:
    """(cycles, events) of each category that was billed."""
    out = ffi.new("pe_bill *")
    assert lib.pe_ledger_read(lib.pe_kernel_ledger(kernel.handle), cpu, True, out, ffi.NULL) == lib.PE_OK
    return {cost: (out.cycles[cost], out.events[cost]) for cost in Cost if out.events[cost]}


def clock(kernel: Kernel) -> int:
    return int(lib.pe_ledger_cycles(lib.pe_kernel_ledger(kernel.handle), 0))


def test_every_value_has_a_unit_and_a_source() -> None:
    costs = read_costs()
    assert len(costs) > 50
    for parameter in costs.values():
        assert parameter.unit in ("instructions", "cycles/instruction")
        assert parameter.source
    assert not costs["gup.fast_page"].assumed
    assert costs["memory.alloc_page"].assumed


@pytest.mark.parametrize(("old", "new", "complaint"), MISTAKES)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in BUILT_IN
    file = tmp_path / "costs.toml"
    file.write_text(BUILT_IN.replace(old, new, 1))
    with pytest.raises(UserError, match=complaint) as refusal:
        KernelConfig(costs=file)
    assert str(refusal.value).startswith(str(file))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        KernelConfig(costs=tmp_path / "none.toml")


def test_a_boot_has_every_field_of_its_struct() -> None:
    fields = {name for name, _ in ffi.typeof("pe_kernel_boot").fields}
    for name in ("armmp-lpae", "rt-armmp"):
        assert set(boot_parameters(name)) == fields


def test_an_allocation_is_billed_by_its_instructions(tmp_path: Path) -> None:
    file = tmp_path / "costs.toml"
    file.write_text(BUILT_IN.replace("alloc_page = { value = 280", "alloc_page = { value = 1000.25"))
    with Kernel(KernelConfig(costs=file)) as kernel:
        assert clock(kernel) == 0, "the boot is not billed"
        for _ in range(4):
            kernel.alloc_pages()
        assert bill(kernel)[Cost.INSTRUCTIONS][1] == 4001, "quarters of instructions add up"
        assert clock(kernel) == sum(cycles for cycles, _ in bill(kernel).values())


def test_without_a_core_an_instruction_takes_a_cycle() -> None:
    with Kernel(KernelConfig()) as kernel:
        kernel.alloc_bulk(100, 0, Gfp.HIGHMEM)
        cycles, insns = bill(kernel)[Cost.INSTRUCTIONS]
        assert cycles == insns == clock(kernel)


def test_a_functional_model_has_no_bill() -> None:
    with Kernel(KernelConfig(functional=True)) as kernel:
        assert lib.pe_kernel_ledger(kernel.handle) == ffi.NULL
        kernel.alloc_pages()


def test_struct_pages_are_touched_in_mem_map_through_tlb_and_caches() -> None:
    with Kernel(KernelConfig(timing="cache", core="cortex-a15")) as kernel:
        kernel.alloc_bulk(2000, 0, Gfp.HIGHMEM)
        spent = bill(kernel)
        # 2000 structs of 36 bytes lie in 1125 lines of 64 bytes, none of which was in a cache.
        assert 1125 <= spent[Cost.DRAM][1] <= 1140
        assert Cost.WALK in spent
        assert Cost.MAIN_TLB in spent
        assert clock(kernel) == sum(cycles for cycles, _ in spent.values())


def test_clearing_a_page_touches_each_of_its_lines_once() -> None:
    with Kernel(KernelConfig(timing="cache", core="cortex-a15")) as kernel:
        kernel.alloc_bulk(64, 0, Gfp.KERNEL)
        before = bill(kernel)[Cost.DRAM][1]
        kernel.alloc_pages(0, Gfp.ZERO)
        assert 64 <= bill(kernel)[Cost.DRAM][1] - before <= 66


def test_the_same_calls_cost_the_same() -> None:
    def run() -> tuple[int, dict[Cost, tuple[int, int]]]:
        with Kernel(KernelConfig(timing="cache", core="cortex-a7")) as kernel:
            for pfn in kernel.alloc_bulk(300, 1, Gfp.HIGHMEM | Gfp.MOVABLE | Gfp.ZERO):
                kernel.free_pages(pfn, 1)
            return clock(kernel), bill(kernel)

    assert run() == run()
