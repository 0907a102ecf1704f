"""The micro-benchmarks print points in the protocol of firmware/README.md, and each is what it says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import pytest

from pyemu.config import MachineConfig
from pyemu.machine import Machine, StopReason
from tests.firmware.blobs import FIRMWARE

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


@cache
def run(program: str, table_format: str = "") -> Curves:
    with Machine(MachineConfig(memory_bytes=256 << 20)) as machine:
        machine.load(FIRMWARE / f"elf/bench-{program}{table_format}.elf")
        stop = machine.run(max_insns=2 * MAX_INSNS)
        assert (stop.reason, stop.status) == (StopReason.EXIT, 0), machine.console.read()
        return Curves(parse(machine.console.read().decode()), machine.stats().insns)


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
