"""What the cycle model is made of: parameters of cores, caches, blocks, the ledger."""

from pyemu.timing.blocks import BlockCost, Blocks, Branch
from pyemu.timing.caches import Cache, CacheLevel, CacheOperation, Caches, CacheStats, CacheUse
from pyemu.timing.cores import Core, Parameter, builtin_cores, load_cores, read_core
from pyemu.timing.ledger import Charge, Cost, Ledger

__all__ = [
    "BlockCost",
    "Blocks",
    "Branch",
    "Cache",
    "CacheLevel",
    "CacheOperation",
    "CacheStats",
    "CacheUse",
    "Caches",
    "Charge",
    "Core",
    "Cost",
    "Ledger",
    "Parameter",
    "builtin_cores",
    "load_cores",
    "read_core",
]
