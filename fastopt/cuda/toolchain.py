"""numba-cuda, which makes PTX out of a kernel's source; no GPU is needed for it. The only file that imports `numba.cuda`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda, types
from numba.cuda.extending import intrinsic

__all__ = ["compile_to_ptx", "intrinsic"]


def compile_to_ptx(source: str, name: str, parameters: Sequence[np.dtype[Any]], capability: tuple[int, int], threads: int) -> str:
    """PTX of the function `name` of a source text, for a compute capability such as (9, 0).

    `parameters` are the types of its arguments; it may be launched with up to `threads` threads a block.
    """
    namespace: dict[str, Any] = {"__name__": f"fastopt_cuda_{name}"}
    exec(compile(source, f"<fastopt {name}>", "exec"), namespace)
    signature = tuple(getattr(types, parameter.name) for parameter in parameters)
    ptx, _ = cuda.compile(namespace[name], signature, device=False, abi="numba", cc=capability, output="ptx", launch_bounds=threads)
    return str(ptx)
