"""``pyemu kernel``: what a configuration makes of memory, after its boot."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pyemu.cli.kernel_options import HELP, add_kernel_options, kernel_config

if TYPE_CHECKING:
    from pyemu.kernel import Kernel, Range

SUMMARY = "layout, zones and free memory of a kernel after its boot"
DESCRIPTION = """\
Boot a model of the kernel and print
  layout       virtual areas, what the boot took from memory, which windows there are
  meminfo      /proc/meminfo
  zoneinfo     /proc/zoneinfo: watermarks, protection, counts
  buddyinfo    /proc/buddyinfo: free blocks by order
  pagetypes    /proc/pagetypeinfo: the same by migrate type
"""
EPILOG = f"""\
{HELP}

exit status: 0, or 2 for a kernel that Kconfig forbids

examples:
  pyemu kernel meminfo --mem 16G
  pyemu kernel layout --tables classic --vmsplit 3g_opt
  pyemu kernel zoneinfo --mem 4G --json
"""
VIEWS = ("layout", "meminfo", "zoneinfo", "buddyinfo", "pagetypes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which view of which kernel."""
    parser.add_argument("view", choices=VIEWS, metavar="VIEW", help=", ".join(VIEWS))
    add_kernel_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object: all views")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    from pyemu.kernel import Kernel, views

    with Kernel(kernel_config(args, functional=True)) as kernel:
        if args.json:
            print(json.dumps(_as_dict(kernel)))
        elif args.view == "layout":
            print("\n".join(_layout(kernel)))
        else:
            view = {"pagetypes": "pagetypeinfo"}.get(args.view, args.view)
            print(getattr(views, view)(kernel), end="")
    return 0


def _layout(kernel: Kernel) -> list[str]:
    lines = ["virtual"]
    lines += [_range_line(area, 8) for area in kernel.layout.areas]
    lines += ["physical"]
    lines += [_range_line(area, 10) for area in kernel.reservations]
    layout = kernel.layout
    lines += [
        f"lowmem {layout.lowmem_bytes >> 20} MB, highmem {layout.highmem_bytes >> 20} MB",
        f"mem_map {layout.mem_map_bytes >> 10} kB, {layout.struct_page_bytes} bytes a page",
        f"{layout.kmap_slots} kmap_local windows a CPU",
    ]
    return lines


def _range_line(area: Range, digits: int) -> str:
    ends = "-".join(f"0x{end:0{digits}x}" for end in (area.start, area.end))
    return f"  {ends} {area.size / 1024:>12,.0f} kB  {area.name}"


def _as_dict(kernel: Kernel) -> dict[str, Any]:
    from pyemu.kernel.memory import Zone

    return {
        "layout": {
            **asdict(kernel.layout),
            "areas": [asdict(area) for area in kernel.layout.areas],
            "reservations": [asdict(area) for area in kernel.reservations],
        },
        "meminfo_pages": asdict(kernel.meminfo),
        "zones": [asdict(kernel.zone(zone)) for zone in Zone],
    }
