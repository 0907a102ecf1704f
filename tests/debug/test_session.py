"""Sessions and their commands: values, arguments, help, registers, memory, and lines of any kind."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.config import MachineConfig, UserError
from pyemu.debug import Capability, KernelTarget, LiveTarget, Session
from pyemu.debug.commands.memory import Code, Dump
from pyemu.debug.commands.registers import DecodedRegister
from pyemu.debug.fields import layouts
from pyemu.debug.prompt import completions
from pyemu.debug.registry import commands, find
from pyemu.debug.render import as_json, as_text
from pyemu.kernel import Kernel, KernelConfig
from pyemu.machine import Machine
from pyemu.mmu import PageTables
from tests.debug.targets import FIRMWARE, TableTarget, dump_session, run_image
from tests.mmu.dump_cases import dump

RAM, MIB = 0x4000_0000, 1 << 20


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    found, _ = run_image("broken-correct", timing="tlb")
    with found:
        yield found


def test_values_are_numbers_symbols_registers_and_sums(session: Session) -> None:
    enable = session.target.symbols.addresses["enable"]
    assert session.value("enable") == session.value("enable + 0") == enable
    assert session.value("enable+0x10-4") == enable + 12
    assert session.value("$pc") == session.value("PC") == session.register("pc")
    assert session.value("c0008000") == 0xC000_8000
    assert session.value("16") == 16
    for wrong in ("", "+", "nothing", "0x", "1 2", "enable+", "07"):
        with pytest.raises(UserError):
            session.value(wrong)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("wlak 0", "did you mean 'walk'"),
        ("zzz", "`help` lists the commands"),
        ("walk", "VA is missing"),
        ("walk nowhere", "neither a number"),
        ("walk 0x100000000", "outside the 32-bit address space"),
        ("walk 0 rwx", "'rwx' is not understood"),
        ("pt --nothing", "there is no --nothing"),
        ("pt --filter", "--filter needs a value"),
        ("pt 5-4", "is no range"),
        ("x/9q 0", "is no format"),
        ("x/99999999x 0", "units of 4 bytes can be shown"),
        ("cpu 7", "there are 1, counted from 0"),
        ("cp15 r0", "no CP15 register"),
        ("regs r99", "no register 'r99'"),
        ("walk 'unclosed", "No closing quotation"),
        ("tasks", "no Kernel model"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_in_one(session: Session, line: str, words: str) -> None:
    with pytest.raises(UserError) as problem:
        session.execute(line)
    assert words in str(problem.value)
    assert "\n" not in str(problem.value)


def test_each_command_has_help_and_an_example_that_is_one_of_its_lines(session: Session) -> None:
    for name, command in commands().items():
        assert command.summary.endswith("."), name
        assert find(command.example)[0] is command, name
        text = "\n".join(session.execute(f"help {name}").lines)
        assert command.usage in text
        assert command.example in text
    overview = "\n".join(session.execute("help").lines)
    for command in commands().values():  # with the arguments where it can be used here, else by its name
        assert (command.usage if session.lacks(command.needs) is None else command.name) in overview


def test_each_example_works_where_its_command_does() -> None:
    """On a machine, on one with TLBs, or on a Kernel model; those of a model build on one another."""
    left = {each.example for each in commands().values() if Capability.KERNEL not in each.needs}
    for timing in ("off", "tlb"):
        for example in sorted(left):
            machine = Machine(MachineConfig(timing=timing))
            machine.load(FIRMWARE / "broken-correct.elf")
            machine.run(max_insns=100_000, until="enabled")
            with Session(LiveTarget(machine, owned=True)) as session:
                session.execute("pt --save before")
                with contextlib.suppress(UserError):
                    session.execute(example)
                    left.discard(example)
    with Kernel(KernelConfig()) as kernel, Session(KernelTarget(kernel)) as session:
        kernel.spawn("first").run()
        for example in sorted(left):
            session.execute(example)


def test_names_of_registers_and_symbols_are_completed(session: Session) -> None:
    assert completions(session, "regs ttb") == ["ttbcr", "ttbr0", "ttbr1"]
    assert "banked" in completions(session, "regs ban")
    assert completions(session, "cp15 prr") == ["prrr"]
    assert "r0" not in completions(session, "cp15 r")
    assert completions(session, "sym enabl") == ["enable", "enabled"]


def test_help_of_a_group_lists_its_commands(session: Session) -> None:
    text = "\n".join(session.execute("help translation").lines)
    assert "why VA" in text
    assert "regs" not in text
    with pytest.raises(UserError, match="no command 'walk there'"):
        session.execute("help walk there")


def test_comments_and_empty_lines_do_nothing(session: Session) -> None:
    assert session.execute("") is session.execute("  # nothing") is None
    assert session.execute("sym enable  # where") == session.execute("sym enable")


def test_results_are_json_of_plain_values(session: Session) -> None:
    for line in ("walk pc", "why 0 w user", "pt", "pt --tree", "tlb", "stale", "regs", "cp15", "dis", "info"):
        result = session.execute(line)
        assert isinstance(json.loads(as_json(result)), dict)
        assert as_text(result)
    walked = json.loads(as_json(session.execute("walk pc w")))
    assert walked["access"] == "write"
    assert walked["result"]["pa"] == session.register("pc")


def test_colours_only_wrap_what_is_there(session: Session) -> None:
    result = session.execute("walk 0x50000000")
    painted = as_text(result, colour=True)
    assert "\x1b[" in painted
    import re

    assert re.sub(r"\x1b\[\d+m", "", painted) == as_text(result)


def test_completion_offers_commands_symbols_registers_and_choices(session: Session) -> None:
    assert "walk" in completions(session, "wa")
    assert completions(session, "walk enab") == ["enable", "enabled"]
    assert "ttbr0" in completions(session, "walk tt")
    assert {"user", "priv"} <= set(completions(session, "walk 0 "))
    assert "--filter" in completions(session, "pt --")
    assert completions(session, "doctor m") == ["mmu"]
    assert "walk" in completions(session, "help wa")
    assert completions(session, "nothing x") == []


# ---- registers ----


def test_cp15_is_decoded_bit_by_bit_and_by_the_format_that_is_on(session: Session) -> None:
    decoded = session.execute("cp15 sctlr")
    assert isinstance(decoded, DecodedRegister)
    assert {field.name: field.value for field in decoded.fields}["M"] == 1
    assert "EAE" in as_text(session.execute("cp15 ttbcr"))
    assert "T0SZ" in as_text(session.execute("cp15 ttbcr"))
    assert "Normal write-back write-allocate" in as_text(session.execute("cp15 mair0"))
    short = dump_session(dump("rt-armmp-1G-usr"))
    assert "PRRR" in as_text(short.execute("cp15 prrr"))
    assert "T0SZ" not in as_text(short.execute("cp15 ttbcr"))
    assert "D15" in as_text(short.execute("cp15 dacr"))


@pytest.mark.parametrize("file", ["cp15", "descriptors"])
def test_fields_of_a_register_do_not_overlap_and_put_together_are_its_bits(file: str) -> None:
    for layout in layouts(file).values():
        bits = [bit for field in layout.fields for bit in range(field.low, field.high + 1)]
        assert len(bits) == len(set(bits)), layout.name
        for value in (0, (1 << 64) - 1, 0x0123_4567_89AB_CDEF):
            shifted = (field.of(value) << (0 if field.address else field.low) for field in layout.fields)
            assert sum(shifted) == value & sum(1 << bit for bit in bits), layout.name
        for field in layout.fields:
            assert all(known < 1 << field.width for known in field.values), (layout.name, field.name)


# ---- memory ----


def test_memory_is_read_by_virtual_and_by_physical_address() -> None:
    with Machine(MachineConfig(memory_bytes=64 * MIB)) as machine:
        tables = PageTables(machine, "lpae")
        machine.reset(RAM)
        tables.map(0x8000_0000, RAM + MIB, 2 << 12)
        tables.activate()
        machine.mem.write(RAM + MIB, bytes(range(64)) + b"text\0more\0")
        session = Session(LiveTarget(machine))
        found = session.execute("x/4xw 0x80000000")
        assert isinstance(found, Dump)
        assert found.values == (0x03020100, 0x07060504, 0x0B0A0908, 0x0F0E0D0C)
        assert found.data == session.execute(f"x/p4xw {RAM + MIB:#x}").data
        assert session.execute("x/2dh 0x80000000").values == (0x0100, 0x0302)
        assert "'text'" in as_text(session.execute("x/2s 0x80000040"))
        assert "'more'" in as_text(session.execute("x/2s 0x80000040"))
        cut = session.execute("x/4xw 0x80001ff8")
        assert len(cut.values) == 2
        assert "0x80002000 cannot be read" in cut.fault
        assert "outside memory" in session.execute("x/px 0xff00000000").fault


def test_code_is_disassembled_with_symbols(session: Session) -> None:
    code = session.execute("dis enable 2")
    assert isinstance(code, Code)
    assert code.lines[0] == "enable:"
    assert "mcr" in code.lines[1]
    assert code.instructions[1].text == "isb     sy"
    assert session.execute("x/2i enable") == code
    assert [i.address for i in session.execute("dis enable 2 --thumb").instructions] == [
        session.value("enable"),
        session.value("enable") + len(session.execute("dis enable 1 --thumb").instructions[0].code),
    ]


# ---- anything ----

ARGUMENTS = ("0", "0x40010000", "pc", "user", "priv", "w", "--filter", "--kernel", "w+x", "mmu", "/4x", "-1")
WORDS = st.sampled_from([*sorted(commands()), *ARGUMENTS, "enable"])


@given(st.lists(WORDS | st.text(max_size=6), max_size=5).map(" ".join))
@settings(max_examples=400, deadline=None)
def test_any_line_gives_a_result_or_one_line_of_complaint(line: str) -> None:
    complaint, result = "", None
    try:
        result = _linux().execute(line)
    except UserError as problem:
        complaint = str(problem)
    assert "\n" not in complaint
    as_json(result)
    as_text(result)


_KEPT: list[Session] = []


def _linux() -> Session:
    if not _KEPT:
        base = dump_session(dump("8G-usr"))
        registers = {"pc": 0xC040_0000, "cpsr": 0x13, "r0": 0}
        _KEPT.append(
            Session(
                TableTarget(base.memory, base.regime, registers=registers, symbols={"enable": 0xC000_8000})
            )
        )
    return _KEPT[0]
