"""Real software as a guest: what is booted, what is said to it, and the same on QEMU."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# What to wait for (a regular expression, searched after the last match), and the line to type then.
Dialogue = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Guest:
    """A kernel, or an image in flash bank 0, and the board that it gets."""

    memory: str
    kernel: Path | None = None
    initrd: Path | None = None
    append: str = ""
    flash: Path | None = None
    cpus: int = 1
    timing: str = "off"

    def qemu(self, binary: str = "qemu-system-aarch64") -> list[str]:
        """QEMU's `virt` board with a Cortex-A15.

        qemu-system-arm 7.2 cuts table addresses to 32 bits, so an LPAE kernel with 4 GB and more needs
        qemu-system-aarch64, which runs the same 32-bit CPU.
        """
        command = [binary, "-M", "virt,highmem=on", "-cpu", "cortex-a15", "-m", self.memory]
        command += ["-smp", str(self.cpus), "-nographic", "-nic", "none", "-no-reboot"]
        if self.flash:
            command += ["-bios", str(self.flash)]
        if self.kernel:
            command += ["-kernel", str(self.kernel), "-append", self.append]
        if self.initrd:
            command += ["-initrd", str(self.initrd)]
        return command

    def pyemu(self) -> list[str]:
        """Arguments of `pyemu boot`."""
        arguments = ["boot", "--mem", self.memory, "--smp", str(self.cpus)]
        if self.timing != "off":
            arguments += ["--timing", self.timing]
        if self.flash:
            arguments += ["--flash", str(self.flash)]
        if self.kernel:
            arguments += [str(self.kernel), "--append", self.append]
        if self.initrd:
            arguments += ["--initrd", str(self.initrd)]
        return arguments


class NoAnswer(Exception):
    """The guest did not print what was waited for; the text holds the end of its console."""


class Conversation:
    """Talks to a guest over pipes, keeping its console."""

    def __init__(self, output: IO[bytes], input: IO[bytes], timeout: float) -> None:
        self.output, self.input = output, input
        self.deadline = time.monotonic() + timeout
        self.console = ""
        self.read_to = 0
        self.selector = selectors.DefaultSelector()
        self.selector.register(output, selectors.EVENT_READ)

    def _more(self) -> bool:
        left = self.deadline - time.monotonic()
        if left <= 0 or not self.selector.select(left):
            raise NoAnswer(f"nothing more within the time limit after:\n{self.console[-2000:]}")
        chunk = os.read(self.output.fileno(), 65536)
        self.console += chunk.decode(errors="replace")
        return bool(chunk)

    def expect(self, pattern: str) -> None:
        while (found := re.compile(pattern).search(self.console, self.read_to)) is None:
            if not self._more():
                raise NoAnswer(f"the guest ended before {pattern!r}:\n{self.console[-2000:]}")
        self.read_to = found.end()

    def send(self, line: str) -> None:
        self.input.write(line.encode() + b"\n")
        self.input.flush()

    def rest(self) -> None:
        while self._more():
            pass


def converse(command: Sequence[str], dialogue: Dialogue, timeout: float = 120) -> str:
    """Runs a machine whose console is its standard input and output until it ends; returns the console."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as machine:
        try:
            assert machine.stdin is not None
            assert machine.stdout is not None
            talk = Conversation(machine.stdout, machine.stdin, timeout)
            for pattern, line in dialogue:
                talk.expect(pattern)
                talk.send(line)
            talk.rest()
            return talk.console
        finally:
            machine.kill()


def answers(console: str, prompt: str) -> dict[str, str]:
    """What the guest printed after each command line, by command: the text between two prompts."""
    parts = console.replace("\r", "").replace("\x1b[6n", "").split(prompt)[1:]
    found = {}
    for part in parts:
        command, _, answer = part.partition("\n")
        found[command.strip()] = answer.strip()
    return found


def meminfo(text: str) -> dict[str, int]:
    """/proc/meminfo as kB by name."""
    return {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
