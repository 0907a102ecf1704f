"""Builds the guest's initramfs: a static busybox and an /init that gives a shell on the console."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from tests.acceptance.packages import Packages, locked

PROMPT = "guest# "

INIT = f"""#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
hostname guest
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/ TERM=dumb PS1='{PROMPT}'
stty -F /dev/ttyAMA0 rows 24 cols 200
echo "init: up"
while :; do
    setsid sh -c 'exec sh -i </dev/ttyAMA0 >/dev/ttyAMA0 2>&1'
done
"""

# fill-tmpfs N: writes N files of FILE_SIZE bytes to a tmpfs and prints each one's checksum when read back.
FILE_SIZE = 16 << 20
TURN = 64 << 10
FILL_TMPFS = f"""#!/bin/sh
mount -t tmpfs -o size=90% big /tmp
cd /tmp
for i in $(seq 20); do cat /bin/busybox; done | head -c {FILE_SIZE} >pattern
for i in $(seq $1); do
    {{ dd if=pattern bs={TURN} skip=$i; dd if=pattern bs={TURN} count=$i; }} 2>/dev/null >$i
done
rm pattern
du -k .
for i in $(seq $1); do md5sum $i; done
"""


def filled(busybox: bytes, index: int) -> bytes:
    """Content of fill-tmpfs's file `index`: busybox over and over, turned by `index` times 64 KB.

    busybox is not a whole number of pages long, so that no two pages are equal, neither inside a file nor at
    the same place of two files: a page that lands in another's frame changes a checksum.
    """
    pattern = (busybox * (FILE_SIZE // len(busybox) + 1))[:FILE_SIZE]
    return pattern[index * TURN :] + pattern[: index * TURN]


# rdinit=/boot-only: for measuring how long a boot takes.
BOOT_ONLY = """#!/bin/busybox sh
echo "init: up"
/bin/busybox poweroff -f
"""

DIRECTORIES = ("bin", "dev", "etc", "proc", "sbin", "sys", "tmp", "usr", "usr/bin", "usr/sbin")


def entries(busybox: bytes) -> Iterator[tuple[str, int, bytes, tuple[int, int]]]:
    """(path, mode, content, device number) of all that the archive holds."""
    for name in DIRECTORIES:
        yield name, stat.S_IFDIR | 0o755, b"", (0, 0)
    # The kernel opens /dev/console for init before anybody can mount devtmpfs.
    yield "dev/console", stat.S_IFCHR | 0o600, b"", (5, 1)
    yield "bin/busybox", stat.S_IFREG | 0o755, busybox, (0, 0)
    yield "bin/sh", stat.S_IFLNK | 0o777, b"busybox", (0, 0)
    for name, script in (("init", INIT), ("boot-only", BOOT_ONLY), ("bin/fill-tmpfs", FILL_TMPFS)):
        yield name, stat.S_IFREG | 0o755, script.encode(), (0, 0)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def newc(files: Iterator[tuple[str, int, bytes, tuple[int, int]]]) -> bytes:
    """A cpio archive in "new ASCII" format (Linux, driver-api/early-userspace/buffer-format.rst).

    Owner and time stamps are zero: equal input gives equal bytes.
    """
    out = bytearray()

    def put(inode: int, name: str, mode: int, content: bytes, device: tuple[int, int]) -> None:
        links = 2 if stat.S_ISDIR(mode) else 1
        path = name.encode() + b"\0"
        fields = (inode, mode, 0, 0, links, 0, len(content), 0, 0, *device, len(path), 0)
        out.extend(padded(b"070701" + b"".join(b"%08X" % field for field in fields) + path))
        out.extend(padded(content))

    for inode, (name, mode, content, device) in enumerate(files, 1):
        put(inode, name, mode, content, device)
    put(0, "TRAILER!!!", 0, b"", (0, 0))
    return bytes(out)


def initramfs(packages: Packages) -> Path:
    """The archive in the cache; written anew when its content would change."""
    archive = newc(entries(packages.busybox().read_bytes()))
    path = packages.root / "initramfs.cpio"
    with locked(packages.root):
        if not path.exists() or path.read_bytes() != archive:
            scratch = path.with_suffix(".new")
            scratch.write_bytes(archive)
            scratch.rename(path)
    return path
