"""How kernels read gradients where they write nothing to them: the norm, and the look for what is not finite."""

from __future__ import annotations

__all__ = ["BLOCK_OF_TURN", "PLACES"]

PLACES = 4
"""Places of a row that are read in turns: a core reads one stream more slowly than several. In turns within one run, 64 million float32,
Numba, two threads of an AMD Zen 3, of the time with one place, two runs: squares from two 0.63 and 0.67, four 0.66 and 0.74, eight 0.91
and 0.94; the look for what is not finite 0.83 and 0.81, 0.81 and 0.72, 0.78 and 0.75. 4 million, in the caches: 0.92, 0.93, 1.02; 0.78,
0.64, 0.60."""

BLOCK_OF_TURN = f"turn % {PLACES} * each + turn // {PLACES} if turn < {PLACES} * each else turn"
"""Which block of 256 elements is looked at when, of `each` in every place and some that are left; sums of blocks are of no order."""
