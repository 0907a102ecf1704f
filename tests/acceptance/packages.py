"""Fetches Debian packages of the guest's architecture (armhf) into a cache and unpacks them.

The host stays as it is: apt runs with lists, cache and status of its own below the cache directory, for the
guest's architecture only, and takes no more from the host than its package sources, keys and proxy.  Packages
are unpacked, never installed.

    python -m tests.acceptance.packages        fetches everything and prints where it is
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ARCHITECTURE = "armhf"


class Unavailable(Exception):
    """A package cannot be had on this machine; the text says why."""


def cache_directory() -> Path:
    """$PYEMU_CACHE, else ~/.cache/pyemu (honours $XDG_CACHE_HOME)."""
    if chosen := os.environ.get("PYEMU_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyemu"


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[Path]:
    """Holds the directory against other processes: two test runs share one cache."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield directory


class Apt:
    """apt with a state of its own below `directory`, for `architecture`."""

    def __init__(self, directory: Path, architecture: str = ARCHITECTURE) -> None:
        for tool, package in (("apt-get", "apt"), ("dpkg", "dpkg")):
            if shutil.which(tool) is None:
                raise Unavailable(f"{tool} is needed to fetch Debian packages (package {package})")
        self.directory = directory
        for part in ("state/lists/partial", "cache/archives/partial"):
            (directory / part).mkdir(parents=True, exist_ok=True)
        (directory / "state/status").touch()
        config = directory / "apt.conf"
        config.write_text(
            f'Dir::State "{directory}/state";\n'
            f'Dir::State::status "{directory}/state/status";\n'
            f'Dir::Cache "{directory}/cache";\n'
            f'APT::Architecture "{architecture}";\n'
            f'APT::Architectures {{ "{architecture}"; }};\n'
            'APT::Sandbox::User "root";\n'
            'Acquire::Languages "none";\n'
            'Acquire::Retries "3";\n'
        )
        self.environment = {**os.environ, "APT_CONFIG": str(config), "LC_ALL": "C.UTF-8"}

    def _run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=cwd, env=self.environment, capture_output=True, text=True, check=False
        )

    def _ask(self, *command: str) -> str:
        return self._run(*command).stdout

    def update(self) -> str:
        """Fetches the package lists.  A source that fails is no error; a package that is missing then is."""
        return self._run("apt-get", "-q", "update").stderr.strip()

    def dependencies(self, package: str) -> list[str]:
        return re.findall(r"^\s+Depends: (\S+)", self._ask("apt-cache", "depends", package), re.M)

    def version(self, package: str) -> str | None:
        """The candidate's version, or None for a package that the lists do not name."""
        found = re.search(r"^\s+Candidate: (\S+)", self._ask("apt-cache", "policy", package), re.M)
        return None if found is None or found[1] == "(none)" else found[1]

    def download(self, package: str, into: Path) -> Path:
        done = self._run("apt-get", "-q", "download", package, cwd=into)
        debs = sorted(into.glob("*.deb"))
        if done.returncode or len(debs) != 1:
            raise Unavailable(f"apt-get download {package} failed: {done.stderr.strip() or 'no file'}")
        return debs[0]


class Packages:
    """Unpacked packages in the cache.  What is there is used as it is; delete the directory to fetch anew."""

    def __init__(self, cache: Path | None = None) -> None:
        self.root = (cache or cache_directory()) / "packages"
        self._apt: Apt | None = None

    def _fresh_apt(self) -> Apt:
        """apt with its lists fetched, at most once a session."""
        if self._apt is None:
            self._apt = Apt(self.root / "apt")
            self._update_messages = self._apt.update()
        return self._apt

    def unpacked(self, package: str, wanted: str) -> Path:
        """The directory with the package's files below `wanted` (e.g. "boot"); fetches what is not there."""
        with locked(self.root):
            target = self.root / package
            if not target.exists():
                self._fetch(package, wanted, target)
            return target

    def _fetch(self, package: str, wanted: str, target: Path) -> None:
        apt = self._fresh_apt()
        if apt.version(package) is None:
            why = self._update_messages.splitlines()[-1:] or ["not in the package lists"]
            raise Unavailable(f"no package {package} for {ARCHITECTURE}: {why[0]}")
        with tempfile.TemporaryDirectory(dir=self.root) as scratch:
            deb = apt.download(package, Path(scratch))
            tree = Path(scratch) / "tree"
            subprocess.run(["dpkg", "-x", str(deb), str(tree)], check=True)
            if not (tree / wanted).is_dir():
                raise Unavailable(f"{deb.name} holds no {wanted}/")
            part = Path(scratch) / "part" / wanted
            part.parent.mkdir(parents=True)
            (tree / wanted).rename(part)
            (Path(scratch) / "part" / "package").write_text(deb.name + "\n")
            (Path(scratch) / "part").rename(target)

    def kernel(self, flavour: str) -> Path:
        """The zImage of Debian's current kernel of a flavour: "armmp", "armmp-lpae" or "rt-armmp"."""
        with locked(self.root):
            link = self.root / f"linux-image-{flavour}"
            if not link.is_symlink():
                names = self._fresh_apt().dependencies(link.name)
                if len(names) != 1:
                    raise Unavailable(f"{link.name} names no kernel: {self._update_messages or names}")
                link.symlink_to(names[0])
        tree = self.unpacked(os.readlink(link), "boot")
        images = sorted((tree / "boot").glob("vmlinuz-*"))
        if len(images) != 1:
            raise Unavailable(f"{tree} holds {len(images)} kernels, not one")
        return images[0]

    def busybox(self) -> Path:
        return self.unpacked("busybox-static", "bin") / "bin/busybox"

    def u_boot(self) -> Path:
        """U-Boot for QEMU's virt board, 32 bits: an image for flash bank 0."""
        return self.unpacked("u-boot-qemu", "usr/lib/u-boot/qemu_arm") / "usr/lib/u-boot/qemu_arm/u-boot.bin"


KERNELS = ("armmp-lpae", "armmp", "rt-armmp")


def main() -> int:
    from tests.acceptance.initramfs import initramfs

    packages = Packages()
    try:
        for flavour in KERNELS:
            print(packages.kernel(flavour))
        print(packages.u_boot())
        print(initramfs(packages))
    except Unavailable as why:
        print(f"packages: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
