"""optax as the judge, in float64. Where it has no weight decay of its own, there is one before it, as optax composes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastopt.rules.family import Convention, Family
from tests.agreement.options import choices, correspondence, walks
from tests.agreement.paths import SIZE, STEPS, Walk, gradients, start

NEEDS = ("jax", "optax")
CLASSES = {
    "SGD": ("sgd",),
    "AdaGrad": ("adagrad",),
    "AdaDelta": ("adadelta",),
    "RMSProp": ("rmsprop",),
    "Adam": ("adam", "amsgrad"),
    "AdamW": ("adamw",),
    "AdaMax": ("adamax", "adamaxw"),
    "NAdam": ("nadam", "nadamw"),
    "RAdam": ("radam",),
    "Lion": ("lion",),
    "Signum": ("signum", "sign_sgd"),
    "Adan": ("adan",),
    "ADOPT": ("adopt",),
    "AdEMAMix": ("ademamix",),
    "ScheduleFreeSGD": ("schedule_free_sgd",),
    "ScheduleFreeAdamW": ("schedule_free_adamw",),
}
AS_HERE: dict[str, dict[str, Any]] = {
    "amsgrad": {"amsgrad": True},
    "adamaxw": {"decoupled_weight_decay": True, "weight_decay": 1e-4},
    "nadamw": {"decoupled_weight_decay": True, "weight_decay": 1e-4},
    "sign_sgd": {"momentum": 0.0},
}
"""What makes of our class the optimizer of a name of its own."""

AT_ONE_RATE = ("schedule_free_sgd", "schedule_free_adamw")
"""Those that take no schedule, or one that is a step ahead of the step."""

MASK = "which parameters decay: `groups`"
STATE = "the dtype of one state; `state_dtype` is that of all"
WITHOUT = {
    "mask": MASK,
    "weight_decay_mask": MASK,
    "mu_dtype": STATE,
    "accumulator_dtype": STATE,
    "state_dtype": STATE,
    "clip_value_fn": "any function there, a power of the step here: `clip_exponent`",
    "warmup_steps": "its learning rate is weighed a step ahead there",
}
REFUSED_HERE = ("sgd", "rmsprop")
"""Those that take nesterov=True without momentum, and make nothing of it."""

NESTEROV = ("adam", "adamw", "nadam", "nadamw")
"""adam(nesterov=True) is nadam: `NAdam(convention="optax")`."""


def maker(name: str) -> Any:
    import optax

    return getattr(optax, name, None) or getattr(optax.contrib, name)


def cases(family: Family, convention: Convention, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    without = {**WITHOUT, **({"nesterov": "another of our classes"} if name in NESTEROV else {})}
    names = correspondence(maker(name), family, convention, without)
    every = choices(family, "optax", names)
    if "weight_decay" not in every:
        names, every = {**names, "weight_decay": "weight_decay"}, {**every, "weight_decay": (0.0, 0.3)}
    for theirs, own in walks(family, "optax", names, every):
        if theirs.get("centered") and theirs.get("bias_correction"):
            # at the first step v / c - (a / c)^2 is 0 but for rounding, which a small eps would make steps of: beside 1e4 it is nothing
            theirs, own = {**theirs, "eps": 1e4}, {**own, "eps": 1e4}
        yield theirs, {**AS_HERE.get(name, {}), **own}


def _held(state: Any) -> Iterator[tuple[str, Any]]:
    """The arrays of the parameter's size in a state, by the names of the fields that hold them."""
    if hasattr(state, "_fields"):
        for field in state._fields:
            value = getattr(state, field)
            if getattr(value, "shape", None) == (SIZE,):
                yield field, np.asarray(value)
            else:
                yield from _held(value)
    elif isinstance(state, tuple):
        for part in state:
            yield from _held(part)


def in_float64() -> Any:
    """Within this JAX computes in float64."""
    import jax

    return jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64()


def walk(name: str, options: dict[str, Any], rates: Any) -> Walk:
    import inspect

    import jax
    import optax

    with in_float64():
        every = jax.numpy.asarray([rates(step) for step in range(STEPS)])
        rate = rates(0) if name in AT_ONE_RATE else lambda count: every[count]
        made_by, given = maker(name), dict(options)
        decay = 0.0 if "weight_decay" in inspect.signature(made_by).parameters else given.pop("weight_decay", 0.0)
        transformation = made_by(rate, **given)
        if decay:
            transformation = optax.chain(optax.add_decayed_weights(decay), transformation)

        def step(carried: Any, g: Any) -> Any:
            p, state = carried
            updates, state = transformation.update(g, state, p)
            p = optax.apply_updates(p, updates)
            return (p, state), p

        p = jax.numpy.asarray(start())
        assert p.dtype == "float64"
        grads = jax.numpy.asarray(np.stack([gradients(k) for k in range(STEPS)]))
        (_, state), ends = jax.jit(lambda first: jax.lax.scan(step, first, grads))((p, transformation.init(p)))
        return Walk(list(np.asarray(ends)), dict(_held(state)))
