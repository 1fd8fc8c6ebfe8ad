"""The storages that the page compares, each as what an optimizer is given, and what such an optimizer's states hold and stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import fastopt
from fastopt.optimizers.converted import numbers
from fastopt.storage import STORAGES as STORAGES_BY_NAME

from ..arrays import Array
from ..drawing import looks

__all__ = [
    "FLOAT32",
    "NARROW",
    "PARAMETERS",
    "STORAGES",
    "Given",
    "built",
    "bytes_held",
    "bytes_moved",
    "here",
    "look_of",
    "numbers_of",
    "refusals",
    "said",
]


class Given(NamedTuple):
    """A storage: what the page calls it, the options of an optimizer that keeps numbers so, and the dtype of parameters and gradients."""

    label: str
    options: Mapping[str, Any]
    parameters: str = "float32"

    def array(self, values: Array) -> Array:
        """A parameter or a gradient as it keeps them; the array itself where it does so already."""
        return values.astype(STORAGES_BY_NAME[self.parameters].dtype, copy=False)


STORAGES: tuple[Given, ...] = (
    Given("float32", {}),
    Given("float16", {"state_dtype": "float16"}),
    Given("bfloat16, to nearest", {"state_dtype": "bfloat16", "stochastic_rounding": False}),
    Given("bfloat16, stochastic", {"state_dtype": "bfloat16", "stochastic_rounding": True}),
    Given("int8, blocks", {"state_dtype": "int8"}),
)
"""All of them, what they are compared with first. One that the installed fastopt refuses is left out, and the page says so."""

FLOAT32 = STORAGES[0]

NARROW: tuple[Given, ...] = (
    Given("bfloat16, to nearest", {}, "bfloat16"),
    Given("bfloat16, stochastic", {"stochastic_rounding": True}, "bfloat16"),
    Given("24 bits", {"master_bits": 24}, "bfloat16"),
    Given("24 bits, stochastic", {"master_bits": 24, "stochastic_rounding": True}, "bfloat16"),
    Given("32 bits", {"master_bits": 32}, "bfloat16"),
    Given("bfloat16, stochastic, int8 states", {"stochastic_rounding": True, "state_dtype": "int8"}, "bfloat16"),
    Given("24 bits, int8 states", {"master_bits": 24, "state_dtype": "int8"}, "bfloat16"),
    Given("32 bits, int8 states", {"master_bits": 32, "state_dtype": "int8"}, "bfloat16"),
)
"""Parameters of bfloat16, with or without a correction beside them: what a parameter is in them both."""

PARAMETERS = ("float32", "bfloat16")
"""The dtypes of parameters and gradients whose bytes are compared."""


@cache
def refusals() -> dict[str, str]:
    """The storages that the installed fastopt does not take, by label, each with the first line of what it says."""
    found = {}
    for given in STORAGES:
        try:
            built(fastopt.Adam, np.zeros(1, np.float32), given)
        except (TypeError, ValueError, ModuleNotFoundError) as error:
            found[given.label] = str(error).splitlines()[0]
    return found


def here() -> list[Given]:
    """The storages that there are, float32 first."""
    return [given for given in STORAGES if given.label not in refusals()]


def said() -> str:
    """A sentence of what is left out, with a space before it; nothing where all are there."""
    return f" Left out, as this fastopt refuses it: {'; '.join(refusals())}." if refusals() else ""


def look_of(label: str) -> dict[str, Any]:
    """The colour and the marker of a storage, the same in all pictures."""
    return looks(given.label for given in STORAGES)[label]


def built(optimizer: Callable[..., Any], params: Any, given: Given, **arguments: Any) -> Any:
    """An optimizer whose states are kept so.

    Raises TypeError or ValueError as its constructor does, and ModuleNotFoundError where what defines the dtype is not installed.
    """
    return optimizer(params, **arguments, **given.options)


def numbers_of(optimizer: Any, name: str) -> list[Array]:
    """The numbers that a state stands for, of each parameter, in float32. Codes have scales beside them, and the package decodes them."""
    states = optimizer.flat_state()
    scales = states.get(f"{name}_scale", [None] * len(states[name]))
    pairs = zip(states[name], scales, strict=True)
    return [np.asarray(numbers(array, scale), np.float32) for array, scale in pairs]


def bytes_held(optimizer: Any) -> int:
    """What the arrays of its states take, scales included."""
    return sum(array.nbytes for array in _arrays(optimizer.flat_state()))


def bytes_moved(optimizer: Any) -> float:
    """The least memory traffic of its step, for each parameter, as its kernel says."""
    (kernel,) = set(optimizer._kernels)
    return float(kernel.bytes_per_parameter)


def _arrays(value: Any) -> Iterator[Array]:
    """All arrays within mappings and sequences."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Mapping):
        yield from _arrays(list(value.values()))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:
            yield from _arrays(each)
