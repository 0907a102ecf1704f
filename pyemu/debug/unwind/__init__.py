"""Who called, and what an exception interrupted: by code, exception tables, frame pointers, LR."""

from __future__ import annotations

from pyemu.debug.unwind.walk import Frame, frames

__all__ = ["Frame", "frames"]
