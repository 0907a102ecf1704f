"""Static cost of blocks: decoding, dependencies, ports, loops; in-order code on a plain-Python pipeline."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.native import NativeError
from pyemu.timing import Core, load_cores, read_core
from pyemu.timing.blocks import BlockCost, Blocks, Branch
from tests.timing.disassembly import disassemble

A15, A7, A9 = "cortex-a15", "cortex-a7", "cortex-a9"
BASE = 0x8000

# By name: what capstone reads, and the bytes.
CODE = {
    "chase": (
        "ldr r0, [r0]; subs r1, r1, #1; bne #0x8000",
        "000090e5011051e2fcffff1a",
    ),
    "chain": (
        "add r0, r0, r1; add r0, r0, r1; subs r2, r2, #1; bne #0x8000",
        "010080e0010080e0012052e2fbffff1a",
    ),
    "walk": (
        "ldr r0, [r1], #4; subs r2, r2, #1; bne #0x8000",
        "040091e4012052e2fcffff1a",
    ),
    "independent": (
        "add r0, r1, r2; add r3, r1, r2; add r4, r1, r2; add r5, r1, r2; add r6, r1, r2; add r7, r1, r2",
        "020081e0023081e0024081e0025081e0026081e0027081e0",
    ),
    "loads": (
        "ldr r0, [ip]; "
        "ldr r1, [ip, #4]; "
        "ldr r2, [ip, #8]; "
        "ldr r3, [ip, #0xc]; "
        "ldr r4, [ip, #0x10]; "
        "ldr r5, [ip, #0x14]",
        "00009ce504109ce508209ce50c309ce510409ce514509ce5",
    ),
    "list": (
        "ldm ip, {r0, r1, r2, r3, r4, r5, r6, r7, r8, sb}",
        "ff039ce8",
    ),
    "multiply": (
        "mul r0, r0, r1; subs r2, r2, #1; bne #0x8000",
        "900100e0012052e2fcffff1a",
    ),
    "divide": (
        "sdiv r0, r1, r2; sdiv r3, r4, r5; sdiv r6, r7, r8",
        "11f210e714f513e717f816e7",
    ),
    "late": (
        "mul r0, r1, r2; "
        "mul r0, r0, r2; "
        "mul r0, r0, r2; "
        "mul r0, r0, r2; "
        "mul r0, r0, r2; "
        "mul r0, r0, r2; "
        "mul r0, r0, r2",
        "910200e0900200e0900200e0900200e0900200e0900200e0900200e0",
    ),
    "system": (
        "dsb sy; "
        "isb sy; "
        "dmb sy; "
        "mcr p15, #0, r0, c8, c7, #0; "
        "mcr p14, #0, r0, c1, c0, #0; "
        "mcrr p15, #0, r0, r1, c2; "
        "ldrex r0, [r1]; "
        "strex r2, r0, [r1]; "
        "svc #0",
        "4ff07ff56ff07ff55ff07ff5170f08ee100e01ee020f41ec9f0f91e1902f81e1000000ef",
    ),
    "vfp": (
        "vadd.f64 d0, d0, d1; vadd.f64 d0, d0, d1; subs r2, r2, #1; bne #0x8000",
        "010b30ee010b30ee012052e2fbffff1a",
    ),
    "neon": (
        "vadd.i32 q3, q3, q5; vadd.i32 q3, q3, q5; subs r2, r2, #1; bne #0x8000",
        "4a6826f24a6826f2012052e2fbffff1a",
    ),
    "bx lr": (
        "bx lr",
        "1eff2fe1",
    ),
    "bl": (
        "bl #0x8064",
        "170000eb",
    ),
    "blx r3": (
        "blx r3",
        "33ff2fe1",
    ),
    "mov pc, r3": (
        "mov pc, r3",
        "03f0a0e1",
    ),
    "mov pc, lr": (
        "mov pc, lr",
        "0ef0a0e1",
    ),
    "ldr pc": (
        "ldr pc, [pc, r0, lsl #2]",
        "00f19fe7",
    ),
    "pop pc": (
        "pop {r4, pc}",
        "1080bde8",
    ),
    "popeq": (
        "popeq {r4, pc}",
        "1080bd08",
    ),
    "b": (
        "b #0x8020",
        "060000ea",
    ),
    "beq": (
        "beq #0x8028",
        "0800000a",
    ),
    "subs pc": (
        "subs pc, lr, #4",
        "04f05ee2",
    ),
    "movs pc": (
        "movs pc, lr",
        "0ef0b0e1",
    ),
    "rfe": (
        "rfeia sp!",
        "000abdf8",
    ),
    "ldm ^": (
        "ldm sp!, {r0, r1, r2, r3, pc} ^",
        "0f80fde8",
    ),
    "add": (
        "add r0, r0, r1",
        "010080e0",
    ),
    "thumb chase": (
        "ldr r0, [r0]; subs r1, #1; bne #0x8000",
        "00680139fcd1",
    ),
    "cbz": (
        "cbz r0, #0x8008",
        "10b1",
    ),
    "tbb": (
        "tbb [pc, r0]",
        "dfe800f0",
    ),
    "thumb bx lr": (
        "bx lr",
        "7047",
    ),
    "thumb bl": (
        "bl #0x8064",
        "00f030f8",
    ),
    "thumb pop": (
        "pop {r4, pc}",
        "10bd",
    ),
}
THUMB = {"thumb chase", "cbz", "tbb", "thumb bx lr", "thumb bl", "thumb pop"}


@pytest.fixture(scope="module")
def blocks() -> dict[str, Blocks]:
    return {name: Blocks(read_core(name)) for name in (A15, A7, A9)}


def cost(blocks: Blocks, name: str) -> BlockCost:
    return blocks.cost(bytes.fromhex(CODE[name][1]), BASE, thumb=name in THUMB)


def test_the_bytes_here_are_the_instructions_named() -> None:
    found = disassemble([(code, name in THUMB) for name, (_, code) in CODE.items()], BASE)
    assert found == [text for text, _ in CODE.values()]


CYCLES = [
    # A loop costs what its dependencies from turn to turn cost.
    ("chase", 4, 3, 4),
    ("thumb chase", 4, 3, 4),
    ("chain", 2, 2, 2),
    # The base of a load is there after an addition, not with the data.
    ("walk", 1, 2, Fraction(3, 2)),
    ("multiply", 4, 3, 4),
    ("vfp", 12, 16, 10),
    ("neon", 6, 12, 8),
    # Six instructions over the issue width.
    ("independent", 2, 3, 3),
    # One load a cycle; two registers a cycle; a divider that does one thing at a time.
    ("loads", 6, 6, 6),
    ("list", 5, 5, 5),
    ("divide", 33, 27, 36),
    # Multiplications in a row: in order all but the last are waited for, out of order 20 cycles are hidden.
    ("late", 28 - 20, 6 * 3 + Fraction(1, 2), 28 - 20),
]


@pytest.mark.parametrize(("name", "a15", "a7", "a9"), CYCLES)
def test_a_block_costs_what_the_pipeline_of_the_core_makes_of_it(
    blocks: dict[str, Blocks], name: str, a15: int, a7: int, a9: int
) -> None:
    assert [cost(blocks[core], name).cycles for core in (A15, A7, A9)] == [a15, a7, a9]


def test_a_taken_branch_stops_the_fetch_unless_it_makes_a_loop(blocks: dict[str, Blocks]) -> None:
    assert cost(blocks[A15], "b").taken_cycles == 1
    assert cost(blocks[A15], "chain").taken_cycles == 0
    assert cost(blocks[A15], "independent").taken_cycles == 0


def test_waiting_for_l1_is_shown_apart(blocks: dict[str, Blocks]) -> None:
    assert [cost(blocks[core], "chase").l1_cycles for core in (A15, A7)] == [3, 1]
    assert cost(blocks[A15], "independent").l1_cycles == 0


BRANCHES = [
    ("b", Branch.DIRECT, BASE + 0x20),
    ("beq", Branch.CONDITIONAL, BASE + 0x28),
    ("cbz", Branch.CONDITIONAL, BASE + 8),
    ("chase", Branch.CONDITIONAL, BASE),
    ("bl", Branch.CALL, BASE + 0x64),
    ("thumb bl", Branch.CALL, BASE + 0x64),
    ("blx r3", Branch.CALL_INDIRECT, 0),
    ("mov pc, r3", Branch.INDIRECT, 0),
    ("ldr pc", Branch.INDIRECT, 0),
    ("tbb", Branch.INDIRECT, 0),
    ("bx lr", Branch.RETURN, 0),
    ("thumb bx lr", Branch.RETURN, 0),
    ("mov pc, lr", Branch.RETURN, 0),
    ("pop pc", Branch.RETURN, 0),
    ("thumb pop", Branch.RETURN, 0),
    ("popeq", Branch.RETURN, 0),
    ("subs pc", Branch.EXCEPTION_RETURN, 0),
    ("movs pc", Branch.EXCEPTION_RETURN, 0),
    ("rfe", Branch.EXCEPTION_RETURN, 0),
    ("ldm ^", Branch.EXCEPTION_RETURN, 0),
    ("add", Branch.NONE, 0),
    ("system", Branch.NONE, 0),
]


@pytest.mark.parametrize(("name", "branch", "target"), BRANCHES)
def test_the_end_of_a_block_is_recognised(
    blocks: dict[str, Blocks], name: str, branch: Branch, target: int
) -> None:
    found = cost(blocks[A15], name)
    assert (found.branch, found.target) == (branch, target)


def test_a_block_does_not_go_on_with_the_conditions_of_the_one_before(blocks: dict[str, Blocks]) -> None:
    branch = bytes.fromhex("fee7")
    for conditional in (
        "08bf",
        "01bf",
        "04bfd6dc",
    ):  # IT EQ, ITTTT EQ; ITT EQ with a branch that cannot be there
        blocks[A15].cost(bytes.fromhex(conditional), BASE, thumb=True)
        assert blocks[A15].cost(branch, BASE, thumb=True).branch == Branch.DIRECT


def test_system_operations_are_counted(blocks: dict[str, Blocks]) -> None:
    found = cost(blocks[A15], "system")
    assert (found.dsb, found.isb, found.dmb) == (1, 1, 1)
    assert found.system_writes == 2  # of CP15, not of CP14
    assert (found.exclusives, found.loads, found.stores, found.exceptions) == (2, 1, 1, 1)
    assert (found.insns, found.unknown) == (9, 0)


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=200), st.booleans(), st.integers(0, (1 << 32) - 1))
def test_any_bytes_have_a_cost_in_bounds(code: bytes, thumb: bool, address: int) -> None:
    blocks = _shared_blocks()
    found = blocks.cost(code, address, thumb=thumb)
    assert len(code) / 4 <= found.insns <= (len(code) + 1) / 2
    assert found.unknown <= found.insns
    assert found.cycles >= Fraction(found.insns, 3) - Fraction(1, 16)
    assert found.cycles <= 100 * found.insns
    assert 0 <= found.l1_cycles <= found.cycles
    assert blocks.cost(code, address, thumb=thumb) == found


def _shared_blocks(cached: list[Blocks] = []) -> Blocks:  # noqa: B006
    if not cached:
        cached.append(Blocks(read_core(A15)))
    return cached[0]


def add(rd: int, rn: int, rm: int) -> int:
    return 0xE080_0000 | rn << 16 | rd << 12 | rm


def mul(rd: int, rn: int, rm: int) -> int:
    return 0xE000_0090 | rd << 16 | rm << 8 | rn


def ldr(rd: int, rn: int, _: int) -> int:
    return 0xE590_0000 | rn << 16 | rd << 12


def issue_in_order(core: Core, code: list[tuple[str, int, int, int]]) -> Fraction:
    """Cycle by cycle: up to two instructions whose operands are there, one load, nothing overtakes."""
    latency = {"add": core["latency.alu_cycles"], "mul": core["latency.multiply_cycles"]}
    latency["ldr"] = core["l1d.hit_cycles"]
    ready, cycle, issued, waiting, loads_in_all = [0] * 16, 0, 0, list(code), 0
    while waiting:
        issued, loads = 0, 0
        while waiting and issued < core["pipeline.issue_width"]:
            verb, rd, rn, rm = waiting[0]
            sources = (rn,) if verb == "ldr" else (rn, rm)
            if any(ready[r] > cycle for r in sources) or (verb == "ldr" and loads):
                break
            ready[rd] = cycle + latency[verb]
            loads += verb == "ldr"
            issued += 1
            waiting.pop(0)
        loads_in_all += loads
        cycle += 1
    ends = cycle - 1 + Fraction(issued, core["pipeline.issue_width"])
    return max(ends, Fraction(loads_in_all))


register = st.integers(0, 7)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(("add", "mul", "ldr")), register, register, register),
        min_size=1,
        max_size=40,
    )
)
def test_in_order_code_costs_what_a_plain_pipeline_needs(code: list[tuple[str, int, int, int]]) -> None:
    core = read_core(A7)
    encode = {"add": add, "mul": mul, "ldr": ldr}
    words = b"".join(encode[verb](rd, rn, rm).to_bytes(4, "little") for verb, rd, rn, rm in code)
    assert _in_order_blocks().cost(words).cycles == issue_in_order(core, code)


def _in_order_blocks(cached: list[Blocks] = []) -> Blocks:  # noqa: B006
    if not cached:
        cached.append(Blocks(read_core(A7)))
    return cached[0]


def test_a_slower_latency_shows_in_the_blocks_that_use_it_only(tmp_path: Path) -> None:
    path = tmp_path / "slow.toml"
    path.write_text(
        '[slow]\nbase = "cortex-a15"\n[slow.latency]\n'
        'multiply_cycles = { value = 9, unit = "cycles", source = "assumed" }\n'
    )
    slow, usual = Blocks(load_cores(path)["slow"]), Blocks(read_core(A15))
    changed = {name for name in CODE if cost(slow, name).cycles != cost(usual, name).cycles}
    assert changed == {"multiply", "late"}
    assert cost(slow, "multiply").cycles == 9


def test_a_length_out_of_range_is_refused(blocks: dict[str, Blocks]) -> None:
    for code in (b"", bytes(4100)):
        with pytest.raises(NativeError, match="1 to 4096 would be right"):
            blocks[A15].cost(code)
