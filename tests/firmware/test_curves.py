"""The micro-benchmarks print points in the protocol of firmware/README.md, and each is what it says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import pytest

from pyemu.config import CpuModel, MachineConfig
from pyemu.machine import Machine, StopReason
from pyemu.timing import Core, read_core
from tests.conftest import need_tool
from tests.firmware.blobs import FIRMWARE, Blob
from tests.firmware.test_qemu import QEMU, run_on_qemu

PROGRAMS = (
    "branches",
    "chase",
    "exceptions",
    "maintenance",
    "store_tlb",
    "stream",
    "tlb_reach",
    "walk_cost",
)
FORMATS = {"": 2 << 20, "-short": 1 << 20}  # bytes of a block
MAX_INSNS = 60_000_000
DATA = 0x44000000

_WORD = r"[a-z][a-z0-9_]*"
_LINE = re.compile(rf"@ ({_WORD})((?: {_WORD}=(?:{_WORD}|\d+))+) cycles=(\d+) count=(\d+)")

Keys = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Curves:
    """What a program printed: (cycles, count) by benchmark and keys, and how many instructions it was."""

    points: Mapping[tuple[str, Keys], tuple[int, int]]
    insns: int

    def each(self, benchmark: str, **keys: object) -> float:
        """Cycles of one operation."""
        cycles, count = self.points[benchmark, tuple((k, str(v)) for k, v in keys.items())]
        return cycles / count

    def keys(self, benchmark: str) -> list[dict[str, str]]:
        return [dict(keys) for name, keys in self.points if name == benchmark]

    def values(self, benchmark: str, key: str) -> list[str]:
        """Those of a key, each once, in the order of the points."""
        return list(dict.fromkeys(keys[key] for keys in self.keys(benchmark) if key in keys))


def parse(text: str) -> dict[tuple[str, Keys], tuple[int, int]]:
    lines = text.splitlines()
    assert lines[-1] == "@ end"
    points: dict[tuple[str, Keys], tuple[int, int]] = {}
    for line in lines[:-1]:
        match = _LINE.fullmatch(line)
        assert match, line
        place = match[1], tuple((k, v) for k, v in (word.split("=") for word in match[2].split()))
        assert place not in points, f"twice: {line}"
        points[place] = int(match[3]), int(match[4])
    return points


def execute(config: MachineConfig, program: str, table_format: str) -> Curves:
    with Machine(config) as machine:
        machine.load(FIRMWARE / f"elf/bench-{program}{table_format}.elf")
        stop = machine.run(max_insns=2 * MAX_INSNS)
        assert (stop.reason, stop.status) == (StopReason.EXIT, 0), machine.console.read()
        return Curves(parse(machine.console.read().decode()), machine.stats().insns)


@cache
def run(program: str, table_format: str = "") -> Curves:
    return execute(MachineConfig(memory_bytes=256 << 20), program, table_format)


@pytest.fixture(params=FORMATS, ids=["long", "short"])
def table_format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_prints_the_protocol_and_ends_within_its_bound_of_instructions(
    program: str, table_format: str
) -> None:
    curves = run(program, table_format)
    assert all(count > 0 and cycles > 0 for cycles, count in curves.points.values())
    assert curves.insns < MAX_INSNS


@pytest.mark.parametrize("program", PROGRAMS)
def test_both_table_formats_give_the_same_points(program: str) -> None:
    long, short = (
        {
            (name, tuple(pair for pair in keys if pair != ("page_bytes", str(block))))
            for name, keys in run(program, table_format).points
        }
        for table_format, block in FORMATS.items()
    )
    assert long == short


def test_there_is_a_program_for_each_source_and_none_without() -> None:
    sources = {path.stem for path in (FIRMWARE / "bench").glob("*.c")} - {"bench"}
    assert sources == set(PROGRAMS)
    images = {path.name for path in (FIRMWARE / "elf").glob("bench-*.elf")} - {"bench-loops.elf"}
    assert images == {f"bench-{program}{suffix}.elf" for program in PROGRAMS for suffix in FORMATS}


# ---- which points there are ----


def test_chase_goes_from_4_kb_to_64_mb(table_format: str) -> None:
    sizes = [int(text) for text in run("chase", table_format).values("chase", "bytes")]
    assert sizes == sorted(sizes)
    assert {4096 << n for n in range(15)} <= set(sizes)
    assert (sizes[0], sizes[-1]) == (4 << 10, 64 << 20)


def test_tlb_reach_goes_from_8_to_4096_pages_by_pages_and_by_blocks(table_format: str) -> None:
    points = run("tlb_reach", table_format).keys("tlb_reach")
    for page_bytes in (4096, FORMATS[table_format]):
        pages = [int(point["pages"]) for point in points if point["page_bytes"] == str(page_bytes)]
        assert pages == sorted(pages)
        assert {8 << n for n in range(10)} <= set(pages)


def test_words_name_what_is_measured() -> None:
    assert run("walk_cost").values("walk_cost", "tables") == [
        *("micro_hit", "main_hit", "l1", "l2", "dram"),
        *("no_walk_cache", "no_walk_cache_l2", "after_tlbimva", "after_tlbiall"),
    ]
    assert run("store_tlb").values("store_tlb", "mix") == ["loads", "stores", "same", "apart"]
    assert run("exceptions").values("exceptions", "kind") == [
        *("svc", "undefined", "permission", "translation"),
    ]
    assert run("maintenance").values("maintenance", "operation") == [
        *("dsb", "dmb", "isb", "mcr", "mrc", "tlbiall", "tlbimva", "tlbiasid", "tlbimvais"),
        *("dccmvac", "store_dccmvac", "ldrex_strex"),
    ]
    assert run("stream").values("stream", "access") == ["ldr", "ldm", "str", "stm", "copy"]
    assert run("branches").values("branches", "pattern") == [
        *("none", "always", "never", "alternating", "period4", "period8", "random"),
        *("indirect", "indirect_random", "calls"),
    ]
    assert run("branches").values("branches", "depth") == ["1", "2", "4", "8", "16", "32", "64"]


# ---- with timing off an instruction is a cycle: a point counts the instructions of its operation ----


def test_a_step_of_a_ring_is_a_load_and_its_share_of_the_loop(table_format: str) -> None:
    for program in ("chase", "tlb_reach"):
        curves = run(program, table_format)
        assert {cycles / count for cycles, count in curves.points.values()} == {10 / 8}


def test_the_cost_of_an_operation_has_nothing_of_the_loop_in_it() -> None:
    curves = run("maintenance")
    pairs = {"store_dccmvac", "ldrex_strex"}
    for name in curves.values("maintenance", "operation"):
        assert curves.each("maintenance", operation=name) == (2 if name in pairs else 1)


def test_a_round_trip_is_the_instructions_of_both_sides() -> None:
    curves = run("exceptions")
    assert curves.each("exceptions", kind="svc") == 2  # SVC, and the handler's return
    for kind in ("undefined", "permission", "translation"):  # what aborts is not executed
        assert curves.each("exceptions", kind=kind) == 1


def test_a_branch_is_taken_as_often_as_its_pattern_says() -> None:
    """Each turn in which it is not taken executes one instruction more."""
    curves = run("branches")
    turn = curves.each("branches", pattern="always")
    skipped = {"never": 1.0, "alternating": 1 / 2, "period4": 3 / 4, "period8": 7 / 8}
    for pattern, share in skipped.items():
        assert curves.each("branches", pattern=pattern) == turn + share
    assert curves.each("branches", pattern="random") == pytest.approx(turn + 0.5, abs=0.01)


def test_a_store_and_a_load_are_one_instruction_more_than_a_load() -> None:
    curves = run("store_tlb")
    for pages in curves.values("store_tlb", "pages"):
        loads, same, apart = (
            curves.each("store_tlb", mix=mix, pages=pages) for mix in ("loads", "same", "apart")
        )
        assert (same, apart) == (loads + 1, loads + 1)


def test_a_line_has_sixteen_words_and_a_loop_around_them() -> None:
    curves = run("stream")
    for size in curves.values("stream", "bytes"):
        assert curves.each("stream", access="ldr", bytes=size) == 16 + 3
        assert curves.each("stream", access="copy", bytes=size) == 4 + 2
    assert {curves.each("l2_fill", **keys) for keys in map(dict, curves.keys("l2_fill"))} >= {7 / 4}


@pytest.mark.parametrize("program", PROGRAMS)
def test_qemu_counts_the_same(program: str, table_format: str) -> None:
    """With an instruction a nanosecond its PMCCNTR counts instructions, too."""
    need_tool(QEMU, "qemu-system-arm")
    output, status = run_on_qemu(Blob(f"bench-{program}{table_format}", about="", mem="256M"))
    assert status == 0, output
    theirs, ours = parse(output), dict(run(program, table_format).points)
    undefined = ("exceptions", (("kind", "undefined"),))
    if undefined in ours:  # QEMU counts the instruction, too
        assert theirs.pop(undefined)[0] == 2 * ours.pop(undefined)[0]
    assert theirs == ours


# ---- the rings in memory ----


def follow(memory: memoryview, first: int, base: int) -> list[int]:
    """The places of a ring, relative to `base`, until it comes back to the first one."""
    places, at = [first - base], int.from_bytes(memory[first - base : first - base + 4], "little")
    while at != first and len(places) <= len(memory) // 4:
        places.append(at - base)
        at = int.from_bytes(memory[at - base : at - base + 4], "little")
    return places


def test_a_ring_visits_every_line_once_and_leaves_a_page_only_when_it_is_done() -> None:
    size = 256 << 10
    with Machine(MachineConfig(memory_bytes=256 << 20)) as machine:
        machine.load(FIRMWARE / "elf/bench-chase.elf")
        machine.run(until=f"chase bytes={size} cycles=")
        # The text comes in one piece with the line's end, after the ring was followed.
        memory = memoryview(machine.read_phys(DATA, size))
    places = follow(memory, DATA, DATA)
    assert sorted(places) == list(range(0, size, 64))
    pages = [place >> 12 for place in places]
    turn = next(i for i in range(65) if pages[i] != pages[0]) % 64
    assert all(len(set(pages[i : i + 64])) == 1 for i in range(turn, len(pages) - 64, 64))
    assert [place & 0xFFF for place in places[:64]] != sorted(place & 0xFFF for place in places[:64])


def test_the_random_ring_visits_every_line_once_and_hardly_ever_stays_in_a_page() -> None:
    size = 16 << 20
    with Machine(MachineConfig(memory_bytes=256 << 20)) as machine:
        machine.load(FIRMWARE / "elf/bench-chase.elf")
        machine.run()
        memory = memoryview(machine.read_phys(DATA, size))
    places = follow(memory, 0x80000000, 0x80000000)
    assert sorted(places) == list(range(0, size, 64))
    stays = sum(a >> 12 == b >> 12 for a, b in pairwise(places))
    assert stays < len(places) // 100


# ---- with the cycle model: each plateau is what the core's parameters make of it ----

CORES = {"cortex-a15": "", "cortex-a7": "", "cortex-a9": "-short"}


@dataclass(frozen=True)
class Modelled:
    """A core, and its curves."""

    core: Core

    def __getitem__(self, key: str) -> int:
        return int(self.core[key])

    def each(self, program: str, benchmark: str, **keys: object) -> float:
        return timed(self.core.name, program).each(benchmark, **keys)


@cache
def timed(core: str, program: str) -> Curves:
    model: CpuModel = "cortex-a7" if core == "cortex-a7" else "cortex-a15"
    config = MachineConfig(memory_bytes=256 << 20, timing="cache", core=core, cpu=model)
    return execute(config, program, CORES[core])


@pytest.fixture(params=CORES)
def modelled(request: pytest.FixtureRequest) -> Modelled:
    return Modelled(read_core(str(request.param)))


def test_chase_has_the_latencies_of_the_caches_and_of_memory(modelled: Modelled) -> None:
    dram = modelled["l2.hit_cycles"] + modelled["memory.dram_ns"] * modelled["clock_hz"] / 1e9
    for size, cycles in ((16 << 10, modelled["l1d.hit_cycles"]), (64 << 20, dram)):
        assert modelled.each("chase", "chase", bytes=size) == pytest.approx(cycles, rel=0.01)
    # a micro-TLB miss for every 64 loads
    assert modelled.each("chase", "chase", bytes=256 << 10) == pytest.approx(
        modelled["l2.hit_cycles"] + modelled["micro_load.miss_cycles"] / 64, rel=0.01
    )


def test_tlb_reach_rises_where_the_micro_tlb_and_the_main_tlb_end(modelled: Modelled) -> None:
    hit = modelled["l1d.hit_cycles"]
    main = hit + modelled["micro_load.miss_cycles"]
    walk = main + modelled["main_tlb.miss_cycles"] + hit
    cached = modelled["walk.cache_entries"] > 0
    expected = {8: hit, 64: main, 1024: walk if cached else walk + hit}
    for pages, cycles in expected.items():
        measured = modelled.each("tlb_reach", "tlb_reach", pages=pages, page_bytes=4096)
        assert measured == pytest.approx(cycles, rel=0.02)


def test_a_walk_costs_more_the_farther_away_its_descriptors_are(modelled: Modelled) -> None:
    def each(tables: str, pages: int) -> float:
        return modelled.each("walk_cost", "walk_cost", tables=tables, pages=pages)

    from_l2 = each("l2", 2048) - each("l1", 1024)
    dram = modelled["memory.dram_ns"] * modelled["clock_hz"] / 1e9
    assert each("dram", 2048) - each("l2", 2048) == pytest.approx(dram, rel=0.05)
    farther = modelled["l2.hit_cycles"] - modelled["l1d.hit_cycles"]
    assert 0.95 * farther < from_l2 < 1.2 * farther  # some descriptors of the level above come from L2, too
    if modelled["walk.cache_entries"]:
        assert each("no_walk_cache", 128) > each("l1", 1024) + modelled["l1d.hit_cycles"]
        assert each("no_walk_cache_l2", 64) > each("l2", 2048) + modelled["l2.hit_cycles"] - 1


def test_stores_miss_for_themselves_only_where_they_have_a_micro_tlb(modelled: Modelled) -> None:
    def each(mix: str, pages: int) -> float:
        return modelled.each("store_tlb", "store_tlb", mix=mix, pages=pages)

    miss = modelled["micro_load.miss_cycles"]
    own = modelled["micro_store.entries"] > 0
    second = each("same", 128) - each("loads", 128)
    assert second == pytest.approx(modelled["micro_store.miss_cycles"] if own else 0, abs=0.1)
    fits = modelled["micro_load.entries"] * 3 // 4 // 2 * 2
    assert (each("apart", fits) > each("loads", fits) + miss / 2) != own


def test_a_random_branch_is_mispredicted_every_other_time_and_a_regular_one_never(modelled: Modelled) -> None:
    def each(pattern: str) -> float:
        return modelled.each("branches", "branches", pattern=pattern)

    miss = modelled["pipeline.mispredict_cycles"]
    predicted = (each("always") + each("never")) / 2
    assert max(each("always"), each("never")) < each("none") + miss / 2
    assert each("alternating") == pytest.approx(predicted, abs=0.2)
    assert each("random") - predicted == pytest.approx(miss / 2, abs=1)


def test_returns_are_mispredicted_once_calls_are_deeper_than_the_return_stack(modelled: Modelled) -> None:
    entries, miss = modelled["pipeline.return_entries"], modelled["pipeline.mispredict_cycles"]
    base = modelled.each("branches", "branches", pattern="calls", depth=8)
    assert entries >= 8
    lost = (64 - entries) / 64
    deep = modelled.each("branches", "branches", pattern="calls", depth=64)
    assert deep - base == pytest.approx(lost * miss, rel=0.1)


def test_a_round_trip_is_entry_and_return(modelled: Modelled) -> None:
    both = modelled["system.exception_entry_cycles"] + modelled["system.exception_return_cycles"]
    for kind in ("svc", "undefined", "permission"):
        assert both <= modelled.each("exceptions", "exceptions", kind=kind) < both + 5
    assert (
        modelled.each("exceptions", "exceptions", kind="translation")
        > both + modelled["main_tlb.miss_cycles"]
    )


def test_barriers_registers_and_lines_cost_their_parameters(modelled: Modelled) -> None:
    for operation in ("dsb", "dmb", "isb", "mcr"):
        measured = modelled.each("maintenance", "maintenance", operation=operation)
        assert measured == pytest.approx(modelled[f"system.{operation}_cycles"], abs=1)
    clean = modelled.each("maintenance", "maintenance", operation="dccmvac")
    assert clean == pytest.approx(modelled["system.cache_line_cycles"], abs=1)


def test_independent_misses_overlap_out_of_order_and_hardly_in_order(modelled: Modelled) -> None:
    latency = modelled.each("chase", "chase", bytes=64 << 20)
    line = modelled.each("stream", "l2_fill", bytes=8 << 20)
    if modelled["pipeline.window_entries"]:
        assert line < latency / 2
    assert line >= latency / modelled["memory.line_fill_entries"] * 0.9
