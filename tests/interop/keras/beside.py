"""A drop-in beside Keras's own class: the same variables, gradients and options."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

import fastopt.interop.keras as dropins

__all__ = [
    "COMMON",
    "NAMES",
    "ON_TORCH",
    "OPTIONS",
    "STEPS",
    "apart",
    "both",
    "called",
    "fresh",
    "gradients",
    "in_float64",
    "only_torch",
    "quiet",
    "stepped",
    "tolerance",
    "values",
]

ON_TORCH = keras.backend.backend() == "torch"
NAMES = [name for name in dropins.__all__ if name != "of"]
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"nesterov": True}],
    "RMSprop": [{}, {"momentum": 0.9, "centered": True}, {"rho": 0.5, "epsilon": 1e-3}],
    "Adagrad": [{}, {"initial_accumulator_value": 0.5}],
    "Adam": [{}, {"amsgrad": True, "beta_1": 0.5, "beta_2": 0.9}],
}
STEPS = 100 if ON_TORCH else 10
COMMON: list[dict[str, Any]] = [
    {"weight_decay": 0.1},
    {"clipnorm": 1.0},
    {"clipvalue": 0.5},
    {"global_clipnorm": 1.0},
    {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
    {"loss_scale_factor": 3.0},
    {"gradient_accumulation_steps": 4, "weight_decay": 0.1, "loss_scale_factor": 4.0},
    {"gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 2, "global_clipnorm": 1.0},
]
SHAPES = ((3, 4), (5,), (300,), (), (0, 2))

quiet = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")
only_torch = pytest.mark.skipif(not ON_TORCH, reason="Keras on PyTorch")


@pytest.fixture(autouse=True)
def in_float64() -> Iterator[None]:
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


def fresh(*shapes: tuple[int, ...], seed: int = 0) -> list[Any]:
    made = np.random.default_rng(seed)
    dtype = keras.config.floatx()
    return [
        keras.Variable(made.standard_normal(shape).astype(dtype), dtype=dtype, name=f"w{k}") for k, shape in enumerate(shapes or SHAPES)
    ]


def gradients(variables: list[Any], step: int) -> list[Any]:
    made = np.random.default_rng(100 + step)
    return [keras.ops.convert_to_tensor(made.standard_normal(v.shape).astype(v.dtype)) for v in variables]


def stepped(optimizer: Any, variables: list[Any], steps: int, first: int = 0, before: Callable[[int], Any] = lambda step: None) -> Any:
    for step in range(first, first + steps):
        before(step)
        optimizer.apply(gradients(variables, step), variables)
    return optimizer


def both(name: str, **options: Any) -> tuple[Any, Any]:
    options = {"learning_rate": 0.01, **options}
    return getattr(dropins, name)(**options), getattr(keras.optimizers, name)(**options)


def values(variables: list[Any]) -> list[Any]:
    return [np.array(v.numpy()) for v in variables]


def called(optimizer: Any) -> list[str]:
    """The names of its variables, without the numbers that Keras gives to what has none."""
    return [re.sub(r"_\d+$", "", v.path.rsplit("/")[-1]) for v in optimizer.variables]


def apart(ours: list[Any], theirs: list[Any]) -> float:
    """The largest difference of any two elements."""
    assert [v.shape for v in ours] == [v.shape for v in theirs]
    differences = [np.abs(a.astype(float) - b.astype(float)) for a, b in zip(values(ours), values(theirs), strict=True)]
    return max(float(np.max(d, initial=0.0)) for d in differences)


def tolerance(options: dict[str, Any]) -> float:
    """Keras rounds to float32 on its way: on NumPy the learning rate, on PyTorch the factor that clips a global norm."""
    if not ON_TORCH:
        return 1e-5
    return 1e-7 if options.get("global_clipnorm") else 1e-13
