"""What the cycle model is made of: parameters of cores, caches."""

from pyemu.timing.caches import Cache, CacheLevel, CacheOperation, Caches, CacheStats, CacheUse
from pyemu.timing.cores import Core, Parameter, builtin_cores, load_cores, read_core

__all__ = [
    "Cache",
    "CacheLevel",
    "CacheOperation",
    "CacheStats",
    "CacheUse",
    "Caches",
    "Core",
    "Parameter",
    "builtin_cores",
    "load_cores",
    "read_core",
]
