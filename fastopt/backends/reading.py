"""How kernels look through gradients for what is not finite: at several places of a row side by side."""

from __future__ import annotations

__all__ = ["PLACES"]

PLACES = 4
"""A core may read one stream more slowly than several. In turns within one run, Numba, two threads of an AMD Zen 3, of the time with one
place: 64 million float32 from two 0.83 and 0.81, four 0.81 and 0.72, eight 0.78 and 0.75; 4 million, in the caches, 0.78, 0.64, 0.60. On an
AMD Zen 5, 64 million, from two, four and eight: 1.01, 1.08, 1.01. Squares, which are summed a block of 256 at a time, are read in order."""
