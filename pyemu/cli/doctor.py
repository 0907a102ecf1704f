"""``pyemu doctor``: is everything here that pyemu needs, and does it work?"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Callable

SUMMARY = "check the installation"
DESCRIPTION = (
    "Check each necessary part, a few ARM instructions on their own page tables, and optional tools."
)
EPILOG = "exit status: 0 when everything necessary is there and works, 1 otherwise"

MIN_PYTHON = (3, 10)
PACKAGES = (("unicorn", "2.1.4"), ("capstone", "5."), ("cffi", ""), ("pyelftools", ""), ("rich", ""))
TOOLS = (
    ("arm-none-eabi-gcc", "gcc-arm-none-eabi", "rebuilds the firmware"),
    ("qemu-system-arm", "qemu-system-arm", "the peer of the benchmarks"),
    ("gdb-multiarch", "gdb-multiarch", "debugs guests"),
    ("dtc", "device-tree-compiler", "compiles device trees for --dtb"),
)

# Turns the MMU on with short descriptors and loads a word through a section.
SELF_TEST = (
    0xEE020F10,  # mcr p15, 0, r0, c2, c0, 0   TTBR0
    0xE3A01001,  # mov r1, #1
    0xEE031F10,  # mcr p15, 0, r1, c3, c0, 0   DACR: domain 0 client
    0xEE112F10,  # mrc p15, 0, r2, c1, c0, 0   SCTLR
    0xE3822001,  # orr r2, r2, #1
    0xEE012F10,  # mcr p15, 0, r2, c1, c0, 0   M = 1
    0xF57FF06F,  # isb
    0xE5943000,  # ldr r3, [r4]
    0xEAFFFFFE,  # b .
)
SECTION = 0xC02  # section, AP 11: full access


class Failure(Exception):
    """Something necessary is missing or broken; the text says what helps."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options."""


def run(args: argparse.Namespace) -> int:
    """Print one line a check."""
    import shutil

    checks: list[tuple[str, Callable[[], str]]] = [
        ("Python", _check_python),
        *((name, lambda name=name, want=want: _check_package(name, want)) for name, want in PACKAGES),
        ("C core", _check_core),
        ("engine", _check_engine),
        ("self-test", _check_machine),
    ]
    broken = 0
    for name, check in checks:
        try:
            print(f"ok       {name}: {check()}")
        except Failure as failure:
            broken += 1
            print(f"BROKEN   {name}: {failure}")
    for tool, package, use in TOOLS:
        path = shutil.which(tool)
        if path:
            print(f"ok       {tool}: {path}")
        else:
            print(f"missing  {tool}: {use}; optional (Debian: apt install {package})")
    print("pyemu is ready" if not broken else f"pyemu is not ready: {broken} of {len(checks)} checks failed")
    return 1 if broken else 0


def _check_python() -> str:
    if sys.version_info < MIN_PYTHON:
        raise Failure(
            f"{sys.version.split()[0]} is too old: {'.'.join(map(str, MIN_PYTHON))} or newer is needed"
        )
    return sys.version.split()[0]


def _check_package(name: str, want: str) -> str:
    from importlib import metadata

    try:
        have = metadata.version(name)
    except metadata.PackageNotFoundError:
        raise Failure(f"not installed: pip install '{name}{_requirement(want)}'") from None
    if not have.startswith(want):
        raise Failure(f"version {have} does not fit: pip install '{name}{_requirement(want)}'")
    return have


def _requirement(want: str) -> str:
    return f"=={want}*" if want.endswith(".") else f"=={want}" if want else ""


def _check_core() -> str:
    try:
        import pyemu.native
    except (ImportError, OSError) as error:
        raise Failure(f"{error}; build it with: pip install --force-reinstall pyemu-armv7") from None
    path = pyemu.native._native.__file__
    return str(path)


def _check_engine() -> str:
    try:
        from pyemu.native import NativeError, check, error, ffi, lib
    except (ImportError, OSError):
        raise Failure("the C core does not load") from None
    text, err = ffi.new("char[]", 1024), error()
    try:
        check(lib.pe_engine_describe(text, 1024, err), err)
    except NativeError as problem:
        raise Failure(str(problem)) from None
    return str(ffi.string(text).decode(errors="replace"))


def _check_machine() -> str:
    try:
        from pyemu.config import MIN_MEMORY_BYTES, MachineConfig
        from pyemu.machine import Machine, board
        from pyemu.native import NativeError
    except (ImportError, OSError):
        raise Failure("the C core does not load") from None
    code, table, data = board.RAM_BASE, board.RAM_BASE + 0x4000, board.RAM_BASE + 0x10_0000
    window, word = 0x1230_0000, 0x600D_F00D
    try:
        with Machine(MachineConfig(memory_bytes=MIN_MEMORY_BYTES)) as machine:
            machine.write_phys(code, struct.pack(f"<{len(SELF_TEST)}I", *SELF_TEST))
            machine.write_phys(data, struct.pack("<I", word))
            for va, pa in ((code, code), (window, data)):
                machine.write_phys(table + 4 * (va >> 20), struct.pack("<I", pa | SECTION))
            machine.reset(code, {"r0": table, "r4": window})
            stop = machine.run(max_insns=len(SELF_TEST))
            loaded, walks = machine.reg("r3"), machine.stats().walks
    except NativeError as problem:
        raise Failure(str(problem)) from None
    if loaded != word or not walks:
        raise Failure(
            f"a load through a page table gave {loaded:#x} instead of {word:#x} after {walks} walks"
        )
    return f"{stop.insns} ARM instructions on their own page tables, {walks} walks"
