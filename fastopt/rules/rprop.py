"""Rprop: a step size for each element, which grows while its gradient keeps its sign and shrinks when it turns.

optax 0.2.8 has a `rprop` too, whose changes come one step late (the first step moves nothing): no convention was made of that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastopt.rules.domain import Interval
from fastopt.rules.entry import NON_NEGATIVE, Hyperparameter, rule
from fastopt.rules.family import Argument, Convention, Family, enter
from fastopt.rules.language import maximum, minimum, sign

FACTOR = Interval(0.0, math.inf)


def _scalars(step: int, lr: float, etas: tuple[float, float], step_sizes: tuple[float, float]) -> tuple[float, ...]:
    first = step == 1  # no element has a size before
    return float(not first), lr if first else 0.0, *etas, *step_sizes, 0.0, 1.0


@rule(
    states=("before", "size"),
    hyperparameters={"etas": Hyperparameter((0.5, 1.2), FACTOR), "step_sizes": Hyperparameter((1e-6, 50.0), NON_NEGATIVE)},
    scalars=_scalars,
    equation=(
        "size <- clamp(size eta_plus where g before > 0, size eta_minus where g before < 0, else size; step_sizes)   "
        "(size = lr at the first step);   g <- 0 where g before < 0;   before <- g;   p <- p - size sign(g)"
    ),
    non_negative=("size",),
    source="M. Riedmiller and H. Braun, A direct adaptive method for faster backpropagation learning: the RPROP algorithm, ICNN 1993",
    default_lr=1e-2,
)
def rprop(p, g, before, size, kept, first_size, eta_minus, eta_plus, smallest, largest, zero, one):
    agreement = g * before
    size = kept * size + first_size
    growth = eta_plus if agreement > zero else one
    factor = eta_minus if agreement < zero else growth
    size = minimum(largest, maximum(smallest, size * factor))  # the limits first: the other way gcc 12 finds no vectors
    g = zero if agreement < zero else g
    return p - size * sign(g), g, size


def _form(values: Mapping[str, Any]) -> str:
    smallest, largest = values["step_sizes"]
    if smallest > largest:
        raise ValueError(f"step_sizes: expected the smallest before the largest, received {values['step_sizes']!r}")
    return "rprop"


RPROP_FAMILY = enter(
    Family(
        "Rprop",
        own={"etas": Argument((0.5, 1.2), FACTOR), "step_sizes": Argument((1e-6, 50.0), NON_NEGATIVE)},
        form=_form,
        lr=1e-2,
        conventions={
            "torch": Convention(states={"before": "prev", "size": "step_size"}, source="torch.optim.Rprop, PyTorch 2.13"),
        },
    )
)
