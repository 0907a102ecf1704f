"""The laboratory: micro-benchmarks under the cycle model, their curves, and what was published."""
