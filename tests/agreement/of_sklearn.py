"""scikit-learn as the judge: the optimizers within its multi-layer perceptrons. They have no weight decay of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastopt.rules.family import Convention, Family
from tests.agreement.options import choices, correspondence, walks
from tests.agreement.paths import STEPS, Walk, gradients, start

NEEDS = ("sklearn",)
CLASSES = {"SGD": ("SGDOptimizer",), "Adam": ("AdamOptimizer",)}
SCHEDULE = "a schedule: fastopt.schedules"
WITHOUT = {"params": "the parameters", "lr_schedule": SCHEDULE, "power_t": SCHEDULE}


def maker(name: str) -> Any:
    from sklearn.neural_network import _stochastic_optimizers

    return getattr(_stochastic_optimizers, name)


def cases(family: Family, convention: Convention, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    names = correspondence(maker(name), family, convention, WITHOUT)
    yield from walks(family, "sklearn", names, choices(family, "sklearn", names))


def walk(name: str, options: dict[str, Any], rates: Any) -> Walk:
    p = start()
    optimizer = maker(name)([p], learning_rate_init=rates(0), **options)
    ends = []
    for step in range(STEPS):
        if name == "SGDOptimizer":
            optimizer.learning_rate = rates(step)
        else:
            optimizer.learning_rate_init = rates(step)
        optimizer.update_params([p], [gradients(step)])
        ends.append(p.copy())
    held = {key: value[0] for key, value in vars(optimizer).items() if key in ("velocities", "ms", "vs")}
    return Walk(ends, held)
