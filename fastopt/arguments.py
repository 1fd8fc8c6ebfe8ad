"""Every check of an argument, all made before the first write. Messages say: argument, expected, received."""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.rules.entry import NON_NEGATIVE, HyperparameterValue, Interval, Rule
from fastopt.settings import Settings

__all__ = ["alike", "array", "choice", "flag", "grad_scale", "gradient", "hyperparameters", "number", "settings", "whole_number"]

DTYPES = {np.dtype(name): name for name in ("float32", "float64")}
"""The compute dtypes and their names; to ask a dtype for its name takes two microseconds."""

Array = NDArray[Any]


def number(value: Any, name: str, interval: Interval = NON_NEGATIVE) -> float:
    """A real number in the interval, as a float. Raises TypeError or ValueError."""
    if value.__class__ is float and value in interval:
        return value
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected {interval}, received {_describe(value)}")
    real: Any = value
    try:
        converted = float(real)
    except OverflowError:  # an integer or a fraction beyond the floats
        converted = math.inf if real > 0 else -math.inf
    if converted not in interval:
        raise ValueError(f"{name}: expected {interval}, received {converted!r}")
    return converted


def whole_number(value: Any, name: str, low: int) -> int:
    """An integer of at least `low`. Raises TypeError or ValueError."""
    if value.__class__ is int and low <= value < 2**63:
        return value
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}: expected an integer >= {low}, received {_describe(value)}")
    whole = int(value)
    if whole < low:
        raise ValueError(f"{name}: expected an integer >= {low}, received {whole}")
    if whole >= 2**63:
        raise ValueError(f"{name}: expected an integer >= {low} of 64 bits, received one of {whole.bit_length()} bits")
    return whole


def flag(value: Any, name: str) -> bool:
    """True or False, and nothing that is merely truthy. Raises TypeError."""
    if value is True or value is False:
        return value
    if not isinstance(value, np.bool_):
        raise TypeError(f"{name}: expected True or False, received {_describe(value)}")
    return bool(value)


def choice(value: Any, name: str, choices: Sequence[str]) -> str:
    """One of the words. Raises TypeError or ValueError."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected one of {', '.join(map(repr, choices))}; received {_describe(value)}")
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, choices))}; received {value!r}")
    return value


def grad_scale(value: Any) -> float:
    """The factor that the gradients were scaled by: positive, finite, and with a finite reciprocal."""
    converted = number(value, "grad_scale")
    if converted == 0.0 or not math.isfinite(1.0 / converted):
        raise ValueError(f"grad_scale: expected a number > 0 with a finite reciprocal, received {converted!r}")
    return converted


def hyperparameters(rule: Rule, given: Mapping[str, Any]) -> dict[str, HyperparameterValue]:
    """The rule's hyperparameters, defaults filled in. Raises TypeError for names that the rule does not have."""
    unknown = [name for name in given if name not in rule.hyperparameters]
    if unknown:
        known = ", ".join(("lr", *rule.hyperparameters))
        raise TypeError(f"{unknown[0]}: rule {rule.name!r} has no such hyperparameter; expected some of {known}")
    values = dict(rule.defaults)
    for name, value in given.items():
        entry = rule.hyperparameters[name]
        if isinstance(entry.default, tuple):
            count = len(entry.default)
            if isinstance(value, str | bytes) or not isinstance(value, Sequence) or len(value) != count:
                raise TypeError(f"{name}: expected {count} numbers, received {_describe(value)}")
            values[name] = tuple(number(item, f"{name}[{i}]", entry.interval) for i, item in enumerate(value))
        else:
            values[name] = number(value, name, entry.interval)
    return values


def settings(rule: Rule, lr: Any, weight_decay: Any, decoupled: Any, maximize: Any, given: Mapping[str, Any]) -> Settings:
    """All that a step needs to know besides the arrays, checked."""
    if lr is None:
        if rule.default_lr is None:
            raise TypeError(f"lr: rule {rule.name!r} has no default learning rate; expected {NON_NEGATIVE}, received None")
        lr = rule.default_lr
    return Settings(
        lr=number(lr, "lr"),
        hyperparameters=hyperparameters(rule, given),
        weight_decay=number(weight_decay, "weight_decay"),
        decoupled=flag(decoupled, "decoupled_weight_decay"),
        maximize=flag(maximize, "maximize"),
    )


def array(value: Any, label: str, writeable: bool = True) -> None:
    """A plain NumPy array that a kernel can work on in place. Raises TypeError or ValueError."""
    if not isinstance(value, np.ndarray) or _masked(value):
        raise TypeError(f"{label}: expected a NumPy array of float32 or float64, received {_describe(value)}")
    if value.dtype not in DTYPES:
        raise TypeError(f"{label}: expected dtype float32 or float64 in native byte order, received {_dtype(value)}")
    if not value.flags.c_contiguous:
        raise ValueError(
            f"{label}: expected a C-contiguous array, received strides {value.strides} for shape {value.shape}; "
            "a step writes in place, so make a contiguous array and keep that one (np.ascontiguousarray)"
        )
    if not value.flags.aligned:
        raise ValueError(
            f"{label}: expected an array aligned to its {value.itemsize}-byte elements, received address {value.ctypes.data:#x}"
        )
    if writeable and not value.flags.writeable:
        raise ValueError(f"{label}: expected a writeable array, received a read-only one")


def gradient(value: Any, label: str, parameter: Array, parameter_label: str) -> None:
    """An array that a kernel can read as the gradient of a parameter. Raises TypeError or ValueError."""
    array(value, label, writeable=False)
    alike(value, label, parameter, parameter_label)


def alike(value: Any, label: str, parameter: Any, parameter_label: str) -> None:
    """An array of the dtype and shape of a parameter. Raises TypeError or ValueError."""
    if value.dtype != parameter.dtype:
        raise TypeError(f"{label}: expected dtype {_dtype(parameter)} like {parameter_label}, received {_dtype(value)}")
    if value.shape != parameter.shape:
        raise ValueError(f"{label} has shape {value.shape}, its parameter {parameter_label} has shape {parameter.shape}")


def _masked(value: Any) -> bool:
    """Whether an array has a mask; asked without importing numpy.ma (6 ms), which whoever made such an array did."""
    module = sys.modules.get("numpy.ma")
    return module is not None and isinstance(value, module.MaskedArray)


def _dtype(value: Array) -> str:
    return str(value.dtype) if value.dtype.isnative else f"{value.dtype.name} in foreign byte order ({value.dtype.str})"


def _describe(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} and shape {value.shape}" + (" with a mask" if _masked(value) else "")
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
