"""What is known of a Linux guest from its memory alone: its layout, software bits, symbols."""

from pyemu.debug.linux.kallsyms import GuestSymbols, Kallsyms, find_kallsyms
from pyemu.debug.linux.layout import (
    LINUX_COPY,
    LinuxLayout,
    SoftwareBits,
    linux_layout,
    software_bits,
    undenied,
    user_closed,
    user_opened,
)

__all__ = [
    "LINUX_COPY",
    "GuestSymbols",
    "Kallsyms",
    "LinuxLayout",
    "SoftwareBits",
    "find_kallsyms",
    "linux_layout",
    "software_bits",
    "undenied",
    "user_closed",
    "user_opened",
]
