"""Judges the C table walker against Unicorn's own MMU and the plain-Python reference, on random tables.

``python -m pyemu.mmu.check --count 10000000 --seed 1``.  The parts: ``world`` makes tables, registers and
addresses; ``oracle`` asks Unicorn; ``deviations`` names where Unicorn is known to differ from the
architecture; ``compare`` brings the three together.  numpy is needed (the ``test`` extra).
"""
