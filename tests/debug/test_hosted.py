"""A debugger on a machine whose programs a Kernel model serves: what cannot be done, and no crash."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyemu.config import MIB, MachineConfig, UserError
from pyemu.debug import LiveTarget, Session
from pyemu.debug.control import Control
from pyemu.kernel import Kernel, KernelConfig
from pyemu.kernel.program import start_program
from pyemu.machine import Machine, StopReason
from pyemu.native import NativeError, check, error, ffi, lib
from tests.kernel.hosted import program

STORE_FOR_EVER = (0xE5800000, 0xE2800004, 0xEAFFFFFC)  # str r0, [r0]; add r0, r0, #4; b . - 8
EXIT = (0xE3A00000, 0xE3A07001, 0xEF000000)  # mov r0, #0; mov r7, #1; svc 0


@pytest.fixture
def hosted() -> Iterator[tuple[Machine, Kernel]]:
    config = KernelConfig(memory_bytes=256 * MIB)
    with Machine(MachineConfig(memory_bytes=config.memory_bytes, semihosting=False)) as machine:
        machine.reset(0)
        with Kernel(config, machine=machine) as kernel:
            yield machine, kernel


def test_there_is_no_way_back_to_before_its_program_and_it_says_so(hosted: tuple[Machine, Kernel]) -> None:
    machine, kernel = hosted
    session = Session(LiveTarget(machine, kernel=kernel))
    assert session.part(Control).checkpoints()
    start_program(kernel, program(0xE3000000, 0xE3400002, *STORE_FOR_EVER), ())
    for line in ("rc", "rs"):
        with pytest.raises(UserError, match="no way back"):
            session.execute(line)
    session.part(Control).touched()
    session.execute("c 100")
    assert session.part(Control).resume(1000).executed >= 1000
    assert session.execute("rs").place.pc == session.registers["pc"]
    assert session.part(Control).position.insns >= 1099


def test_checkpoints_of_a_model_that_is_gone_are_gone(hosted: tuple[Machine, Kernel]) -> None:
    machine, kernel = hosted
    start_program(kernel, program(*EXIT), ())
    control = Session(LiveTarget(machine, kernel=kernel)).part(Control)
    assert control.checkpoints()
    kernel.close()
    assert control.checkpoints() == []


def test_a_state_without_what_the_model_knows_is_refused(hosted: tuple[Machine, Kernel]) -> None:
    machine, kernel = hosted
    err = error()
    size = lib.pe_machine_state_save(machine.handle, ffi.NULL, 0, err)
    state = ffi.new("char[]", size)
    lib.pe_machine_state_save(machine.handle, state, size, err)
    start_program(kernel, program(*STORE_FOR_EVER), ())
    with pytest.raises(NativeError, match="Kernel model"):
        check(lib.pe_machine_state_load(machine.handle, state, size, err), err)


def test_user_mode_without_a_program_is_a_lockup_and_no_crash(hosted: tuple[Machine, Kernel]) -> None:
    machine, kernel = hosted
    start_program(kernel, program(*EXIT), ())
    assert machine.run(max_insns=1000).reason is StopReason.EXIT
    machine.set_reg("cpsr", 0x10)
    machine.set_reg("pc", 0x10000)
    assert machine.run(max_insns=1000).reason is StopReason.LOCKUP
