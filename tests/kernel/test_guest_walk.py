"""The fast walk as ARM code gives the same pages as the model's own, and takes the cycles that it bills."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pyemu.kernel.parameters import Parameter, read_costs
from tests.kernel.guest_walk import guest_walk

PAGES = 512
CALLS = (1, 8, 64, 512)


@pytest.mark.parametrize("highpte", [False, True])
@pytest.mark.parametrize("memory", ["1G", "8G"])
def test_arm_code_gets_the_same_pages_through_the_same_windows(memory: str, highpte: bool) -> None:
    with guest_walk(600, memory_bytes=int(memory[:-1]) << 30, highpte=highpte) as both:
        pfns, _ = both.native(600)
        assert len(set(pfns)) == 600
        for per_call in (1, 7, 512, 600):
            both.fill_mem_map(pfns)
            found, _, windows = both.guest(per_call)
            assert found == pfns
            assert both.refcounts(pfns) == [2] * 600
            assert windows == (tables_of(600, per_call) if highpte else 0)


def tables_of(pages: int, per_call: int) -> int:
    """PTE tables that the calls read, one by one; the first page is the first of a table."""
    calls = (range(at, min(at + per_call, pages)) for at in range(0, pages, per_call))
    return sum(len({page >> 9 for page in call}) for call in calls)


def test_arm_code_stops_where_the_model_stops() -> None:
    with guest_walk(64) as both:
        pfns, _ = both.native(64)
        both.fill_mem_map(pfns)
        both.fill_mem_map(pfns[20:21], count=0)  # frozen
        assert both.guest(64)[0] == pfns[:20]
        both.fill_mem_map(pfns)
        both.process.munmap(both.start + 40 * 4096, 4096)
        assert both.native(64)[0] == pfns[:40]
        assert both.guest(64)[0] == pfns[:40]


@dataclass(frozen=True)
class Counts:
    """Instructions of the ARM code: what a call, a page and a window take."""

    call: float
    page: float
    window: float


def count_instructions() -> Counts:
    """By difference, with timing off."""

    def run(highpte: bool, per_call: int) -> float:
        with guest_walk(PAGES, highpte=highpte) as both:
            both.fill_mem_map(both.native(PAGES)[0])
            return both.guest(per_call)[1].insns / PAGES

    one, all_at_once, windows = run(False, 1), run(False, PAGES), run(True, 1)
    call = (one - all_at_once) * PAGES / (PAGES - 1)
    return Counts(call=call, page=one - call, window=windows - one)


def costs_of(counts: Counts, path: Path) -> Path:
    """The built-in costs with the counts of this program in place of those of the kernel's functions."""
    mine = {
        "gup.fast_call": counts.call,
        "gup.fast_page": counts.page,
        "kmap.local_pfn_prot": counts.window / 2,
        "kmap.local_unmap": counts.window / 2,
    }
    lines: dict[str, list[str]] = {}
    for name, parameter in read_costs().items():
        group, _, key = name.partition(".")
        zero = group in ("kmap", "locks")
        value = mine.get(name, 0 if zero else parameter.value)
        lines.setdefault(group, []).append(_line(key, value, parameter))
    path.write_text("".join(f"[{group}]\n" + "".join(its) for group, its in lines.items()))
    return path


def _line(key: str, value: float, parameter: Parameter) -> str:
    return f'{key} = {{ value = {value}, unit = "{parameter.unit}", source = "counted" }}\n'


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return costs_of(count_instructions(), tmp_path_factory.mktemp("costs") / "costs.toml")


@pytest.mark.parametrize("highpte", [False, True])
@pytest.mark.parametrize("per_call", CALLS)
def test_its_cycles_agree_with_the_models_bill(costs: Path, per_call: int, highpte: bool) -> None:
    """Both warm, with the same number of instructions: what is compared is the way from them to cycles."""
    with guest_walk(PAGES, "cache", costs, highpte=highpte, high_get="erratum") as both:
        both.fill_mem_map(both.native(PAGES)[0])
        both.guest(per_call)
        pfns, guest, _ = both.guest(per_call)
        both.native(per_call)
        same, native = both.native(per_call)
    assert pfns == same
    assert native.cycles == pytest.approx(guest.cycles, rel=0.15)
