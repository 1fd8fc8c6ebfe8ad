"""Keras as the judge, on its JAX backend and in float64; a backend is chosen once for a process, when Keras is first imported.

Not on PyTorch: there its ScheduleFreeAdamW (3.15) reads a state that it means to have kept, after it was written to. Not
on NumPy: there the learning rate goes through float32.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastopt.rules.family import Convention, Family
from tests.agreement.options import choices, correspondence, walks
from tests.agreement.paths import STEPS, Walk, gradients, start

NEEDS = ("jax", "keras")
CLASSES = {
    "SGD": ("SGD",),
    "AdaGrad": ("Adagrad",),
    "AdaDelta": ("Adadelta",),
    "RMSProp": ("RMSprop",),
    "Adam": ("Adam",),
    "AdamW": ("AdamW",),
    "AdaMax": ("Adamax",),
    "NAdam": ("Nadam",),
    "Lion": ("Lion",),
    "ScheduleFreeAdamW": ("ScheduleFreeAdamW",),
}
AVERAGE = "an average of the weights beside the step: fastopt.training.ExponentialAverage"
WITHOUT = {
    "name": "what it is called",
    "clipnorm": "clips each gradient by itself; `max_norm` clips all together",
    "clipvalue": "clips each element",
    "global_clipnorm": "`max_norm` of every optimizer and step",
    "use_ema": AVERAGE,
    "ema_momentum": AVERAGE,
    "ema_overwrite_frequency": AVERAGE,
    "loss_scale_factor": "`grad_scale` of every step",
    "gradient_accumulation_steps": "sums gradients before the step",
}


def _keras() -> Any:
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "jax"
    import keras

    return keras


def maker(name: str) -> Any:
    return getattr(_keras().optimizers, name)


def cases(family: Family, convention: Convention, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    names = correspondence(maker(name), family, convention, WITHOUT)
    yield from walks(family, "keras", names, choices(family, "keras", names))


def walk(name: str, options: dict[str, Any], rates: Any) -> Walk:
    from tests.agreement.of_optax import in_float64

    with in_float64():
        return _walk(name, options, rates)


def _walk(name: str, options: dict[str, Any], rates: Any) -> Walk:
    keras = _keras()
    before = keras.config.floatx()
    keras.config.set_floatx("float64")  # of its learning rate and step count too
    try:
        with warnings.catch_warnings():
            # Keras's own, with NumPy 2
            warnings.filterwarnings("ignore", message="__array__ implementation doesn't accept a copy keyword")
            p = keras.Variable(start(), dtype="float64")
            optimizer = maker(name)(learning_rate=rates(0), **options)
            ends = []
            for step in range(STEPS):
                optimizer.learning_rate = rates(step)
                optimizer.apply([keras.ops.convert_to_tensor(gradients(step))], [p])
                ends.append(np.array(p.value))
            held = {v.name: np.array(v.value) for v in optimizer.variables if tuple(v.shape) == tuple(p.shape)}
    finally:
        keras.config.set_floatx(before)
    endings = ("accumulated_delta_var", "accumulated_grad", "average_gradient", "velocity_hat")
    states = {next((e for e in endings if key.endswith(e)), key.rsplit("_", 1)[-1]): value for key, value in held.items()}
    return Walk(ends, states)
