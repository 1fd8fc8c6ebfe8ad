"""`fastopt bench --device cuda`: the update step on a GPU, in one process, without pytest.

    clock       seconds of a block of steps: the device's by CUDA events, the host's to the end, the host's to hand over
    sources     who makes the arrays: PyTorch, CuPy, JAX or fastopt itself
    copying     the copy that a step is measured against
    contenders  fastopt and the systems that people use on a GPU, each making the same Adam step
    graphs      a step in a CUDA graph, fastopt's and PyTorch's
    profiles    what is measured, and how long
    run         rounds: cells into rows, rows into the record
    card        the GPU in the record
    tables, plots, page     the record into a report

Rows, ratios and the record's form are those of the benchmark on the CPU (`interleave`, `records`).
"""

from .run import bench

__all__ = ["bench"]
