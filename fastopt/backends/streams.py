"""How kernels read gradients where they write nothing to them: the norm, and the look for what is not finite."""

from __future__ import annotations

__all__ = ["BLOCK_OF_TURN", "STREAMS"]

STREAMS = 4
"""Places of a row that are read in turns: one stream is read more slowly than several. Sums of squares over 64 million elements, two
cores of an AMD Zen 3: 15.8 GB/s from one place, 18.7 from two, 19.8 from four, 14.3 from eight, the best of twelve rounds in turns."""

BLOCK_OF_TURN = f"turn % {STREAMS} * each + turn // {STREAMS} if turn < {STREAMS} * each else turn"
"""Which block of 256 elements is looked at when, of `each` in every place and some that are left; sums of blocks are of no order."""
