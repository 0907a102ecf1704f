"""Backtraces in a Linux kernel that runs: as the kernel itself prints them, and out of exceptions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from pyemu.config import MachineConfig, parse_memory
from pyemu.debug import LiveTarget, Session
from pyemu.debug.commands.run import Backtrace, backtrace
from pyemu.debug.control import Control
from pyemu.machine import Machine
from pyemu.machine.stop import StopReason
from tests.acceptance.conftest import debian, packages  # noqa: F401  (fixtures)
from tests.acceptance.guest import Guest
from tests.acceptance.initramfs import PROMPT
from tests.debug.oops import POINTER
from tests.debug.unwind.oracle import Truth

pytestmark = pytest.mark.acceptance
LIMIT = 5_000_000_000
NEAR = 200_000_000
KERNEL = 0xC000_0000
_PLACE = re.compile(r" (\S+) from ([^\s/]+)/")
_NAME = re.compile(r"\(([^)]+)\)")


@pytest.fixture(scope="module", params=["armmp-lpae", "armmp"])
def session(request: pytest.FixtureRequest, debian: Callable[..., Guest]) -> Iterator[Session]:  # noqa: F811
    """Debian at its shell's prompt."""
    guest = debian(request.param, "1G")
    machine = Machine(MachineConfig(parse_memory(guest.memory)))
    assert guest.kernel is not None
    assert guest.initrd is not None
    machine.load(guest.kernel, initrd=guest.initrd.read_bytes(), append=guest.append)
    machine.run(until=PROMPT, max_insns=LIMIT)
    machine.console.read()
    with Session(LiveTarget(machine, owned=True)) as session:
        yield session


def stop_at(session: Session, function: str, command: str = "") -> Backtrace:
    """Type a command, and the backtrace where it reaches a function."""
    control = session.part(Control)
    control.type(f"{command}\n".encode())
    with control.temporary_break(session.value(function)):
        assert control.resume(NEAR).reason is StopReason.BREAKPOINT
    return backtrace(session)


def to_prompt(session: Session) -> str:
    """What the guest prints until its shell waits again."""
    control, said = session.part(Control), ""
    for _ in range(1000):
        control.resume(NEAR // 100)
        said += session.machine.console.read().decode(errors="replace")
        if said.replace("\x1b[6n", "").endswith(PROMPT):  # the shell asks the terminal where the cursor is
            return said.replace("\r", "")
    raise AssertionError(f"no prompt: {said[-1000:]}")


def places(found: Backtrace) -> list[str]:
    """``name+0x10`` of each frame."""
    return [match[1] if (match := _NAME.search(name)) else name for name in found.names]


def printed(said: str) -> list[str]:
    """The callers that the kernel has printed, as :func:`places` has them."""
    return [
        place.replace("+0x0", "") if place.endswith("+0x0") else place for _, place in _PLACE.findall(said)
    ]


def test_the_chain_of_sysrq_is_what_the_kernel_prints(session: Session) -> None:
    found = stop_at(session, "unwind_backtrace", "echo l > /proc/sysrq-trigger")
    wanted = printed(to_prompt(session))
    assert len(wanted) >= 8, wanted
    assert places(found)[1 : len(wanted) + 1] == wanted
    assert wanted[-1] == "ret_fast_syscall"
    after = found.frames[len(wanted) + 1]
    assert after.exception == "SVC"
    assert after.pc < KERNEL


def test_the_chain_of_an_oops_goes_on_behind_the_fault_as_the_kernel_prints_it(session: Session) -> None:
    stop_at(session, "version_proc_show", "cat /proc/version")
    session.machine.set_reg("r0", POINTER)
    found = stop_at(session, "unwind_backtrace")
    said = to_prompt(session)
    trace = said[said.index("unable to handle") if "unable to handle" in said else 0 :]
    kinds = [frame.exception for frame in found.frames]
    fault = kinds.index("data abort")
    at = re.search(r"PC is at ([^\s/]+)", trace)
    assert at is not None
    assert places(found)[fault] == at[1]
    wanted = printed(trace)
    assert len(wanted) >= 6
    # The kernel begins with what was interrupted.
    assert places(found)[fault + 1 : fault + 1 + len(wanted)] == wanted
    assert kinds[fault + len(wanted) + 1] == "SVC"


@pytest.mark.parametrize(
    ("function", "kinds", "through"),
    [
        ("kunmap_local_indexed", {"SVC", "data abort"}, set()),
        ("handle_mm_fault", {"data abort"}, {"do_page_fault", "__dabt_usr"}),
        ("vfs_read", {"SVC"}, {"ksys_read", "ret_fast_syscall"}),
        ("copy_process", {"SVC"}, {"kernel_clone", "ret_fast_syscall"}),
    ],
)
def test_a_chain_ends_with_the_exception_of_user_mode(
    session: Session, function: str, kinds: set[str], through: set[str]
) -> None:
    found = stop_at(session, function, "ls -l / | wc")
    names = {place.partition("+")[0] for place in places(found)}
    assert through <= names
    exceptions = {frame.exception for frame in found.frames} - {None}
    assert exceptions
    assert exceptions <= kinds
    user = [frame.pc < KERNEL for frame in found.frames]
    assert len(names) >= 4
    assert user.index(True) == next(n for n, frame in enumerate(found.frames) if frame.exception)
    to_prompt(session)


def test_an_interrupt_is_left_to_the_idle_loop(session: Session) -> None:
    found = stop_at(session, "hrtimer_interrupt")
    for _ in range(20):
        if "do_idle" in str(found.names):
            break
        found = stop_at(session, "hrtimer_interrupt")
    at = next(n for n, frame in enumerate(found.frames) if frame.exception)
    assert found.frames[at].exception == "IRQ"
    names = [place.partition("+")[0] for place in places(found)]
    assert names[at - 1] == "__irq_svc"
    assert "do_idle" in names[at:]
    assert f"    <exception: IRQ taken from {found.names[at]}>" in found.lines
    to_prompt(session)


@pytest.mark.parametrize(
    ("function", "entry"),
    [("__irq_svc", "IRQ"), ("__dabt_usr", "data abort")],
)
def test_the_entry_code_knows_what_it_has_interrupted(session: Session, function: str, entry: str) -> None:
    found = stop_at(session, function, "ls")
    assert found.frames[1].exception == entry
    assert (found.frames[1].pc < KERNEL) == function.endswith("usr")
    to_prompt(session)


@pytest.mark.parametrize("function", ["vfs_read", "handle_mm_fault", "copy_process"])
def test_the_chain_is_right_at_every_instruction_of_the_kernel(session: Session, function: str) -> None:
    first = [frame.pc for frame in stop_at(session, function, "ls -l / | wc").frames if frame.pc >= KERNEL]
    truth = Truth(session, returns=first[1:])
    right, wrong = 0, []
    for true in truth:
        found = [frame.pc for frame in backtrace(session).frames if frame.pc >= KERNEL]
        right += found == true
        if found != true:
            wrong.append((session.symbol(true[0]), found, true))
        if right == 300 or not truth.stack or session.registers["cpsr"] & 0x1F != 0x13:
            break
    assert right >= 50
    assert not wrong, wrong[:5]
    to_prompt(session)
