"""The bill: categories add up exactly whatever runs, the same in every run, with the same keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.config import MIB, MachineConfig
from pyemu.machine import Bill, Machine
from pyemu.timing import Branch, Cost, Ledger, read_core
from tests import conftest
from tests.bills import check_bill
from tests.conftest import run_command_line
from tests.firmware.blobs import BLOBS, BY_NAME, Blob, compare_failures, parse_tap
from tests.fuzz.guests import make_guest
from tests.fuzz.values import RAM_BYTES
from tests.machine.images import hello_elf
from tests.machine.small_guests import SELF
from tests.machine.timed_guests import strides, timed

LEVELS = ("tlb", "cache")
CORES = ("cortex-a15", "cortex-a7", "cortex-a9")


def run_random_guest(seed: int, config: MachineConfig) -> tuple[Bill, int]:
    """The bill of a random guest, and how many instructions the machine counted."""
    guest = make_guest(7, seed)
    with Machine(config) as machine:
        for address, data in (*guest.more, (guest.address, guest.data)):
            machine.write_phys(address, data)
        machine.reset(guest.entry)
        machine.run(max_insns=6000)
        check_bill(machine)
        return machine.bill(), machine.stats().insns


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2000),
    level=st.sampled_from(LEVELS),
    core=st.sampled_from(CORES),
    smp=st.sampled_from((1, 1, 2)),
)
def test_categories_add_up_for_any_guest_and_every_run_is_the_same(
    seed: int, level: Any, core: str, smp: int
) -> None:
    config = MachineConfig(RAM_BYTES, smp=smp, timing=level, core=core)
    (bill, insns), (again, _) = run_random_guest(seed, config), run_random_guest(seed, config)
    assert bill.insns == insns
    assert (
        bill.cycles >= insns // 16
    )  # three a cycle at most; what is not a whole cycle waits for the next block
    assert bill == again


def sums(report: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """(what the parts add up to, the total) everywhere in the JSON form of a bill."""

    def billed(part: dict[str, Any]) -> int:
        return sum(charge["cycles"] for charge in part["categories"].values())

    yield billed(report), report["cycles"]
    for key in ("cycles", "instructions"):
        yield sum(cpu[key] for cpu in report["cpus"]), report[key]
    for cpu in report["cpus"]:
        for side in ("user", "kernel"):
            yield billed(cpu[side]), cpu[side]["cycles"]
            yield cpu[side]["categories"]["instructions"]["events"], cpu[side]["instructions"]
        for key in ("cycles", "instructions"):
            yield cpu["user"][key] + cpu["kernel"][key], cpu[key]
    for name, charge in report["categories"].items():
        parts = [cpu[side]["categories"][name] for cpu in report["cpus"] for side in ("user", "kernel")]
        for key in ("cycles", "events"):
            yield sum(part[key] for part in parts), charge[key]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("blob", BLOBS, ids=lambda blob: blob.name)
def test_firmware_passes_under_the_model_and_its_bill_adds_up(blob: Blob, level: str) -> None:
    options = [*blob.options(), "--timing", level, "--timeout", "110", "--json"]
    done = run_command_line("boot", blob.elf, *options, timeout=120)
    console = done.stderr
    assert compare_failures(parse_tap(console), blob.fails) == "", console
    report = done.json["timing"]
    for parts, total in sums(report):
        assert parts == total
    assert report["instructions"] == done.json["instructions"] > 0
    assert report["cycles"] > 0


def test_two_runs_of_the_command_line_print_the_same_json() -> None:
    for name in ("user", "atomic"):
        blob = BY_NAME[name]
        options = (*blob.options(), "--timing", "cache", "--json")
        first, second = (run_command_line("boot", blob.elf, *options).json for _ in range(2))
        assert first.pop("host")
        assert second.pop("host")
        assert first == second


def keys(value: Any) -> Any:
    """A JSON value without its numbers and texts."""
    if isinstance(value, dict):
        return {key: keys(entry) for key, entry in value.items()}
    return [keys(entry) for entry in value[:1]] if isinstance(value, list) else None


def test_keys_do_not_depend_on_what_happened() -> None:
    with Machine(MachineConfig(16 * MIB, timing="cache")) as machine:
        empty = machine.bill().as_dict()
    with timed(strides(4096, 900, 5), timing="cache") as machine:
        full = machine.bill().as_dict()
    assert keys(empty) == keys(full)
    assert full == json.loads(json.dumps(full))
    assert (empty["cpi"], empty["cycles"]) == (None, 0)
    assert set(full["categories"]) == {cost.name.lower() for cost in Cost}


def test_every_part_of_the_model_is_in_the_bill() -> None:
    with timed(strides(4096, 900, 5)) as machine:
        bill = machine.bill()
        cpu = bill.cpus[0]
        report = bill.as_dict()["cpus"][0]
    assert cpu.cpi == bill.cycles / bill.insns
    assert cpu.l1d is not None
    assert report["l1d"]["misses"] == cpu.l1d.misses >= 900 * 5
    assert report["l1d"]["miss_rate"] == cpu.l1d.misses / (cpu.l1d.reads + cpu.l1d.writes)
    assert report["tlb"]["main_misses"]["read"] == sum(cpu.tlb.main_misses) - cpu.tlb.main_misses[2] >= 4500
    assert report["tlb"]["evictions"] == cpu.tlb.evictions > 0
    loops, wrong = cpu.branches[Branch.CONDITIONAL]
    assert report["branches"]["conditional"] == {"executed": loops, "mispredicted": wrong}
    assert loops >= 900 * 5
    assert report["executed"]["loads"] == {"user": 0, "kernel": 900 * 5}
    assert bill.charges[Cost.BRANCHES].events == sum(wrong for _, wrong in cpu.branches.values())


def test_user_and_kernel_have_their_own_columns() -> None:
    drop = 0xF1020010  # cps #16: to User mode
    with timed([drop, *strides(64, 500, 2)], insns=5000) as machine:
        bill = machine.bill()
    assert bill.user[Cost.INSTRUCTIONS].events > bill.kernel[Cost.INSTRUCTIONS].events > 0
    assert bill.cpus[0].executed.loads == (1000, 0)
    assert bill.user[Cost.DRAM].cycles > 0


def test_the_bill_says_which_parameters_are_assumed() -> None:
    core = read_core("cortex-a15")
    with timed([SELF], insns=100) as machine:
        report = machine.bill().as_dict()
    assert report["assumed"] == list(core.assumed)
    assert report["core"] == core.as_dict()
    assert {name for name, entry in report["core"]["parameters"].items() if entry["assumed"]} == set(
        core.assumed
    )
    assert 0 < len(core.assumed) < len(core.parameters)


def test_a_machine_whose_bill_does_not_add_up_fails_its_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tests/bills.py does for every test, in this process and in those of the command line."""
    machine = timed([SELF], insns=100)
    clock = Ledger.clock
    monkeypatch.setattr(Ledger, "clock", lambda self, cpu=0: clock(self, cpu) + 1)
    with pytest.raises(AssertionError, match="CPU 0: categories of"):
        machine.close()
    with pytest.raises(ValueError, match="closed"):
        machine.stats()


def test_runs_of_the_command_line_are_checked_too(tmp_path: Any) -> None:
    (tmp_path / "hello.elf").write_bytes(hello_elf())
    broken = (
        "import pyemu.timing.ledger as l; c = l.Ledger.clock; l.Ledger.clock = lambda s, n=0: c(s, n) + 1\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conftest, "PROGRAM", conftest.PROGRAM.replace("sys.exit", f"{broken}sys.exit"))
        done = run_command_line("boot", tmp_path / "hello.elf", "--timing", "tlb")
    assert done.status == 1
    assert "AssertionError: CPU 0: categories of" in done.stderr
