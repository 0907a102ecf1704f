"""One experiment over many kernels: what PTE pages in highmem cost and save, and what breaks."""

from pyemu.lab.sweep.plan import Job, Plan
from pyemu.lab.sweep.rows import GupRow, Row, TablesRow
from pyemu.lab.sweep.run import run_sweep

__all__ = ["GupRow", "Job", "Plan", "Row", "TablesRow", "run_sweep"]
