"""What gdb's packets ask of a session, and the answers: no sockets here.

GDB manual, appendix E; ``Qqemu.PhyMemMode`` as QEMU has it (gdbstub documentation, "Examining physical
memory").  An empty answer means that a packet is not supported, ``E`` and two digits that it failed,
``E.`` and text why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyemu.config import UserError
from pyemu.debug.control import Control, Halt, Position, Watch
from pyemu.debug.gdb.packets import MAX_PAYLOAD, parse_hex, split_numbers
from pyemu.debug.gdb.target_xml import gdb_registers, target_xml
from pyemu.debug.target import Capability
from pyemu.machine.cpu import Power
from pyemu.machine.stop import StopReason
from pyemu.mmu import Access, TranslationFault, read_virtual, write_virtual
from pyemu.native import NativeError

if TYPE_CHECKING:
    from pyemu.debug.session import Session

__all__ = ["Ask", "Protocol", "Resume"]

OK, EMPTY = b"OK", b""
_BAD, _NO_MEMORY, _NO_REGISTER = b"E01", b"E14", b"E02"
SIGINT, SIGTRAP, SIGABRT = 2, 5, 6
_MAX_READ = (MAX_PAYLOAD - 64) // 2
_WATCH_KINDS = {2: ("w", "watch"), 3: ("r", "rwatch"), 4: ("rw", "awatch")}


@dataclass(frozen=True)
class Resume:
    """The guest shall go. ``how``: "continue", "step", "reverse-continue" or "reverse-step" (of ``cpu``)."""

    how: str
    cpu: int


@dataclass(frozen=True)
class Ask:
    """What the server does: "detach", "kill" or "no-ack", behind the answer."""

    what: str
    answer: bytes


Answer = bytes | Resume | Ask


class Protocol:
    """Answers packets. ``say`` sends a packet at once: output of a monitor command."""

    def __init__(self, session: Session, say: Callable[[bytes], None]) -> None:
        self._session = session
        self._say = say
        self._cpu = session.cpu
        self._run_cpu = session.cpu
        self._physical = False
        self._steps_itself = False
        self._stop = b"T05thread:%02x;" % (session.cpu + 1)
        self._handlers: dict[bytes, Callable[[bytes], Answer]] = {
            b"?": lambda _: self._stop,
            b"g": self._read_all,
            b"G": self._write_all,
            b"p": self._read_one,
            b"P": self._write_one,
            b"m": self._read_memory,
            b"M": self._write_memory,
            b"X": self._write_binary,
            b"c": self._go("continue"),
            b"s": self._go("step"),
            b"C": self._go("continue", signal=True),
            b"S": self._go("step", signal=True),
            b"b": self._reverse,
            b"Z": lambda data: self._point(data, True),
            b"z": lambda data: self._point(data, False),
            b"H": self._thread,
            b"T": self._alive,
            b"D": lambda _: Ask("detach", OK),
            b"k": lambda _: Ask("kill", EMPTY),
            b"v": self._verbose,
            b"q": self._query,
            b"Q": self._set,
        }

    def answer(self, data: bytes) -> Answer:
        """The answer to a packet. Whatever is in it, the session stays usable."""
        handler = self._handlers.get(data[:1])
        if handler is None:
            return EMPTY
        try:
            return self._without_extra_step(handler(data[1:]))
        except UserError as problem:
            return b"E." + str(problem).encode("ascii", "replace")
        except (ValueError, NativeError, KeyError, IndexError):
            return _BAD

    def _without_extra_step(self, answer: Answer) -> Answer:
        """gdb believes that an ARM core stops before the access to watched memory, so it makes a step of its
        own behind each such stop. The guest is behind the access already (or before it, backwards).
        """
        if not isinstance(answer, Resume):
            return answer
        extra, self._steps_itself = self._steps_itself and answer.how.endswith("step"), False
        if not extra:
            return answer
        self._stop = b"T05thread:%02x;" % (answer.cpu + 1)
        return self._stop

    # ---- what happened ----

    def stopped(self, halt: Halt) -> bytes:
        """The stop reply of a halt; the threads that gdb asks about are then those of its CPU."""
        self._cpu = self._run_cpu = halt.cpu
        self._steps_itself = halt.hit is not None
        thread = b"thread:%02x;" % (halt.cpu + 1)
        if halt.reason is StopReason.EXIT:
            return b"W%02x" % (halt.status & 0xFF)
        if halt.reason in (StopReason.POWEROFF, StopReason.RESET):
            return b"W00"
        if halt.history_end:
            self._stop = b"T05" + thread + b"replaylog:begin;"
        elif halt.hit is not None:
            kind = {"w": b"watch", "r": b"rwatch"}.get(halt.hit.watch.access, b"awatch")
            self._stop = b"T05%b%b:%x;" % (thread, kind, halt.hit.watch.address)
        elif halt.reason is StopReason.BREAKPOINT:
            self._stop = b"T05" + thread + b"hwbreak:;"
        else:
            signal = SIGINT if halt.reason is StopReason.REQUESTED else SIGTRAP
            self._stop = b"T%02x%b" % (SIGABRT if halt.final else signal, thread)
        return self._stop

    def _control(self) -> Control:
        self._session.need(Capability.RUN)
        return self._session.part(Control)

    # ---- registers ----

    def _register(self, number: int) -> bytes:
        register = gdb_registers()[number]
        known = self._session.target.registers(self._cpu)
        try:
            return int(known[register.name]).to_bytes(register.bits // 8, "little").hex().encode()
        except KeyError:  # a dump may lack it
            return b"xx" * (register.bits // 8)

    def _read_all(self, _: bytes) -> bytes:
        return b"".join(self._register(number) for number in range(len(gdb_registers())))

    def _read_one(self, data: bytes) -> bytes:
        number = parse_hex(data)
        return self._register(number) if number < len(gdb_registers()) else _NO_REGISTER

    def _write_one(self, data: bytes) -> bytes:
        number, _, value = data.partition(b"=")
        if (index := parse_hex(number)) >= len(gdb_registers()):
            return _NO_REGISTER
        return self._write_registers({index: value})

    def _write_all(self, data: bytes) -> bytes:
        values, at = {}, 0
        for index, register in enumerate(gdb_registers()):
            size = register.bits // 4
            values[index] = data[at : at + size]
            at += size
        return self._write_registers({index: value for index, value in values.items() if value})

    def _write_registers(self, values: dict[int, bytes]) -> bytes:
        """Those that differ; a constant cannot be written, and need not when it is the same."""
        control = self._control()
        registers = control.machine.cpus[self._cpu].regs
        for index, text in values.items():
            register = gdb_registers()[index]
            if len(text) != register.bits // 4:
                return _BAD
            if text == self._register(index) or b"x" in text:
                continue
            registers[register.name] = int.from_bytes(bytes.fromhex(text.decode("ascii")), "little")
        control.touched()
        return OK

    # ---- memory ----

    def _read_memory(self, data: bytes) -> bytes:
        address, size = split_numbers(data)
        size = min(size, _MAX_READ)
        whole = self._read(address, size)
        if whole is None and size > 1:  # what lies before the page that cannot be read
            whole = self._read(address, min(size, 0x1000 - address % 0x1000))
        return _NO_MEMORY if whole is None else whole.hex().encode()

    def _read(self, address: int, size: int) -> bytes | None:
        try:
            if self._physical:
                return self._session.memory.read(address, size)
            regime = self._session.target.regime(self._cpu)
            if address + size > 1 << 32:
                return None
            return read_virtual(self._session.memory, regime, address, size, privileged=True)
        except (TranslationFault, NativeError):
            return None

    def _write_memory(self, data: bytes) -> bytes:
        head, _, text = data.partition(b":")
        address, size = split_numbers(head)
        content = bytes.fromhex(text.decode("ascii"))
        return self._write(address, content) if len(content) == size else _BAD

    def _write_binary(self, data: bytes) -> bytes:
        head, _, content = data.partition(b":")
        address, size = split_numbers(head)
        return self._write(address, content) if len(content) == size else _BAD

    def _write(self, address: int, content: bytes) -> bytes:
        control = self._control()
        if not content:
            return OK
        try:
            if self._physical:
                self._session.memory.write(address, content)
            elif address + len(content) > 1 << 32:
                return _NO_MEMORY
            else:  # a debugger may write where the guest may only read
                regime = self._session.target.regime(self._cpu)
                write_virtual(self._session.memory, regime, address, content, Access.READ, privileged=True)
        except (TranslationFault, NativeError):
            return _NO_MEMORY
        control.touched()
        return OK

    # ---- running ----

    def _go(self, how: str, *, signal: bool = False) -> Callable[[bytes], Answer]:
        def handler(data: bytes) -> Answer:
            address = data.partition(b";")[2] if signal else data
            control = self._control()
            if address:
                control.machine.cpus[self._run_cpu].regs["pc"] = parse_hex(address)
                control.touched()
            return Resume(how, self._run_cpu)

        return handler

    def _reverse(self, data: bytes) -> Answer:
        if data not in (b"c", b"s") or not self._control().record:
            return EMPTY
        return Resume("reverse-continue" if data == b"c" else "reverse-step", self._run_cpu)

    def _verbose(self, data: bytes) -> Answer:
        if data == b"Cont?":
            return b"vCont;c;C;s;S"
        if data.startswith(b"Kill"):
            return Ask("kill", OK)
        if not data.startswith(b"Cont;"):
            return EMPTY
        self._control()
        for action in data[5:].split(b";"):
            kind, _, thread = action.partition(b":")
            if kind[:1] in (b"s", b"S"):
                cpu = self._run_cpu if thread in (b"", b"-1") else self._cpu_of(thread)
                return Resume("step", cpu)
            if kind[:1] not in (b"c", b"C"):
                return _BAD
        return Resume("continue", self._run_cpu)

    def _point(self, data: bytes, insert: bool) -> bytes:
        fields = data.partition(b";")[0].split(b",")
        kind, address, size = (parse_hex(each) for each in fields[:3])
        control = self._control()
        if kind in (0, 1):
            if address >= 1 << 32:
                return _BAD
            if insert:
                control.add(address)
            else:
                control.remove(address)
            return OK
        if kind not in _WATCH_KINDS:
            return EMPTY
        watch = Watch(address, size, _WATCH_KINDS[kind][0], self._physical)
        if insert:
            control.add(watch)
        else:
            control.remove(watch)
        return OK

    # ---- threads ----

    def _cpu_of(self, thread: bytes) -> int:
        number = parse_hex(thread)
        if not 1 <= number <= self._session.target.cpus:
            raise ValueError("no such thread")
        return number - 1

    def _thread(self, data: bytes) -> bytes:
        kind, thread = data[:1], data[1:]
        if kind not in (b"g", b"c"):
            return _BAD
        if thread not in (b"0", b"-1"):
            cpu = self._cpu_of(thread)
            if kind == b"g":
                self._cpu = cpu
            else:
                self._run_cpu = cpu
        return OK

    def _alive(self, data: bytes) -> bytes:
        self._cpu_of(data)
        return OK

    # ---- queries ----

    def _query(self, data: bytes) -> Answer:
        name, _, _rest = data.partition(b":")
        if data.startswith(b"Rcmd,"):
            return self._monitor(data[5:])
        if data.startswith(b"ThreadExtraInfo,"):
            return self._extra(data[16:])
        if data.startswith(b"Xfer:features:read:"):
            return self._features(data[19:])
        if name == b"Supported":
            return self._supported()
        simple = {
            b"C": b"QC%x" % (self._cpu + 1),
            b"Attached": b"1",
            b"fThreadInfo": b"m" + b",".join(b"%x" % (n + 1) for n in range(self._session.target.cpus)),
            b"sThreadInfo": b"l",
            b"Symbol": OK,
            b"qemu.PhyMemMode": b"%d" % self._physical,
            b"qemu.Supported": b"PhyMemMode",
        }
        return simple.get(name, EMPTY)

    def _supported(self) -> bytes:
        can = b"PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+" % MAX_PAYLOAD
        if Capability.RUN in self._session.target.capabilities:
            can += b";hwbreak+"
            if self._control().record:
                can += b";ReverseStep+;ReverseContinue+"
        return can

    def _features(self, data: bytes) -> bytes:
        name, _, window = data.partition(b":")
        offset, size = split_numbers(window)
        if name != b"target.xml":
            return b"E00"
        part = target_xml()[offset : offset + min(size, MAX_PAYLOAD - 64)]
        return (b"m" if offset + len(part) < len(target_xml()) else b"l") + part

    def _extra(self, thread: bytes) -> bytes:
        cpu = self._cpu_of(thread)
        words, power = [f"CPU {cpu}"], self._session.power(cpu)
        if power is not Power.OFF:
            words.append("PL1" if self._session.target.privileged(cpu) else "PL0")
        if power not in (None, Power.ON):
            words.append(power.text)
        return ", ".join(words).encode().hex().encode()

    def _monitor(self, data: bytes) -> bytes:
        """A command of the debugger; what it prints, or why it was refused, goes to gdb's console."""
        from pyemu.debug.render import as_text

        line = bytes.fromhex(data.decode("ascii")).decode("utf-8", "replace")
        self._session.select(self._cpu)
        before = self._position()
        try:
            text = as_text(self._session.execute(line))
        except UserError as problem:
            text = str(problem)
        if self._position() != before:
            text += (
                "\ngdb does not know that the guest has moved: `maintenance flush register-cache` tells it"
            )
        output = (text + "\n").encode() if text else b""
        for at in range(0, len(output), _MAX_READ):
            self._say(b"O" + output[at : at + _MAX_READ].hex().encode())
        return OK

    def _position(self) -> Position | None:
        """How far the guest is; None of a dump."""
        runs = Capability.RUN in self._session.target.capabilities
        return self._control().position if runs else None

    def _set(self, data: bytes) -> Answer:
        if data == b"StartNoAckMode":
            return Ask("no-ack", OK)
        if data.startswith(b"qemu.PhyMemMode:"):
            self._physical = parse_hex(data[16:]) != 0
            return OK
        return EMPTY
