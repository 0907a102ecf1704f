"""The files of a finished sweep: CSV, JSON, plots, and one page that shows them."""

from __future__ import annotations

import csv
import io
import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from html import escape
from pathlib import Path
from typing import Any

from pyemu.config import UserError, format_size
from pyemu.lab.sweep.answers import Answer, answers
from pyemu.lab.sweep.plan import Plan
from pyemu.lab.sweep.rows import GupRow, Row, TablesRow, row_as_dict

__all__ = ["write_sweep"]

_STYLE = """\
body { font: 15px/1.5 sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.5rem }
table { border-collapse: collapse; font-size: 13px; margin: 1rem 0 }
th, td { text-align: right; padding: .2rem .7rem; border-bottom: 1px solid #ddd; vertical-align: bottom }
th:first-child, td:first-child { text-align: left }
img { max-width: 100% }
footer { color: #666; font-size: 13px; margin-top: 3rem }
"""


def write_sweep(plan: Plan, rows: Sequence[Row], directory: Path, *, plots: bool = True) -> list[Path]:
    """Write gup.csv, tables.csv, sweep.json, the plots and index.html; returns their paths.

    Files but for ``host_pages_per_second`` are the same each time, whatever order the rows came in.
    """
    ordered = sorted(rows, key=lambda row: row.place)
    found = answers(ordered)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        paths = [
            _write_csv(directory / "gup.csv", GupRow, [row for row in ordered if isinstance(row, GupRow)]),
            _write_csv(
                directory / "tables.csv", TablesRow, [row for row in ordered if isinstance(row, TablesRow)]
            ),
        ]
        paths.append(
            _write(directory / "sweep.json", json.dumps(_as_dict(plan, ordered, found), indent=1) + "\n")
        )
        drawn: list[Path] = []
        if plots:
            from pyemu.lab.sweep.draw import draw_sweep

            drawn = draw_sweep(ordered, directory)
        paths += [*drawn, _write(directory / "index.html", _page(plan, ordered, found, drawn))]
    except OSError as problem:
        raise UserError(f"{problem.filename or directory}: {problem.strerror or problem}") from None
    return paths


def _write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def _write_csv(path: Path, kind: Any, rows: Iterable[Row]) -> Path:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(kind)]
    writer.writerow(names)
    for row in rows:
        writer.writerow(_cell(getattr(row, name)) for name in names)
    return _write(path, text.getvalue())


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return "; ".join(value) if isinstance(value, tuple) else value


def _as_dict(plan: Plan, rows: Sequence[Row], found: Sequence[Answer]) -> dict[str, Any]:
    return {
        "plan": plan.as_dict(),
        "answers": [asdict(answer) for answer in found],
        "rows": [row_as_dict(row) for row in rows],
    }


def _page(plan: Plan, rows: Sequence[Row], found: Sequence[Answer], drawn: Sequence[Path]) -> str:
    sizes = ", ".join(format_size(size) for size in sorted({row.memory_bytes for row in rows}))
    images = {path.stem: path for path in drawn if path.suffix == ".svg"}
    body = [
        "<h1>HIGHPTE on 32-bit ARM</h1>",
        f"<p>{len(rows)} measurements of kernel models with {escape(sizes)} of RAM; cycles are those of "
        f"{escape(plan.core)}, timing {plan.timing}.</p>",
    ]
    for answer in found:
        body.append(f"<h2>{escape(answer.question)}</h2>")
        body += [f"<p>{escape(text)}</p>" for text in answer.text]
        if answer.figure in images:
            body.append(_image(images[answer.figure], answer.question))
        body.append(_table(answer))
    body.append(
        "<footer>The figures are those of a model: instruction counts measured on a real kernel, cycles of "
        f"a core whose assumed parameters <code>pyemu cores {escape(plan.core)}</code> names. Rows: gup.csv, "
        "tables.csv, sweep.json.</footer>"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>HIGHPTE on 32-bit ARM</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _image(path: Path, text: str) -> str:
    """In the page itself, so that it can be sent as one file."""
    data = b64encode(path.read_bytes()).decode()
    return f'<img alt="{escape(text)}" src="data:image/svg+xml;base64,{data}">'


def _table(answer: Answer) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in answer.head)
    rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in answer.table)
    return "<table>\n" + "\n".join(f"<tr>{row}</tr>" for row in (head, *rows)) + "\n</table>"
