"""`fastopt bench --device cuda`: the update step on a GPU, in one process, without pytest.

    clock       seconds of a block of steps: the device's by CUDA events, the host's to the end, the host's to hand over
    sources     arrays of fastopt's own, and giving memory back (the frameworks' are in bench.sources)
    copying     the copy that a step is measured against
    contenders  fastopt, and those of bench.peers that run on a GPU
    graphs      a step in a CUDA graph, fastopt's and PyTorch's
    profiles    what is measured, and how long
    run         rounds: cells into rows, rows into the record
    card        the GPU in the record
    tables, plots, page     the record into a report

Rows, ratios, the record's form, and what pages are made of are those of the benchmark on the CPU (`interleave`, `records`,
`markdown`, `drawing`).
"""

from .run import bench

__all__ = ["bench"]
