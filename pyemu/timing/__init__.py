"""What the cycle model is made of: parameters of cores."""

from pyemu.timing.cores import Core, Parameter, builtin_cores, load_cores, read_core

__all__ = ["Core", "Parameter", "builtin_cores", "load_cores", "read_core"]
