"""PyTorch as the judge. Its own table of what its optimizers are tested with is walked too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastopt.rules.family import Convention, Family
from tests.agreement.options import choices, correspondence, walks
from tests.agreement.paths import STEPS, Walk, gradients, start

NEEDS = ("torch", "expecttest")
CLASSES = {
    "SGD": ("SGD",),
    "AdaGrad": ("Adagrad",),
    "AdaDelta": ("Adadelta",),
    "RMSProp": ("RMSprop",),
    "Adam": ("Adam",),
    "AdamW": ("AdamW",),
    "AdaMax": ("Adamax",),
    "NAdam": ("NAdam",),
    "RAdam": ("RAdam",),
    "Rprop": ("Rprop",),
}
HOW = "how the step is computed, and not what"
WITHOUT = {"params": "the parameters", "foreach": HOW, "fused": HOW, "capturable": HOW, "differentiable": HOW}
STANDARD = ("Adafactor", "ASGD", "LBFGS", "Muon", "SparseAdam")
"""What its table has and fastopt does not."""


def table() -> dict[str, list[dict[str, Any]]]:
    """For each of torch's optimizers the arguments that torch tests it with."""
    from torch.testing._internal.common_optimizers import optim_db

    found = {}
    for entry in optim_db:
        inputs = entry.optim_inputs_func(device="cpu")
        found[entry.optim_cls.__name__] = [
            {name: float(value) if hasattr(value, "item") else value for name, value in one.kwargs.items() if name not in WITHOUT}
            for one in inputs
        ]
    return found


def maker(name: str) -> Any:
    import torch

    return getattr(torch.optim, name)


def cases(family: Family, convention: Convention, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    names = correspondence(maker(name), family, convention, WITHOUT)
    yield from walks(family, "torch", names, choices(family, "torch", names))
    for options in table()[name]:
        yield options, dict(options)


def walk(name: str, options: dict[str, Any], rates: Any) -> Walk:
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # else NAdam keeps its product of momenta in float32, and is off by 1e-9
    try:
        p = torch.tensor(start())
        optimizer = maker(name)([p], **{"lr": rates(0), **options})
        ends = []
        for step in range(STEPS):
            optimizer.param_groups[0]["lr"] = rates(step)
            p.grad = torch.tensor(gradients(step))
            optimizer.step()
            ends.append(p.numpy().copy())
        states = {key: value.numpy() for key, value in optimizer.state[p].items() if torch.is_tensor(value) and value.shape == p.shape}
    finally:
        torch.set_default_dtype(before)
    return Walk(ends, states)
