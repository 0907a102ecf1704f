"""Makes the snapshot of docs/cases/highmem-oops.md: Debian, at an oops on a user address.

    python -m tests.debug.oops oops.snap

The bug is put in from outside: version_proc_show gets a user address where its seq_file should be, as from a
driver that forgot copy_from_user.  The kernel's own fault handler does the rest.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pyemu.config import MachineConfig, parse_memory
from pyemu.machine import Machine
from pyemu.machine.loaders import Symbols
from tests.acceptance.guest import Guest
from tests.acceptance.initramfs import PROMPT, initramfs
from tests.acceptance.packages import Packages

FUNCTIONS = (
    "version_proc_show",
    "seq_printf",
    "seq_vprintf",
    "die",
    "show_pte",
    "die_kernel_fault",
    "do_page_fault",
)
POINTER = 0xC000  # below the program, in the same 2 MB: its PTE page exists, the PTE does not
LIMIT = 5_000_000_000


def make_snapshot(guest: Guest, path: Path) -> str:
    """Boot, go wrong, and save the machine where the kernel is about to die; returns its last words."""
    assert guest.kernel is not None
    assert guest.initrd is not None
    with Machine(MachineConfig(parse_memory(guest.memory))) as machine:
        machine.load(guest.kernel, initrd=guest.initrd.read_bytes(), append=guest.append)
        machine.run(until=PROMPT, max_insns=LIMIT)
        machine.console.read()
        names = " ".join(f"-e {name}" for name in FUNCTIONS)
        machine.console.write(f"grep -w {names} /proc/kallsyms\n".encode())
        machine.run(until=PROMPT, max_insns=LIMIT)
        listed = machine.console.read().decode()
        addresses = {name: int(value, 16) for value, name in re.findall(r"([0-9a-f]{8}) [tT] (\w+)", listed)}
        machine.console.write(b"cat /proc/version\n")
        machine.run(until=addresses["version_proc_show"], max_insns=LIMIT)
        machine.set_reg("r0", POINTER)
        machine.run(until=addresses["die"], max_insns=LIMIT)
        machine.symbols = Symbols.known(addresses)
        machine.snapshot(path)
        return machine.console.read().decode()


def main() -> int:
    packages = Packages()
    guest = Guest("1G", packages.kernel("armmp-lpae"), initramfs(packages), append="console=ttyAMA0")
    print(make_snapshot(guest, Path(sys.argv[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
