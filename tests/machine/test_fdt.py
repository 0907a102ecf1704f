"""Device tree blobs: written so that dtc agrees, read without trust."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyemu.config import GIB, MIB, MachineConfig, UserError
from pyemu.machine import devicetree
from pyemu.machine.devicetree import TreeOptions
from pyemu.machine.fdt import Node, Tree, cells, encode
from pyemu.machine.loaders.dtb import make_tree
from pyemu.machine.loaders.plan import LoadOptions
from tests.conftest import need_tool

EVERYTHING = TreeOptions(all_timers=True, gpio=True, virtio=True)


def blob(config: MachineConfig | None = None, options: TreeOptions | None = None) -> bytes:
    return devicetree.build(config or MachineConfig(), options or TreeOptions()).to_bytes()


@pytest.mark.parametrize("options", [TreeOptions(), EVERYTHING, TreeOptions(gpio=False)])
@pytest.mark.parametrize("config", [MachineConfig(), MachineConfig(64 * GIB, "cortex-a7", 8)])
def test_dtc_takes_the_tree_without_a_warning(
    config: MachineConfig, options: TreeOptions, tmp_path: Path
) -> None:
    need_tool("dtc", "device-tree-compiler")
    tree = devicetree.build(config, options)
    devicetree.set_boot(tree, config, "console=ttyAMA0", (0x4800_0000, 0x4810_0000))
    path = tmp_path / "virt.dtb"
    path.write_bytes(tree.to_bytes())
    done = subprocess.run(
        ["dtc", "-I", "dtb", "-O", "dts", path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert 'bootargs = "console=ttyAMA0"' in done.stdout


def test_dtc_writes_what_the_reader_understands(tmp_path: Path) -> None:
    need_tool("dtc", "device-tree-compiler")
    source = "/dts-v1/; /memreserve/ 0x1000 0x2000;"
    source += '/ { a = "x", "yz"; b = <1 2>; empty; n@1 { reg = <1>; deep { }; }; };'
    path = tmp_path / "a.dtb"
    subprocess.run(["dtc", "-q", "-O", "dtb", "-o", path], input=source.encode(), check=True)
    tree = Tree.from_bytes(path.read_bytes())
    assert tree.reservations == [(0x1000, 0x2000)]
    assert tree.root.properties == {"a": b"x\0yz\0", "b": b"\0\0\0\1\0\0\0\2", "empty": b""}
    assert [node.name for node in tree.root.walk()] == ["", "n@1", "deep"]


def test_a_tree_reads_back_as_it_was_written() -> None:
    data = blob(MachineConfig(16 * GIB, smp=4), EVERYTHING)
    assert Tree.from_bytes(data).to_bytes() == data


def test_the_tree_describes_the_machine() -> None:
    root = devicetree.build(MachineConfig(16 * GIB, "cortex-a7", 3), TreeOptions()).root
    memory, cpus, timer = (root.child(name) for name in ("memory@40000000", "cpus", "timer"))
    assert memory is not None
    assert cpus is not None
    assert timer is not None
    assert memory.properties["reg"] == struct.pack(">QQ", 0x4000_0000, 16 * GIB)
    assert [cpu.text("compatible") for cpu in cpus.children] == ["arm,cortex-a7"] * 3
    # PPI 13 and 14 only: with these Linux takes the physical timer.
    assert timer.properties["interrupts"] == encode([1, 13, 0x704, 1, 14, 0x704])
    assert not any("seed" in name for node in root.walk() for name in node.properties)


def test_cells_hold_the_value_or_refuse_it() -> None:
    assert cells(0x1_2345_6789, 2) == [1, 0x2345_6789]
    with pytest.raises(ValueError):
        cells(1 << 32, 1)


# ---- a user's blob ----


def own_tree(address_cells: int, size_cells: int) -> bytes:
    root = Node("").set({"#address-cells": address_cells, "#size-cells": size_cells, "model": "mine"})
    root.add("memory@0", {"device_type": "memory", "reg": [0] * (address_cells + size_cells)})
    root.add("memory@80000000", {"device_type": "memory"})
    root.add("chosen", {"bootargs": "mine"})
    return Tree(root).to_bytes()


def test_memory_command_line_and_initrd_of_a_users_tree_are_set() -> None:
    config = MachineConfig(512 * MIB)
    options = LoadOptions(dtb=own_tree(1, 1), append="quiet")
    root = Tree.from_bytes(make_tree(config, options, (0x4800_0000, 0x4800_1000))).root
    chosen = root.child("chosen")
    assert chosen is not None
    assert [node.properties["reg"] for node in root.children if node.text("device_type") == "memory"] == [
        encode([0x4000_0000, 512 * MIB])
    ]
    assert chosen.text("bootargs") == "quiet"
    assert (chosen.u32("linux,initrd-start", 0), chosen.u32("linux,initrd-end", 0)) == (
        0x4800_0000,
        0x4800_1000,
    )
    assert root.text("model") == "mine"


def test_a_users_command_line_stays_without_another() -> None:
    root = Tree.from_bytes(make_tree(MachineConfig(), LoadOptions(dtb=own_tree(2, 2)))).root
    chosen = root.child("chosen")
    assert chosen is not None
    assert chosen.text("bootargs") == "mine"


def test_a_tree_whose_cells_cannot_hold_the_memory_is_refused() -> None:
    with pytest.raises(UserError, match="#address-cells and #size-cells of 2"):
        make_tree(MachineConfig(16 * GIB), LoadOptions(dtb=own_tree(1, 1)))
    with pytest.raises(UserError, match="must be 1 or 2"):
        make_tree(MachineConfig(), LoadOptions(dtb=own_tree(3, 2)))


# ---- damaged blobs ----


def with_word(data: bytes, offset: int, value: int) -> bytes:
    return data[:offset] + struct.pack(">I", value) + data[offset + 4 :]


DAMAGE = [
    (b"", "header of 40 bytes"),
    (b"\0" * 64, "not a device tree blob"),
    (b"/dts-v1/;\n/ { };" + b" " * 40, "compile the source with dtc"),
    (blob()[:100], "truncated"),
    (with_word(blob(), 4, 1 << 31), "truncated"),
    (with_word(blob(), 8, 0xFFFFFFF0), "outside the blob"),
    (with_word(blob(), 12, 0x7FFFFFFF), "outside the blob"),
    (with_word(blob(), 16, 3), "reservation block"),
    (with_word(blob(), 20, 3), "version 3"),
    (with_word(blob(), 36, 8), "bad structure"),
    (with_word(blob(), 0x38, 7), "unknown token 0x7"),
    (with_word(blob(), 0x38, 2), "never began"),
    (with_word(blob(), 0x38, 9), "no root node"),
    (with_word(blob(), 0x38, 3), "outside every node"),
    (with_word(blob(), 0x44, 0xFFFFFFFF), "leaves the block"),
    (with_word(blob(), 0x48, 0xFFFFFF), "a name without an end"),
]


@pytest.mark.parametrize(("data", "part"), DAMAGE)
def test_a_damaged_blob_is_one_line_that_says_where(data: bytes, part: str) -> None:
    with pytest.raises(UserError, match=part) as caught:
        Tree.from_bytes(data)
    assert "\n" not in str(caught.value)


def test_nodes_nested_without_end_are_refused() -> None:
    body = struct.pack(">I", 1) + b"\0\0\0\0"
    structure = body * 100_000
    header = struct.pack(
        ">10I", 0xD00DFEED, 56 + len(structure), 56, 56 + len(structure), 40, 17, 16, 0, 0, len(structure)
    )
    with pytest.raises(UserError, match="deeper"):
        Tree.from_bytes(header + bytes(16) + structure)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_change_to_a_blob_gives_a_tree_or_one_line(data: st.DataObject) -> None:
    original = bytearray(blob())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(original) - 1))
        original[at] = data.draw(st.integers(0, 255))
    message = ""
    try:
        tree = Tree.from_bytes(bytes(original))
        devicetree.set_boot(tree, MachineConfig(), "x", None)
        Tree.from_bytes(tree.to_bytes())
    except UserError as error:
        message = str(error)
    assert "\n" not in message
