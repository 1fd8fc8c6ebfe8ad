"""A network in NumPy, trained by several processes over MPI, each of which has a part of every mini-batch and a part of Adam's states.

    mpiexec -n 4 python examples/mpi_numpy.py [--steps 50] [--width 256] [--save PATH]

Adds up gradients in the order of the ranks, so that one process that does the same alone ends at the same parameters to the last bit, for
as many parts of a mini-batch as there were ranks (`--parts`):

    python examples/mpi_numpy.py --parts 4

Prints, from rank 0, the last loss, a checksum of the parameters, and the bytes of states that each rank keeps.
"""

from __future__ import annotations

import argparse
import zlib
from typing import Any

import numpy as np
from mpi4py import MPI

import fastopt
from fastopt.interop.mpi import Sharded, abort_on_error

BATCH = 64
Tree = dict[str, Any]


def network(width: int) -> Tree:
    """Two layers."""
    made = np.random.default_rng(0)
    shapes = {"w1": (8, width), "b1": (width,), "w2": (width, 1), "b2": (1,)}
    return {name: (made.standard_normal(shape) / shape[0] ** 0.5).astype(np.float32) for name, shape in shapes.items()}


def batch(step: int, part: int, parts: int) -> tuple[Any, Any]:
    """A part of a mini-batch; which one is up to whoever is to see it."""
    x = np.random.default_rng([step, part]).standard_normal((BATCH // parts, 8)).astype(np.float32)
    return x, np.sin(x.sum(axis=1, keepdims=True))


def gradients(p: Tree, x: Any, y: Any) -> tuple[float, Tree]:
    """The mean squared error, and its gradients."""
    hidden = np.maximum(x @ p["w1"] + p["b1"], 0)
    error = hidden @ p["w2"] + p["b2"] - y
    out = error * np.float32(2 / len(x))
    back = (out @ p["w2"].T) * (hidden > 0)
    return float(np.square(error).mean()), {"w1": x.T @ back, "b1": back.sum(axis=0), "w2": hidden.T @ out, "b2": out.sum(axis=0)}


def train(params: Tree, steps: int, parts: int, comm: Any) -> tuple[float, Any]:
    """The mean loss of the last step over all parts, and the optimizer. The gradients' mean is clipped to a norm of 1."""
    options: Any = {"lr": fastopt.schedules.Cosine(1e-2, steps), "max_norm": 1.0}
    optimizer: Any = Sharded(fastopt.AdamW, params, comm, **options) if comm is not None else fastopt.AdamW(params, **options)
    losses: list[float] = []
    for step in range(steps):
        if comm is not None:
            loss, grads = gradients(params, *batch(step, comm.rank, parts))
            losses = comm.allgather(loss)
        else:
            found = [gradients(params, *batch(step, part, parts)) for part in range(parts)]
            losses, grads = [loss for loss, _ in found], found[0][1]
            for _, other in found[1:]:
                for name in grads:
                    grads[name] += other[name]
        optimizer.step(grads, grad_scale=parts)
    return sum(losses) / parts, optimizer


def main() -> None:
    """Trains over all ranks, or alone in as many parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--parts", type=int, help="train in this process alone, on so many parts of a mini-batch")
    parser.add_argument("--save", help="where to write the optimizer's state, as of a single process")
    options = parser.parse_args()
    comm = None if options.parts else MPI.COMM_WORLD
    abort_on_error()  # an exception here ends the other ranks too
    params = network(options.width)
    loss, optimizer = train(params, options.steps, options.parts or MPI.COMM_WORLD.size, comm)
    held = sum(array.nbytes for arrays in (optimizer.local if comm else optimizer).flat_state().values() for array in arrays)
    every = comm.gather(held) if comm else [held]
    if options.save:
        optimizer.save(options.save)
    if every is not None:
        checksum = zlib.crc32(b"".join(params[name].tobytes() for name in params))
        print(f"loss {loss:.6f}   parameters {checksum:#010x}   states of {', '.join(map(str, every))} bytes", flush=True)


if __name__ == "__main__":
    main()
