"""A guest's address space as one HTML file: a map to scale, tables, TLB, bill and findings."""

from pyemu.debug.report.page import render_page, write_report

__all__ = ["render_page", "write_report"]
