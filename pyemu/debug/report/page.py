"""Puts the data into the page: HTML, style and program are files of this package, and become one."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyemu.debug.report.collect import collect
from pyemu.machine.output import whole_file

if TYPE_CHECKING:
    from pyemu.debug.session import Session

__all__ = ["render_page", "write_report"]


def render_page(data: dict[str, Any]) -> str:
    """The page of what :func:`~pyemu.debug.report.collect.collect` returned."""
    parts = {name: _part(f"report.{name}") for name in ("css", "js")}
    # Names in the data come from the guest: no text of theirs may end the element.
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")
    page = _part("report.html")
    for name, content in (("css", parts["css"]), ("js", parts["js"]), ("data", text)):
        page = page.replace(f"/*{name}*/", content)
    return page


def write_report(session: Session, path: str | Path) -> None:
    """Write the page of a session's current CPU. Raises :class:`~pyemu.config.UserError`."""
    page = render_page(collect(session)).encode()
    with whole_file(path, "the report") as file:
        file.write(page)


def _part(name: str) -> str:
    return (files("pyemu.debug") / "data" / name).read_text("utf-8")
