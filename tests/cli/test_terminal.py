"""The terminal as console: raw while the guest runs, and as it was before in every other case."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_boot import LOOP, echo_elf
from tests.conftest import pyemu_command
from tests.machine.images import print_code


class Screen:
    """A pseudo-terminal with `pyemu boot` on it."""

    def __init__(self, image: Path, *options: str) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.text = b""
        self.process = subprocess.Popen(
            pyemu_command("boot", image, *options), stdin=self.slave, stdout=self.slave, stderr=self.slave
        )

    def wait_for(self, text: bytes, timeout: float = 20) -> None:
        deadline = time.monotonic() + timeout
        while text not in self.text:
            assert select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0], self.text
            self.text += os.read(self.master, 4096)

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def finish(self) -> int:
        """The exit status; asserts that the terminal is as it was."""
        deadline = time.monotonic() + 20
        while self.process.poll() is None:
            if select.select([self.master], [], [], 0.05)[0]:
                self.text += os.read(self.master, 4096)
            assert time.monotonic() < deadline, self.text
        while select.select([self.master], [], [], 0)[0]:
            self.text += os.read(self.master, 4096)
        assert termios.tcgetattr(self.slave) == self.before
        return self.process.returncode

    def mode(self) -> Any:
        return termios.tcgetattr(self.slave)[3]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Screen]:
    (tmp_path / "echo").write_bytes(echo_elf())
    screen = Screen(tmp_path / "echo")
    yield screen
    screen.close()


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Screen]:
    (tmp_path / "loop").write_bytes(print_code("loop\n", LOOP))
    screen = Screen(tmp_path / "loop")
    yield screen
    screen.close()


def test_keys_reach_the_guest_at_once_and_unechoed(echo: Screen) -> None:
    echo.wait_for(b"ready> ")
    assert not echo.mode() & (termios.ECHO | termios.ICANON | termios.ISIG)
    echo.type(b"a")
    echo.wait_for(b"ready> a")
    echo.type(b"\x03\x04")  # Ctrl-C and Ctrl-D are the guest's
    echo.wait_for(b"ready> a\x03\x04")
    echo.type(b"q")
    assert echo.finish() == 0
    assert b"exit status 0" in echo.text


def test_ctrl_a_x_quits_a_waiting_guest(echo: Screen) -> None:
    echo.wait_for(b"ready> ")
    echo.type(b"\x01x")
    assert echo.finish() == 0
    assert b"ended by Ctrl-A x" in echo.text


def test_ctrl_a_x_quits_a_busy_guest(loop: Screen) -> None:
    loop.wait_for(b"loop")
    loop.type(b"\x01")
    time.sleep(0.1)  # the two keys arrive apart
    loop.type(b"x")
    assert loop.finish() == 0


def test_ctrl_a_h_helps_and_ctrl_a_twice_is_one(echo: Screen) -> None:
    echo.wait_for(b"ready> ")
    echo.type(b"\x01h")
    echo.wait_for(b"Ctrl-A Ctrl-A")
    echo.type(b"\x01\x01<")
    echo.wait_for(b"\x01<")
    echo.type(b"q")
    assert echo.finish() == 0


def test_ctrl_a_i_says_where_a_busy_and_a_waiting_guest_is(loop: Screen, echo: Screen) -> None:
    for guest in (loop, echo):
        guest.type(b"\x01i")
        guest.wait_for(b"SVC mode, IRQs masked, MMU off")
        assert b"pyemu: CPU 0 is at 0x40008" in guest.text
        guest.type(b"\x01x")
        assert guest.finish() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(loop: Screen, number: int) -> None:
    loop.wait_for(b"loop")
    loop.process.send_signal(number)
    assert loop.finish() == 128 + number


def test_an_error_inside_gives_the_terminal_back(tmp_path: Path) -> None:
    (tmp_path / "echo").write_bytes(echo_elf())
    screen = Screen(tmp_path / "echo", "--console-log", "/dev/full")
    try:
        assert screen.finish() == 2
        assert b"No space left" in screen.text
    finally:
        screen.close()


def test_a_suspended_run_gives_the_terminal_back_and_takes_it_again(loop: Screen) -> None:
    loop.wait_for(b"loop")
    loop.process.send_signal(signal.SIGTSTP)
    deadline = time.monotonic() + 20
    while termios.tcgetattr(loop.slave) != loop.before:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    loop.process.send_signal(signal.SIGCONT)
    while loop.mode() & termios.ICANON:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    loop.type(b"\x01x")
    assert loop.finish() == 0
