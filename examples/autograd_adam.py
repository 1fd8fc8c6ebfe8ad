"""A network by HIPS autograd, trained by autograd's Adam and by fastopt's: one import is the difference.

    python examples/autograd_adam.py [--iterations 300] [--width 64]

Both begin at the same parameters, a list of (weights, biases). Prints the losses, how far the parameters are from each other in the end,
and what an iteration took (gradient, step and what lies between).
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from typing import Any

import autograd.misc.optimizers
import autograd.numpy as np
import numpy
from autograd import grad
from autograd.misc.flatten import flatten

import fastopt.interop.autograd

RNG = numpy.random.default_rng(0)
INPUTS = RNG.uniform(-2.0, 2.0, (256, 2))
TARGETS = numpy.sin(2.0 * INPUTS[:, :1]) * INPUTS[:, 1:]


def network(width: int) -> list[tuple[Any, Any]]:
    """Three layers."""
    rng = numpy.random.default_rng(1)
    sizes = [2, width, width, 1]
    return [(rng.standard_normal((a, b)) / a**0.5, numpy.zeros(b)) for a, b in pairwise(sizes)]


def loss(params: Any, i: int) -> Any:
    """The mean square, of the iteration's mini-batch."""
    rows = slice(64 * (i % 4), 64 * (i % 4) + 64)
    out = INPUTS[rows]
    for weights, biases in params[:-1]:
        out = np.tanh(np.dot(out, weights) + biases)
    weights, biases = params[-1]
    return np.mean((np.dot(out, weights) + biases - TARGETS[rows]) ** 2)


def main() -> None:
    """Trains both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--width", type=int, default=64)
    options = parser.parse_args()
    ends = []
    for name, module in (
        ("autograd.misc.optimizers.adam", autograd.misc.optimizers),
        ("fastopt.interop.autograd.adam", fastopt.interop.autograd),
    ):
        begin = time.perf_counter()
        trained = module.adam(grad(loss), network(options.width), num_iters=options.iterations, step_size=3e-3)
        milliseconds = 1e3 * (time.perf_counter() - begin) / options.iterations
        ends.append(flatten(trained)[0])
        print(f"{name:<30} loss {sum(loss(trained, i) for i in range(4)) / 4:.6f}   {milliseconds:.2f} ms an iteration")
    print(f"largest difference {numpy.abs(ends[0] - ends[1]).max():.1e}")


if __name__ == "__main__":
    main()
