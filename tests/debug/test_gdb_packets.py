"""The packet layer and the protocol: right for what is right, and unmoved by anything else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pyemu.config import MachineConfig, UserError
from pyemu.debug.control import Control
from pyemu.debug.gdb.packets import MAX_PAYLOAD, Event, Packet, PacketReader, frame, parse_hex, split_numbers
from pyemu.debug.gdb.protocol import Ask, Protocol, Resume
from pyemu.debug.gdb.server import parse_endpoint
from pyemu.debug.gdb.target_xml import gdb_registers, target_xml
from pyemu.debug.session import Session
from pyemu.machine import Machine
from pyemu.mem import Memory
from pyemu.mmu import Regime
from tests.debug.bring_up import MAPPED, MARK, arm_machine, bring_up, controlled
from tests.debug.targets import TableTarget
from tests.machine.traps.guest import ELF, FREE


def events(data: bytes) -> list[Packet | Event]:
    return list(PacketReader().feed(data))


@given(st.binary(max_size=300))
def test_a_frame_is_read_back_whatever_is_in_it(payload: bytes) -> None:
    assert events(frame(payload)) == [Packet(payload)]


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(1, 7))
def test_packets_may_come_in_any_pieces(payloads: list[bytes], size: int) -> None:
    stream = b"".join(frame(payload) for payload in payloads)
    reader = PacketReader()
    found = [each for at in range(0, len(stream), size) for each in reader.feed(stream[at : at + size])]
    assert found == [Packet(payload) for payload in payloads]


@settings(max_examples=1000)
@given(st.binary(max_size=400))
@example(b"$}#7d")
@example(b"$#00$$#24")
def test_no_bytes_make_the_reader_fail_and_a_packet_behind_them_is_read(garbage: bytes) -> None:
    reader = PacketReader()
    list(reader.feed(garbage + b"#zz"))
    assert list(reader.feed(frame(b"qC")))[-1:] == [Packet(b"qC")]


def test_interrupts_acknowledgements_and_wrong_checksums_are_told_apart() -> None:
    assert events(b"+-\x03$g#66") == [Event.ACK, Event.NACK, Event.INTERRUPT, Event.BAD]


def test_a_packet_that_is_too_long_is_refused_and_not_kept() -> None:
    reader = PacketReader()
    list(reader.feed(b"$"))
    for _ in range(64):
        list(reader.feed(b"a" * MAX_PAYLOAD))
    assert len(reader._raw or b"") <= 2 * MAX_PAYLOAD
    assert list(reader.feed(b"#00")) == [Event.BAD]
    assert list(reader.feed(frame(b"?"))) == [Packet(b"?")]


@pytest.mark.parametrize("text", [b"", b"g", b"-1", b"+1", b"0x1", b"1_0", b" 1", b"1" * 17])
def test_numbers_are_hexadecimal_digits_and_nothing_else(text: bytes) -> None:
    with pytest.raises(ValueError):
        parse_hex(text)


def test_numbers_are_split_at_their_separators() -> None:
    assert split_numbers(b"c0008000,4") == [0xC000_8000, 4]
    with pytest.raises(ValueError):
        split_numbers(b"c0008000")


def test_endpoints_are_on_this_host_unless_it_is_said() -> None:
    assert parse_endpoint("1234") == ("127.0.0.1", 1234)
    assert parse_endpoint("0.0.0.0:1") == ("0.0.0.0", 1)
    assert parse_endpoint("[::1]:7") == ("::1", 7)
    assert parse_endpoint("tcp::1234") == ("127.0.0.1", 1234)  # as QEMU writes it
    for wrong in ("", "x", "1:", "70000", "host:-1"):
        with pytest.raises(UserError, match="is no place for gdb"):
            parse_endpoint(wrong)


# ---- the protocol ----


@pytest.fixture
def spoken() -> Iterator[tuple[Protocol, Session, Control, list[bytes]]]:
    guest = bring_up()
    session, control = controlled(arm_machine(guest))
    said: list[bytes] = []
    with session:
        yield Protocol(session, said.append), session, control, said


Spoken = tuple[Protocol, Session, Control, list[bytes]]


def test_registers_of_all_features_are_described_and_read(spoken: Spoken) -> None:
    protocol, session, _, _ = spoken
    names = [register.name for register in gdb_registers()]
    assert names[:17] == [*(f"r{n}" for n in range(13)), "sp", "lr", "pc", "cpsr"]
    assert {"d31", "fpscr", "sctlr", "ttbr0", "sp_irq", "mair0"} <= set(names)
    assert all(f'name="{name}"'.encode() in target_xml() for name in names)
    answer = protocol.answer(b"g")
    assert isinstance(answer, bytes)
    assert len(answer) == sum(register.bits // 4 for register in gdb_registers())
    pc = bytes.fromhex(answer[15 * 8 : 16 * 8].decode())
    assert int.from_bytes(pc, "little") == session.machine.reg("pc")


def test_the_description_comes_in_parts(spoken: Spoken) -> None:
    protocol = spoken[0]
    text, at = b"", 0
    while True:
        part = protocol.answer(b"qXfer:features:read:target.xml:%x,100" % at)
        assert isinstance(part, bytes)
        assert part[:1] in b"ml"
        text, at = text + part[1:], at + len(part) - 1
        if part[:1] == b"l":
            break
    assert text == target_xml()


def test_a_register_that_is_written_is_read_back_and_a_constant_stays(spoken: Spoken) -> None:
    protocol, session, _, _ = spoken
    assert protocol.answer(b"P3=78563412") == b"OK"
    assert session.machine.reg("r3") == MARK
    assert protocol.answer(b"p3") == b"78563412"
    whole = protocol.answer(b"g")
    assert isinstance(whole, bytes)
    assert protocol.answer(b"G" + b"2a000000" + whole[8:]) == b"OK"
    assert session.machine.reg("r0") == 42
    midr = next(n for n, each in enumerate(gdb_registers()) if each.name == "midr")
    assert protocol.answer(b"P%x=00000000" % midr) == b"E01"


def test_memory_is_virtual_unless_physical_is_asked_for(spoken: Spoken) -> None:
    protocol, session, control, _ = spoken
    control.add(bring_up().address_of("write_pte"))
    control.resume()
    assert protocol.answer(b"m%x,4" % MAPPED) == b"78563412"
    assert protocol.answer(b"mb0000000,4") == b"E14"
    assert protocol.answer(b"qqemu.PhyMemMode") == b"0"
    assert protocol.answer(b"Qqemu.PhyMemMode:1") == b"OK"
    assert protocol.answer(b"m%x,4" % MAPPED) == b"E14"
    assert protocol.answer(b"m%x,4" % FREE) == b"78563412"
    assert protocol.answer(b"M%x,2:cdab" % FREE) == b"OK"
    assert protocol.answer(b"X%x,2:}]" % (FREE + 2)) == b"OK"
    assert session.memory.read(FREE, 4) == b"\xcd\xab}]"


def test_monitor_runs_the_debuggers_commands(spoken: Spoken) -> None:
    protocol, _, _, said = spoken
    assert protocol.answer(b"qRcmd," + b"where".hex().encode()) == b"OK"
    assert b"CPU 0 at" in bytes.fromhex(said[-1][1:].decode())
    assert protocol.answer(b"qRcmd," + b"walk nonsense".hex().encode()) == b"OK"
    assert b"nonsense" in bytes.fromhex(said[-1][1:].decode())


def test_resumptions_name_the_cpu(spoken: Spoken) -> None:
    protocol = spoken[0]
    assert protocol.answer(b"vCont;s:1;c") == Resume("step", 0)
    assert protocol.answer(b"vCont;c") == Resume("continue", 0)
    assert protocol.answer(b"bs") == Resume("reverse-step", 0)
    assert protocol.answer(b"bc") == Resume("reverse-continue", 0)
    assert protocol.answer(b"vCont;s:9") == b"E01"
    assert protocol.answer(b"D") == Ask("detach", b"OK")


def test_threads_say_whether_their_cpu_executes() -> None:
    machine = Machine(MachineConfig(64 << 20, smp=2))
    machine.load(ELF / "atomic.elf")
    session, control = controlled(machine)
    with session:
        protocol = Protocol(session, lambda _: None)

        def thread(number: int) -> str:
            return bytes.fromhex(protocol.answer(b"qThreadExtraInfo,%x" % number).decode()).decode()

        assert (thread(1), thread(2)) == ("CPU 0, PL1", "CPU 1, off")
        assert session.execute("cpu").lines[1] == "  CPU 1: off"
        control.resume(1_500_000)
        assert thread(2) in ("CPU 1, PL1", "CPU 1, PL1, waits for an interrupt")


STARTS = st.sampled_from(
    b"? g G p P m M X c s C05; b Z0, Z2, z1, Hg T vCont; vCont;s: qXfer:features:read: qRcmd, "
    b"qThreadExtraInfo, Qqemu.PhyMemMode: q".split()
)
BODIES = st.one_of(
    st.binary(max_size=60),
    st.from_regex(rb"[0-9a-f]{0,16}[,:;=][0-9a-f]{0,16}([,:;][0-9a-f]{0,8})?", fullmatch=True),
)


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.builds(lambda start, body: start + body, STARTS, BODIES))
def test_no_packet_makes_the_protocol_fail(spoken: Spoken, data: bytes) -> None:
    protocol, _, control, _ = spoken
    answer = protocol.answer(data)
    assert isinstance(answer, (bytes, Resume, Ask))
    if isinstance(answer, bytes):
        assert len(answer) <= 2 * MAX_PAYLOAD
    for point in list(control.points.values()):
        control.remove(point)
    assert isinstance(protocol.answer(b"?"), bytes)


def test_a_dump_says_in_words_that_it_cannot_run() -> None:
    with Memory() as memory, Session(TableTarget(memory, Regime())) as session:
        protocol = Protocol(session, lambda _: None)
        assert (
            protocol.answer(b"c") == b"E.tables: it is a dump, which cannot run: open a snapshot or an image"
        )
