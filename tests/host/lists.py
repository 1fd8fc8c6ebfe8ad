"""Work lists for the tests: of some arrays, under a kernel of as many states."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from fastopt.host.worklist import WorkList
from fastopt.kernel import Kernel, kernel_of
from fastopt.rules.entry import RULES
from fastopt.stages import PLAIN

Array = np.ndarray[Any, Any]


def kernel_for(states: int, dtype: Any = np.float32) -> Kernel:
    """A kernel of so many states; what it computes is of no concern."""
    rule = {0: "sgd", 1: "momentum", 2: "adam"}[states]
    name = np.dtype(dtype).name
    return kernel_of(RULES[rule], PLAIN, name, name, name)


def work_list(
    params: Sequence[Array], states: Sequence[Sequence[Array]], labels: Sequence[str], gradients: Sequence[str], threads: int
) -> WorkList:
    """The list that an optimizer would make of these arrays."""
    kernel = kernel_for(len(states[0]) if states else 1, params[0].dtype if params else np.float32)
    blocks = [0, *accumulate(-(-p.size // 256) for p in params)][:-1]
    return WorkList(kernel, params, states, labels, gradients, threads, blocks)
