"""Where random guests lie, and what they load into registers."""

from __future__ import annotations

import random

BLOB_BYTES = 4096
RAM = 0x4000_0000
RAM_BYTES = 16 << 20
LOAD = RAM + 0x8000

PLACES = (LOAD, LOAD, LOAD, 0, RAM, RAM + RAM_BYTES - BLOB_BYTES)
DEVICES = (
    0x0800_0000,  # GIC distributor
    0x0801_0000,  # GIC CPU interface
    0x0802_0000,  # GICv2m
    0x0900_0000,  # PL011
    0x0901_0000,  # PL031
    0x0902_0000,  # fw_cfg
    0x0903_0000,  # PL061
    0x0A00_0000,  # virtio-mmio
    0x1000_0000,  # PCIe window
    0x3F00_0000,  # PCIe configuration
    0x0000_0000,  # flash: stores are commands
    0x0400_0000,
)


def address(rng: random.Random) -> int:
    """Something that a guest might take for an address."""
    kind = rng.randrange(10)
    if kind < 3:
        return LOAD + rng.randrange(BLOB_BYTES)
    if kind < 5:
        return RAM + rng.randrange(RAM_BYTES)
    if kind < 8:
        return rng.choice(DEVICES) + rng.randrange(rng.choice((0x40, 0x1000, 0x10000)))
    return rng.choice((0, 4, 0xFFFF_FFFC, 0xFFFF_FFFF, RAM + RAM_BYTES - 2, RAM - 1, rng.getrandbits(32)))


def value(rng: random.Random) -> int:
    """A register's value: an address, a small number, a pattern, noise."""
    kind = rng.randrange(6)
    if kind < 2:
        return address(rng)
    if kind == 2:
        return rng.randrange(256)
    if kind == 3:
        return rng.choice((0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x5555_5555, 1 << rng.randrange(32)))
    return rng.getrandbits(32)
