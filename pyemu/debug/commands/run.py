"""Running: breakpoints, watchpoints, steps, and back."""

from __future__ import annotations

from dataclasses import dataclass

from pyemu.config import UserError
from pyemu.debug.commands.memory import disassemble
from pyemu.debug.control import Control, Halt, Watch
from pyemu.debug.parameters import Address, Choice, Flag, Number, Option, Word
from pyemu.debug.registry import command
from pyemu.debug.session import Session, parse_number
from pyemu.debug.target import Capability
from pyemu.debug.unwind import Frame, frames
from pyemu.machine.dialogue import Dialogue, Step, console_pattern
from pyemu.machine.stop import StopReason

__all__ = ["Backtrace", "Place", "Point", "Points", "Stopped", "Where", "stopped"]

_CPSR_T = 0x20
_MODES = {0x10: "usr", 0x11: "fiq", 0x12: "irq", 0x13: "svc", 0x17: "abt", 0x1B: "und", 0x1F: "sys"}
_WORDS = {"r": "read", "w": "write", "rw": "read or write"}
_REASONS = {
    StopReason.LIMIT: "the number of instructions is over",
    StopReason.POWEROFF: "the guest has switched off",
    StopReason.RESET: "the guest asked for a reset",
    StopReason.LOCKUP: "lockup: an exception's vector cannot be fetched (`doctor mmu` looks for the cause)",
    StopReason.DEADLOCK: "every CPU waits, and no timer will wake one",
    StopReason.IDLE: "every CPU waits",
    StopReason.REQUESTED: "stopped",
    StopReason.TIME: "the time is over",
    StopReason.CONSOLE: "the console showed the text",
}


@dataclass(frozen=True)
class Place:
    """Where a CPU is: its next instruction."""

    cpu: int
    pc: int
    symbol: str | None
    mode: str
    thumb: bool
    instruction: str

    @property
    def line(self) -> str:
        name = f" ({self.symbol})" if self.symbol else ""
        state = f"{self.mode}{', Thumb' if self.thumb else ''}"
        return f"CPU {self.cpu} at {self.pc:#010x}{name}, {state}: {self.instruction}"


@dataclass(frozen=True)
class Stopped:
    """Why a run ended, where, and what the guest has printed on the way.

    ``left_out`` is how many bytes of output came before ``output``, which is the latest megabyte.
    """

    reason: str
    text: str
    place: Place
    insns: int
    output: str
    left_out: int

    @property
    def lines(self) -> list[str]:
        printed = self.output.splitlines()
        if self.left_out:
            printed.insert(0, f"({self.left_out} bytes of output before are left out)")
        return [*printed, *([self.text] if self.text else []), self.place.line]


@dataclass(frozen=True)
class Point:
    """A breakpoint or a watchpoint."""

    number: int
    text: str


@dataclass(frozen=True)
class Points:
    """Breakpoints and watchpoints, by number."""

    points: tuple[Point, ...]

    @property
    def lines(self) -> list[str]:
        return [f"{each.number}: {each.text}" for each in self.points] or ["no breakpoint, no watchpoint"]


@dataclass(frozen=True)
class Where:
    """Every CPU's place, and how far the run is."""

    places: tuple[Place, ...]
    insns: int
    time_ns: int
    back_to: int | None

    @property
    def lines(self) -> list[str]:
        back = "" if self.back_to is None else f"; recorded from instruction {self.back_to} on"
        return [
            *(each.line for each in self.places),
            f"instruction {self.insns}, {self.time_ns / 1e9:.9f} s of guest time{back}",
        ]


@dataclass(frozen=True)
class Backtrace:
    """Functions from the current one outward."""

    frames: tuple[Frame, ...]
    names: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        how = {"fp": "  by frame pointer", "lr": "  by LR"}
        lines = []
        for number, (frame, name) in enumerate(zip(self.frames, self.names, strict=True)):
            if frame.exception is not None:
                lines.append(f"    <exception: {frame.exception} taken from {name}>")
            lines.append(f"#{number}  {name}{how.get(frame.how, '')}")
        return lines


# ---- what a stop says ----


def place(session: Session, cpu: int) -> Place:
    """Where a CPU is."""
    registers = session.target.registers(cpu)
    pc, cpsr = registers["pc"], registers["cpsr"]
    was = session.cpu
    session.select(cpu)
    try:
        code = disassemble(session, pc, 1)
    finally:
        session.select(was)
    text = code.instructions[0].text if code.instructions else "(cannot be read)"
    mode = _MODES.get(cpsr & 0x1F, f"mode {cpsr & 0x1F:#x}")
    return Place(cpu, pc, session.symbol(pc), mode, bool(cpsr & _CPSR_T), text)


def stopped(session: Session, halt: Halt) -> Stopped:
    """A halt in words."""
    control = session.part(Control)
    output = control.machine.console.read().decode("utf-8", "replace")
    left_out, control.output_left_out = control.output_left_out, 0
    return Stopped(
        halt.reason.name.lower(),
        _reason(session, control, halt),
        place(session, halt.cpu),
        halt.executed,
        output,
        left_out,
    )


def _reason(session: Session, control: Control, halt: Halt) -> str:
    if halt.history_end:
        return "the beginning of what was recorded"
    if halt.hit is not None:
        hit, number = halt.hit, control.number(halt.hit.watch)
        what = f"{hit.old:#x} -> {hit.new:#x}" if hit.write else f"{hit.old:#x}"
        where = f"physical {hit.pa:#x}"
        if hit.va is not None:
            where = f"{hit.va:#010x}" + (f" ({where})" if hit.pa != hit.va else "")
        verb = "written" if hit.write else "read"
        who = session.place(hit.pc) + (f" in {hit.function}" if hit.function else "")
        return (
            f"watchpoint {number}: {hit.size} bytes at {where} {verb} by {who}: {what}, "
            f"at instruction {hit.insns}"
        )
    if halt.reason is StopReason.BREAKPOINT:
        number = control.number(halt.pc)
        return "" if number is None else f"breakpoint {number}"
    if halt.reason is StopReason.EXIT:
        return f"the guest has ended with status {halt.status}"
    return _REASONS.get(halt.reason, "")


# ---- points ----


def _describe(session: Session, point: int | Watch) -> str:
    if isinstance(point, int):
        return f"breakpoint at {session.place(point)}"
    physical = "physical " if point.physical else ""
    where = f"{point.address:#x}" if point.physical else session.place(point.address)
    return f"watchpoint: {_WORDS[point.access]} of {point.size} bytes at {physical}{where}"


def _points(session: Session, numbers: list[int] | None = None) -> Points:
    points = session.part(Control).points
    chosen = points if numbers is None else numbers
    return Points(tuple(Point(number, _describe(session, points[number])) for number in chosen))


@command(
    "b",
    Address("address", optional=True),
    group="running",
    example="b pc+8",
    aliases=("break",),
    needs=Capability.RUN,
)
def set_breakpoint(session: Session, address: int | None = None) -> Points:
    """Stops before the instruction at an address, on any CPU; without one lists what is set.

    Costs nothing until it is reached.
    """
    if address is None:
        return _points(session)
    return _points(session, [session.part(Control).add(address & ~1)])


@command(
    "wa",
    Address("address", bits=40),
    Number("size", optional=True, low=1, high=4096),
    Choice("access", r="r", w="w", rw="rw"),
    Flag("--physical"),
    group="running",
    example="wa sp-4 4 w",
    aliases=("watch",),
    needs=Capability.RUN,
)
def set_watchpoint(
    session: Session, address: int, size: int = 4, access: str = "w", physical: bool = False
) -> Points:
    """Stops behind each instruction that writes, reads (r), or does either (rw) with some bytes.

    The bytes must lie in one page. ``--physical`` takes a physical address, whatever maps it. Accesses to the
    rest of the page take a microsecond each.
    """
    return _points(session, [session.part(Control).add(Watch(address, size, access, physical))])


@command("d", Word("number"), group="running", example="d all", aliases=("delete",), needs=Capability.RUN)
def delete(session: Session, number: str) -> Points:
    """Takes a breakpoint or watchpoint away by its number; ``d all`` all of them."""
    control = session.part(Control)
    chosen = list(control.points) if number == "all" else [parse_number(number)]
    for each in chosen:
        if each is None or each not in control.points:
            raise UserError(f"no breakpoint or watchpoint {number}: `b` lists them")
        control.remove(control.points[each])
    return _points(session)


# ---- forward ----


@command(
    "s",
    Number("count", optional=True, low=1),
    group="running",
    example="s 10",
    aliases=("step",),
    needs=Capability.RUN,
)
def step(session: Session, count: int = 1) -> Stopped:
    """One instruction of the current CPU, or as many as are asked for; entering an exception is one too."""
    control = session.part(Control)
    cpu = session.cpu
    for _ in range(count):
        halt = control.step(cpu)
        if halt.reason is not StopReason.STEP:
            break
    return stopped(session, halt)


@command("n", group="running", example="n", aliases=("next",), needs=Capability.RUN)
def step_over(session: Session) -> Stopped:
    """One instruction; a call is carried out as a whole."""
    control, cpu = session.part(Control), session.cpu
    behind = _behind_call(session)
    if behind is None:
        return stopped(session, control.step(cpu))
    sp = session.register("sp")
    with control.temporary_break(behind):
        while True:
            halt = control.resume()
            returned = halt.cpu == cpu and halt.pc == behind and session.register("sp") >= sp
            if halt.reason is not StopReason.BREAKPOINT or halt.pc != behind or returned:
                return stopped(session, halt)


def _behind_call(session: Session) -> int | None:
    """The address behind the instruction that comes next, if that is a call."""
    code = disassemble(session, None, 1)
    if not code.instructions:
        return None
    next_one = code.instructions[0]
    mnemonic = next_one.text.split()[0].removesuffix(".w")
    is_call = mnemonic[:3] == "blx" or (mnemonic[:2] == "bl" and len(mnemonic) in (2, 4))
    return next_one.address + len(next_one.code) if is_call and mnemonic not in ("bllt", "blle") else None


@command(
    "c",
    Number("insns", optional=True, low=1),
    Option("--until", Word("pattern")),
    group="running",
    example="c --until 'login: '",
    aliases=("continue",),
    needs=Capability.RUN,
)
def resume(session: Session, insns: int | None = None, pattern: str | None = None) -> Stopped:
    """Runs on until something stops the guest, or so many instructions.

    ``--until`` stops once the console shows what a regular expression matches; it is looked at when every CPU
    waits, and every few million instructions.
    """
    wanted = None if pattern is None else Dialogue([Step(console_pattern(pattern), b"", last=True)])
    return stopped(session, session.part(Control).resume(insns, wanted))


@command("until", Address("address"), group="running", example="until pc+4", needs=Capability.RUN)
def until(session: Session, address: int) -> Stopped:
    """Runs until an address is reached, or something else stops the guest."""
    control = session.part(Control)
    with control.temporary_break(address & ~1):
        halt = control.resume()
    return stopped(session, halt)


# ---- backward ----


@command(
    "rs",
    Number("count", optional=True, low=1, high=10_000),
    group="running",
    example="rs",
    aliases=("reverse-step",),
    needs=Capability.RUN,
)
def reverse_step(session: Session, count: int = 1) -> Stopped:
    """Back to before the latest instruction of the current CPU, or the latest of several.

    The run is done again from the latest checkpoint before, so memory, devices and console are as they were,
    and with a cycle model TLBs, caches and cycles. Input that was typed and memory that was changed since are
    not done again when the guest runs on from there.
    """
    control, cpu = session.part(Control), session.cpu
    for _ in range(count):
        halt = control.reverse_step(cpu)
        if halt.history_end:
            break
    return stopped(session, halt)


@command("rc", group="running", example="rc", aliases=("reverse-continue",), needs=Capability.RUN)
def reverse_continue(session: Session) -> Stopped:
    """Back to where a breakpoint or watchpoint was reached last; at a watchpoint, before the access."""
    return stopped(session, session.part(Control).reverse_continue())


# ---- where ----


@command("where", group="running", example="where", needs=Capability.RUN)
def where(session: Session) -> Where:
    """Every CPU's next instruction, and how far the run is."""
    control = session.part(Control)
    known = control.checkpoints()
    return Where(
        tuple(place(session, cpu) for cpu in range(session.target.cpus)),
        control.position.insns,
        control.machine.time_ns,
        known[0][0].insns if known else None,
    )


@command(
    "bt",
    Number("limit", optional=True, low=1, high=1000),
    group="running",
    example="bt",
    aliases=("backtrace",),
)
def backtrace(session: Session, limit: int = 64) -> Backtrace:
    """Who called, inner first, and what exceptions have interrupted.

    By the code, followed to a return; by exception tables, of the ELF file or of a Linux kernel in its
    memory; by frame pointers; by LR.
    """
    found = tuple(frames(session, limit))
    if not found:
        raise UserError("bt: the core registers are not known here")
    return Backtrace(found, tuple(_frame_name(session, each) for each in found))


def _frame_name(session: Session, frame: Frame) -> str:
    """Its PC, with the function that it is in."""
    symbol = session.symbol(frame.inside)
    if symbol is None:
        return f"{frame.pc:#010x}"
    name, _, offset = symbol.partition("+")
    distance = int(offset or "0", 16) + frame.pc - frame.inside
    return f"{frame.pc:#010x} ({name}{f'+{distance:#x}' if distance else ''})"
