"""The symbols that a Linux guest keeps of itself are found in its memory, whatever it holds."""

from __future__ import annotations

import random
import struct
import time
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pyemu.config import UserError
from pyemu.debug import Session
from pyemu.debug.linux import Kallsyms, LinuxLayout, find_kallsyms, kallsyms, linux_layout
from pyemu.debug.linux.kallsyms_tables import DIGITS
from pyemu.debug.prompt import completions
from pyemu.mem import Memory
from pyemu.mmu import Regime
from tests.debug.kallsyms_image import (
    LAYOUTS,
    PHYS,
    VIRT,
    Layout,
    Symbol,
    encode,
    other_data,
    some_symbols,
    token_tables,
)
from tests.debug.targets import TableTarget

RAM = 32 << 20
LINUX = LinuxLayout(VIRT, PHYS, VIRT + RAM, long_format=False)
RODATA = 0x60_0000
SEEDS = (Phase.explicit, Phase.generate)  # a seed cannot be made simpler

layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def guest(image: bytes, at: int = RODATA) -> Memory:
    memory = Memory()
    memory.add_ram(PHYS, RAM)
    memory.write(PHYS + at, image)
    return memory


def found(image: bytes) -> Kallsyms | None:
    return find_kallsyms(guest(image), LINUX)


@layouts
@settings(max_examples=5, deadline=None, phases=SEEDS)
@given(st.integers(0), st.integers(600, 3000), st.sampled_from((30, 200, 400)))
def test_every_name_and_address_comes_back(layout: Layout, seed: int, count: int, longest: int) -> None:
    rng = random.Random(seed)
    symbols = some_symbols(rng, count, longest)
    before = other_data(rng, rng.randrange(0, 1 << 16, 16))
    table = found(encode(symbols, layout, before, other_data(rng, 5000)))
    assert table is not None
    assert list(table) == symbols


@pytest.mark.parametrize("count", [768, 769, 1023, 1024, 1025])
@layouts
def test_blocks_of_names_may_be_full_or_just_begun(layout: Layout, count: int) -> None:
    symbols = some_symbols(random.Random(count), count)
    table = found(encode(symbols, layout))
    assert table is not None
    assert list(table) == symbols


def test_tables_across_the_pieces_that_are_read_are_found() -> None:
    symbols = some_symbols(random.Random(5), 2000)
    image = encode(symbols, LAYOUTS["5.10"])
    digits = image.index(DIGITS)
    for shift in (-12, -2):
        memory = guest(image, (0x80_0000 - digits & -16) + 16 + shift // 16 * 16)
        table = find_kallsyms(memory, LINUX)
        assert table is not None
        assert len(table) == 2000


def test_tables_that_begin_far_before_their_tokens_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    image = encode(some_symbols(random.Random(6), 2000), LAYOUTS["6.3"])
    monkeypatch.setattr(kallsyms, "WITHIN", (1 << 12,))
    assert found(image) is None
    monkeypatch.setattr(kallsyms, "WITHIN", (1 << 12, 1 << 17))
    assert found(image) is not None


def test_symbols_of_one_address_are_described_by_the_first_and_found_by_each() -> None:
    table = known(
        [(VIRT + 0x8000, "T", "_stext"), (VIRT + 0x8000, "T", "first"), (VIRT + 0x8010, "t", "second")]
    )
    assert table.describe(VIRT + 0x8000) == "_stext"
    assert table.describe(VIRT + 0x800C) == "_stext+0xc"
    assert table.describe(VIRT + 0x8014) == "second+0x4"
    assert table.describe(VIRT + 0x7FFF) is None
    assert table.find("first") == VIRT + 0x8000


def test_of_several_symbols_of_a_name_the_lowest_is_found() -> None:
    table = known(
        [(VIRT + 0x8000, "T", "_stext"), (VIRT + 0x8100, "t", "init"), (VIRT + 0x8200, "t", "init")]
    )
    assert table.find("init") == VIRT + 0x8100
    assert table.describe(VIRT + 0x8204) == "init+0x4"


def test_nothing_behind_the_end_of_a_section_has_a_name() -> None:
    table = known(
        [(VIRT + 0x8000, "T", "_stext"), (VIRT + 0x9000, "T", "last"), (VIRT + 0x9100, "T", "_etext")]
    )
    assert table.describe(VIRT + 0x90FC) == "last+0xfc"
    assert table.describe(VIRT + 0x9100) == "_etext"
    assert table.describe(VIRT + 0x9104) is None


def known(first: list[Symbol]) -> Kallsyms:
    """The symbols of a kernel that begins with some."""
    start = VIRT + 0x20_0000
    rest = [(start + 16 * i, "T", f"filling_{i}") for i in range(1000)]
    table = found(encode([*first, *rest], LAYOUTS["6.1"]))
    assert table is not None
    return table


# ---- a session ----


class Switchable(TableTarget):
    """Tables whose registers can be changed."""

    def turn(self, regime: Regime) -> None:
        self._regime = regime


def linux(image: bytes, symbols: dict[str, int] | None = None) -> tuple[Session, Switchable]:
    """A guest with short descriptors: sections of the linear map, and a page of vectors."""
    memory = guest(image)
    first, second = PHYS + 0x4000, PHYS + 0x8000
    for i in range(RAM >> 20):
        memory.write(first + 4 * (0xC00 + i), struct.pack("<I", PHYS + (i << 20) | 0x40E))
    memory.write(first + 4 * 0xFFF, struct.pack("<I", second | 1))
    memory.write(second + 4 * 0xF0, struct.pack("<I", PHYS + 0x9000 | 0x1E))
    target = Switchable(memory, Regime(sctlr=1, ttbr0=first, ttbr1=first, dacr=1), symbols=symbols)
    return Session(target), target


IMAGE = encode(some_symbols(random.Random(1), 1000), LAYOUTS["6.1"])


def test_a_guest_without_a_symbol_file_has_its_own_symbols() -> None:
    session, _ = linux(IMAGE)
    assert linux_layout(session) is not None
    address = session.value("_text0123456789")
    assert session.place(address + 4) == f"{address + 4:#010x} (_text0123456789+0x4)"
    assert "_text0123456789" in completions(session, "walk _te")
    assert session.execute("sym _text*").symbols == (("_text0123456789", address),)
    assert session.execute(f"dis {address:#x} 1").instructions[0].symbol == "_text0123456789"


def test_symbols_of_a_file_come_first() -> None:
    session, _ = linux(IMAGE, {"mine": VIRT + 0x8000})
    assert session.value("mine") == VIRT + 0x8000
    with pytest.raises(UserError):
        session.value("_text0123456789")


def test_with_the_mmu_off_there_are_none_until_it_is_on() -> None:
    session, target = linux(IMAGE)
    on = session.regime
    target.turn(replace(on, sctlr=0))
    assert session.symbols.find("_text0123456789") is None
    target.turn(on)
    assert session.symbols.find("_text0123456789") is not None
    target.turn(replace(on, sctlr=0))
    assert session.symbols.find("_text0123456789") is not None


def test_without_symbols_memory_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    session, _ = linux(b"")
    assert session.symbol(VIRT) is None
    monkeypatch.setattr(Memory, "read", None)
    assert session.symbol(VIRT) is None


# ---- hostile guests ----


@cache
def intact(layout: Layout) -> bytes:
    return encode(some_symbols(random.Random(3), 900), layout)


@layouts
@settings(max_examples=30, deadline=None, phases=SEEDS)
@given(st.integers(0), st.sampled_from((1, 2, 10, 200)))
def test_damage_gives_other_symbols_or_none_at_once(layout: Layout, seed: int, bytes_changed: int) -> None:
    """Whatever bytes are changed: no exception, names of bounded length, ascending addresses."""
    rng = random.Random(seed)
    image = bytearray(intact(layout))
    for _ in range(bytes_changed):
        image[rng.randrange(len(image))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    check_hostile(bytes(image))


TOKENS = b"".join(token_tables([chr(code) if 48 <= code < 123 else "z" * 64 for code in range(256)]))
MARKERS = struct.pack("<1024I", *(1024 * i for i in range(1024)))


@pytest.mark.parametrize(
    "image",
    [
        DIGITS * 100_000,
        TOKENS * 300,
        # names of one length, which each start and each number of symbols fits
        struct.pack("<I", 1024 * 256) * 100_000 + b"\x03zzz" * (1024 * 256) + MARKERS + TOKENS,
        (struct.pack("<I", 1024 * 256) * 9 + b"\x03zzz" * (1024 * 256) + MARKERS + TOKENS) * 9,
        struct.pack("<4I", 0, 1024, 2048, 3072) * (1 << 20) + TOKENS,
        b"\0\0\0\0\1" * (1 << 20) + TOKENS,
        # a symbol of 512 tokens of 64 characters
        encode([(VIRT + i, "T", "0123456789" + "z" * 32_000) for i in range(600)], LAYOUTS["6.1"]),
    ],
    ids=["digits", "tokens", "counts", "names", "markers", "zeros", "long names"],
)
def test_memory_that_was_made_to_be_searched_is_given_up_soon(image: bytes) -> None:
    check_hostile(image)


def check_hostile(image: bytes) -> None:
    began = time.process_time()
    memory = Memory()
    memory.add_ram(PHYS, len(image) + 0x2000 & -0x1000)
    memory.write(PHYS + 0x1000, image)
    table = find_kallsyms(memory, LINUX)
    if table is not None:
        addresses = [address for address, _, _ in table]
        assert addresses == sorted(addresses)
        assert max(len(name) for name in table.addresses) <= 512
        table.describe(addresses[len(addresses) // 2] + 1)
    assert time.process_time() - began < 30
