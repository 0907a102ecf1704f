"""cffi build script: compiles csrc/ into ``pyemu.native._native`` (API mode, stable ABI).

The declarations that cffi needs are csrc/pyemu.h and what it includes.  Headers of unicorn and capstone come
from their wheels; their libraries are not linked but found in the running process (csrc/machine/engine.c).
``PYEMU_SANITIZE=1`` builds with AddressSanitizer and UndefinedBehaviorSanitizer.
"""

import importlib.util
import os
import re
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"


def headers(path: Path, read: set[Path]) -> str:
    """A header with each header of the ABI that it includes in place of the line, once."""
    read.add(path)
    parts = []
    for line in path.read_text().splitlines():
        found = re.fullmatch(r'#include "(abi/.+)"', line)
        if found is None:
            parts.append(line)
        elif CSRC / found[1] not in read:
            parts.append(headers(CSRC / found[1], read))
    return "\n".join(parts)


def declarations() -> str:
    """pyemu.h without what cffi's parser does not take: preprocessor lines other than integer #defines."""
    text = re.sub(r"/\*.*?\*/", "", headers(CSRC / "pyemu.h", set()), flags=re.S)
    keep = re.compile(r"#define\s+PE_\w+\s+(0x[0-9a-fA-F]+|\d+)\s*$")
    return "\n".join(line for line in text.splitlines() if not line.startswith("#") or keep.match(line))


def wheel_include(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"pyemu: the Python package {package} is needed to build (pip install {package})")
    return str(Path(spec.origin).parent / "include")


CFLAGS = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-fvisibility=hidden", "-D_GNU_SOURCE"]
if os.environ.get("PYEMU_SANITIZE"):
    CFLAGS += ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    CFLAGS += ["-fno-omit-frame-pointer"]
    LDFLAGS = ["-fsanitize=address,undefined"]
else:
    CFLAGS += ["-O3", "-g"]
    LDFLAGS = []

INCLUDE = ["csrc", wheel_include("unicorn"), wheel_include("capstone")]

ffibuilder = FFI()
ffibuilder.cdef(declarations())
ffibuilder.set_source(
    "pyemu.native._native",
    '#pragma GCC diagnostic ignored "-Wconversion"\n#include "pyemu.h"\n',
    sources=sorted(os.path.relpath(p, ROOT) for p in CSRC.rglob("*.c")),
    depends=sorted(os.path.relpath(p, ROOT) for p in CSRC.rglob("*.h")),
    include_dirs=INCLUDE,
    extra_compile_args=CFLAGS,
    extra_link_args=LDFLAGS,
    libraries=["dl"],
)

if __name__ == "__main__":  # the compiler's view of csrc/, for `make lint`
    print(*CFLAGS, *(f"-I{path}" for path in INCLUDE))
