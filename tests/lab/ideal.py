"""What the programs would print on a core without any noise: from its parameters, by plain rules."""

from __future__ import annotations

from pyemu.lab.protocol import Point
from pyemu.timing import Core

COUNT = 1000
SIZES = tuple(1 << power for power in range(12, 27))
PAGES = (
    4,
    8,
    10,
    12,
    16,
    24,
    32,
    40,
    48,
    64,
    96,
    128,
    160,
    192,
    256,
    320,
    384,
    512,
    640,
    768,
    1024,
    2048,
    4096,
)


def make_point(benchmark: str, each: float, **keys: int | str) -> Point:
    return Point(benchmark, keys, round(each * COUNT), COUNT)


def dram_cycles(core: Core) -> float:
    return float(core["l2.hit_cycles"] + core["memory.dram_ns"] * core["clock_hz"] / 1e9)


def load_cycles(core: Core, size: int) -> float:
    if size <= core["l1d.size_bytes"]:
        return float(core["l1d.hit_cycles"])
    return float(core["l2.hit_cycles"]) if size <= core["l2.size_bytes"] else dram_cycles(core)


def translation_cycles(core: Core, pages: int, micro: str = "micro_load") -> float:
    if pages <= core[f"{micro}.entries"]:
        return 0
    miss = float(core[f"{micro}.miss_cycles"])
    return miss if pages <= core["main_tlb.entries"] else miss + walk_cycles(core, core["l1d.hit_cycles"])


def walk_cycles(core: Core, descriptor: float) -> float:
    return float(core["main_tlb.miss_cycles"]) + descriptor


def chase(core: Core) -> list[Point]:
    return [make_point("chase", load_cycles(core, size), bytes=size) for size in SIZES]


def tlb_reach(core: Core) -> list[Point]:
    l1 = core["l1d.hit_cycles"]
    return [
        make_point("tlb_reach", l1 + translation_cycles(core, pages), pages=pages, page_bytes=4096)
        for pages in PAGES
    ]


def store_tlb(core: Core) -> list[Point]:
    store = "micro_store" if core["micro_store.entries"] else "micro_load"
    few = [pages for pages in PAGES if pages <= 128]
    return [
        make_point("store_tlb", 4 + translation_cycles(core, pages, micro), mix=mix, pages=pages)
        for mix, micro in (("loads", "micro_load"), ("stores", store))
        for pages in few
    ]


def walk_cost(core: Core) -> list[Point]:
    l1, l2 = core["l1d.hit_cycles"], core["l2.hit_cycles"]
    main_hit = l1 + core["micro_load.miss_cycles"]
    in_l1 = main_hit + walk_cycles(core, l1)
    tables = {
        "micro_hit": l1,
        "main_hit": main_hit,
        "l1": in_l1,
        "l2": main_hit + walk_cycles(core, l2),
        "dram": main_hit + walk_cycles(core, l2 + 0.1 * core["clock_hz"] / 1e6),
        "no_walk_cache": in_l1 + 4,
        "no_walk_cache_l2": main_hit + walk_cycles(core, l2) + 20,
        "after_tlbimva": 30,
        "after_tlbiall": 60,
    }
    return [make_point("walk_cost", each, tables=name, pages=1) for name, each in tables.items()]


def exceptions(core: Core) -> list[Point]:
    each = core["system.exception_entry_cycles"] + core["system.exception_return_cycles"]
    kinds = ("svc", "undefined", "permission", "translation")
    return [make_point("exceptions", each, kind=kind) for kind in kinds]


def maintenance(core: Core) -> list[Point]:
    names = ("dsb", "dmb", "isb", "mcr", "tlbimva", "tlbimvais", "dccmvac")
    return [make_point("maintenance", 10 + number, operation=name) for number, name in enumerate(names)]


def branches(core: Core) -> list[Point]:
    return [make_point("branches", 3, pattern="always"), make_point("branches", 11, pattern="random")]


def stream(core: Core) -> list[Point]:
    points = []
    for size in SIZES:
        fill = 1 if size <= core["l1d.size_bytes"] else 8.5 if size <= core["l2.size_bytes"] else 40
        points += [
            make_point("l2_fill", fill, bytes=size),
            make_point("stream", 16 + fill, access="ldr", bytes=size),
        ]
    return points


PROGRAMS = {
    "chase": chase,
    "tlb_reach": tlb_reach,
    "walk_cost": walk_cost,
    "store_tlb": store_tlb,
    "branches": branches,
    "exceptions": exceptions,
    "maintenance": maintenance,
    "stream": stream,
}
