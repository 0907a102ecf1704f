"""What the cycle model is made of: parameters of cores, caches, blocks, branches, the ledger."""

from pyemu.timing.blocks import BlockCost, Blocks, Branch
from pyemu.timing.caches import Cache, CacheLevel, CacheOperation, Caches, CacheStats, CacheUse
from pyemu.timing.cores import Core, Parameter, builtin_cores, configured_core, load_cores, read_core
from pyemu.timing.events import PmuEvent
from pyemu.timing.ledger import Charge, Cost, Ledger
from pyemu.timing.predictor import Predictor, Taken

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
    "PmuEvent",
    "Predictor",
    "Taken",
    "builtin_cores",
    "configured_core",
    "load_cores",
    "read_core",
]
