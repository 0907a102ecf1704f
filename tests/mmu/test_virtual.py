"""Bytes at virtual addresses, through tables in any memory."""

from __future__ import annotations

import pytest

from pyemu.mem import Memory
from pyemu.mmu import Access, Fault, PageTables, TranslationFault, read_virtual, write_virtual
from pyemu.native import NativeError

RAM, SIZE = 0x8000_0000, 4 << 20
VA = 0x1000_0000


@pytest.fixture(params=["lpae", "short"])
def tables(request: pytest.FixtureRequest) -> PageTables:
    memory = Memory()
    memory.add_ram(RAM, SIZE)
    tables = PageTables(memory, request.param)
    tables.map(VA, RAM + 0x3000, 4096)
    tables.map(VA + 0x1000, RAM + 0x1000, 4096)
    tables.map(VA + 0x2000, RAM + 0x5000, 4096, write=False, execute=False)
    tables.map(VA + 0x4000, RAM + SIZE, 4096)
    memory.write(RAM + 0x3FFE, b"ab")
    memory.write(RAM + 0x1000, b"cd")
    return tables


def memory_of(tables: PageTables) -> Memory:
    return tables.memory


def test_a_range_over_pages_that_are_apart_is_one(tables: PageTables) -> None:
    memory = memory_of(tables)
    assert read_virtual(memory, tables.regime, VA + 0xFFE, 4) == b"abcd"
    write_virtual(memory, tables.regime, VA + 0xFFE, b"WXYZ")
    assert (memory.read(RAM + 0x3FFE, 2), memory.read(RAM + 0x1000, 2)) == (b"WX", b"YZ")
    assert read_virtual(memory, tables.regime, VA + 0x10, 0) == b""


def test_a_page_that_refuses_is_named_and_nothing_is_written(tables: PageTables) -> None:
    memory = memory_of(tables)
    with pytest.raises(TranslationFault, match=r"read of 0x10003000: level . page not present") as caught:
        read_virtual(memory, tables.regime, VA + 0x2FFF, 2)
    assert caught.value.walk.result.fault is Fault.TRANSLATION
    with pytest.raises(TranslationFault, match=r"write of 0x10002000: .* permits read only"):
        write_virtual(memory, tables.regime, VA + 0x1FFF, b"xy")
    assert memory.read(RAM + 0x1FFF, 1) == b"\0"
    with pytest.raises(TranslationFault, match="fetch of 0x10002000"):
        read_virtual(memory, tables.regime, VA + 0x2000, 4, Access.FETCH)
    with pytest.raises(TranslationFault, match="read of 0x10000000"):
        read_virtual(memory, tables.regime, VA, 4, privileged=False)


def test_a_debugger_may_write_where_the_guest_may_only_read(tables: PageTables) -> None:
    write_virtual(memory_of(tables), tables.regime, VA + 0x1FFF, b"xy", Access.READ)
    assert read_virtual(memory_of(tables), tables.regime, VA + 0x1FFF, 2) == b"xy"


def test_an_output_address_outside_memory_stops_before_anything_is_written(tables: PageTables) -> None:
    tables.map(VA + 0x3000, RAM + 0x7000, 4096)
    with pytest.raises(NativeError, match="0x80400000"):
        write_virtual(memory_of(tables), tables.regime, VA + 0x3FFF, b"xy")
    assert memory_of(tables).read(RAM + 0x7FFF, 1) == b"\0"


@pytest.mark.parametrize(("va", "length"), [(-1, 1), (0xFFFF_FFFF, 2), (0, -1), (1 << 32, 1)])
def test_a_range_outside_the_address_space_is_refused(tables: PageTables, va: int, length: int) -> None:
    with pytest.raises(ValueError, match="32-bit addresses"):
        read_virtual(memory_of(tables), tables.regime, va, length)
