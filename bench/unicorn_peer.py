"""The guest loops' peer: the same ELF on bare Unicorn, which walks the guest's tables with its own MMU."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import unicorn as unicorn_package
from elftools.elf.elffile import ELFFile
from unicorn import arm_const as arm

# The binding has no type information.
unicorn: Any = unicorn_package

RAM_BASE, RAM_BYTES = 0x4000_0000, 512 << 20
MODE_MASK, MODE_ABT, MASK_IRQ, THUMB = 0x1F, 0x17, 0x80, 0x20
VECTOR_DATA_ABORT = 0x10


class BareUnicorn:
    """A Cortex-A15 with RAM and nothing else."""

    def __init__(self, elf: Path, words: dict[str, int]) -> None:
        """Loads `elf` and stores `words` at its symbols."""
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_ARM)
        self.uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_A15)
        self.uc.ctl_set_page_size(4096)
        self.uc.mem_map(RAM_BASE, RAM_BYTES)
        with elf.open("rb") as file:
            image = ELFFile(file)
            for segment in image.iter_segments("PT_LOAD"):
                self.uc.mem_write(segment["p_paddr"], segment.data())
            table: Any = image.get_section_by_name(".symtab")
            self.symbols = {symbol.name: symbol["st_value"] for symbol in table.iter_symbols()}
            self.pc = image["e_entry"]
        for name, value in words.items():
            self.uc.mem_write(self.symbols[name], value.to_bytes(4, "little"))

    def run(self, until: str) -> float:
        """Runs to a symbol; returns the CPU time in seconds."""
        end = self.symbols[until]
        began = time.process_time()
        while True:
            try:
                self.uc.emu_start(self.pc, end)
            except unicorn.UcError as stop:
                if stop.errno != unicorn.UC_ERR_EXCEPTION:
                    raise
                self._enter_data_abort()
                continue
            self.pc = self.uc.reg_read(arm.UC_ARM_REG_PC)
            assert self.pc == end, f"stopped at {self.pc:#x}"
            return time.process_time() - began

    def _enter_data_abort(self) -> None:
        """What a user of bare Unicorn writes: the exception entry of ARM DDI 0406C B1.9.8, in Python."""
        read, write = self.uc.reg_read, self.uc.reg_write
        pc, cpsr = read(arm.UC_ARM_REG_PC), read(arm.UC_ARM_REG_CPSR)
        vbar = read(arm.UC_ARM_REG_CP_REG, (15, 0, 0, 12, 0, 0, 0))
        write(arm.UC_ARM_REG_CPSR, cpsr & ~(MODE_MASK | THUMB) | MODE_ABT | MASK_IRQ)
        write(arm.UC_ARM_REG_SPSR, cpsr)
        write(arm.UC_ARM_REG_LR, pc + 8)
        self.pc = vbar + VECTOR_DATA_ABORT

    def word(self, symbol: str) -> int:
        return int.from_bytes(self.uc.mem_read(self.symbols[symbol], 4), "little")
