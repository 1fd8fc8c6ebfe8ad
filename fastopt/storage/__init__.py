"""How a number lies in memory, apart from the arithmetic: the types that parameters, gradients and states may be kept in.

Arithmetic runs in a compute dtype: float64 for float64 parameters, float32 for all others. A storage of fewer bytes is one entry
here: its size, its dtype on the host, and two texts that turn its pattern of bits into float32's and back. Every backend
takes them from here; NumPy's own conversions, by `dtype`, are the oracle.

A number that is too large becomes an infinity, as IEEE says, and a NaN stays one. To round to nearest even has a moving average stand
still whose changes are below half a unit in the last place: a second moment in bfloat16 follows its gradients at beta2 = 0.95, and does
not at 0.999. So states are rounded stochastically where they are narrow (`fastopt.storage.noise`), unless they are asked not to be.

`STORAGES` are those of arrays that users have, by their dtype. `OF_STATES` are those that only states are kept in, and which one
a state takes is told by `fastopt.storage.choice`; `OF_PARAMETERS` are those of bfloat16 parameters that something more is done for.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.storage.bits import BitText, converted, parse, plus, times, unknown
from fastopt.storage.blocks import SIGNED, UNSIGNED, Code
from fastopt.storage.split import SPLIT24, SPLIT24_DRAWN, SPLIT32, Split

__all__ = ["EVERY", "OF_PARAMETERS", "OF_STATES", "STORAGES", "Storage", "find", "of"]


@dataclass(frozen=True)
class Storage:
    """One type in memory.

    Attributes
    ----------
    name
        NumPy's name of its dtype.
    itemsize
        Bytes of an element.
    load, store
        Texts in the language of `fastopt.storage.bits`: from the pattern of an element to float32's, and back. None where elements
        are computed with as they lie.
    module
        What defines the dtype, where NumPy itself does not.
    kind
        NumPy's name of the dtype, where it is not the storage's own.
    draws
        Whether it rounds stochastically: `store` takes an element's noise too (`fastopt.storage.noise`).
    code
        For storage by blocks (`fastopt.storage.blocks`), whose `load` and `store` are the code's.
    split
        For parameters with a correction beside them (`fastopt.storage.split`), whose `load` and `store` are the split's.
    """

    name: str
    itemsize: int
    load: Callable[..., int] | None = None
    store: Callable[..., int] | None = None
    module: str | None = None
    kind: str | None = None
    draws: bool = False
    code: Code | None = None
    split: Split | None = None

    @property
    def of_magnitudes(self) -> bool:
        """Whether what it keeps of a number is its magnitude."""
        return self.code is not None and not self.code.signed

    @property
    def compute(self) -> str:
        """The dtype that arithmetic on it runs in."""
        return "float64" if self.name == "float64" else "float32"

    @cached_property
    def dtype(self) -> Any:
        """Its dtype on the host. Raises ModuleNotFoundError where what defines it is not installed."""
        name = self.kind or self.name
        if self.module is None:
            return np.dtype(name)
        try:
            return np.dtype(getattr(import_module(self.module), name))
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f"{name} on the host takes {self.module}: pip install 'fastopt[narrow]'") from error

    @cached_property
    def texts(self) -> tuple[BitText, BitText] | None:
        """The two texts, parsed; None where there are none."""
        return None if self.load is None or self.store is None else (parse(self.load), parse(self.store))

    def decode(self, values: NDArray[Any]) -> NDArray[Any]:
        """Elements as numbers of the compute dtype; the array itself where they are that."""
        if self.texts is None:
            return values
        with np.errstate(all="ignore"):  # a signalling NaN is read as any other
            return values.astype(self.compute)

    def encode(self, values: NDArray[Any], noise: NDArray[np.uint32] | None = None) -> NDArray[Any]:
        """Numbers of the compute dtype as elements; by their noise where it rounds stochastically, and noise is given."""
        with np.errstate(all="ignore"):
            if self.draws and noise is not None:
                values = _towards(values, noise)
            return values.astype(self.dtype, copy=False)


def _bfloat16_load(bits: int) -> int:
    return bits << 16


def _bfloat16_store(bits: int) -> int:
    return (0x7FC00000 if unknown(bits) > 0 else bits + 0x7FFF + ((bits >> 16) & 1)) >> 16


def _bfloat16_draw(bits: int, noise: int) -> int:
    return (0x7FC00000 if unknown(bits) > 0 else bits + (noise & 0xFFFF)) >> 16


def _towards(values: NDArray[Any], noise: NDArray[np.uint32]) -> NDArray[Any]:
    """For each number the bfloat16 above or below it, away from zero where the noise's low half takes its low half over the end."""
    bits = values.view(np.uint32).astype(np.uint64)
    carried = ((bits + (noise & np.uint32(0xFFFF))) & np.uint64(0xFFFF0000)).astype(np.uint32).view(np.float32)
    return np.where(np.isnan(values), values, carried)


def _float16_load(bits: int) -> int:
    magnitude = bits & 0x7FFF
    normal = (magnitude << 13) + 0x38000000  # the exponent's bias is 15, and float32's 127
    small = times(converted(magnitude), 0x33800000)  # in units of 2^-24
    finite = small if magnitude < 0x400 else normal
    number = (magnitude << 13) + 0x70000000 if magnitude >= 0x7C00 else finite
    return number | ((bits & 0x8000) << 16)


def _float16_store(bits: int) -> int:
    magnitude = bits & 0x7FFFFFFF
    nearest = ((magnitude - 0x38000000) + 0xFFF + ((magnitude >> 13) & 1)) >> 13
    small = plus(magnitude, 0x3F000000) - 0x3F000000  # added to 1/2, whose last place is 2^-24
    finite = small if magnitude < 0x38800000 else nearest
    number = 0x7C00 if magnitude >= 0x477FF000 else finite
    return (0x7E00 if unknown(bits) > 0 else number) | ((bits >> 16) & 0x8000)


STORAGES: dict[str, Storage] = {
    storage.name: storage
    for storage in (
        Storage("float32", 4),
        Storage("float64", 8),
        Storage("float16", 2, _float16_load, _float16_store),
        Storage("bfloat16", 2, _bfloat16_load, _bfloat16_store, module="ml_dtypes"),
    )
}
"""Every storage of arrays that users have, by name."""

OF_STATES: dict[str, Storage] = {
    storage.name: storage
    for storage in (
        Storage("drawn_bfloat16", 2, _bfloat16_load, _bfloat16_draw, module="ml_dtypes", kind="bfloat16", draws=True),
        Storage("signed8", 1, SIGNED.load, SIGNED.store, kind=SIGNED.dtype, draws=True, code=SIGNED),
        Storage("unsigned8", 1, UNSIGNED.load, UNSIGNED.store, kind=UNSIGNED.dtype, draws=True, code=UNSIGNED),
    )
}
"""Those that states alone are kept in."""


def _of_parameters(name: str, split: Split, draws: bool = False) -> Storage:
    return Storage(name, 2, split.load, split.store, module="ml_dtypes", kind="bfloat16", draws=draws, split=split)


OF_PARAMETERS: dict[str, Storage] = {
    storage.name: storage
    for storage in (
        OF_STATES["drawn_bfloat16"],
        _of_parameters("split32", SPLIT32),
        _of_parameters("split24", SPLIT24),
        _of_parameters("drawn_split24", SPLIT24_DRAWN, draws=True),
    )
}
"""Those of bfloat16 parameters that are rounded stochastically, or have a correction."""

EVERY: Mapping[str, Storage] = ChainMap(STORAGES, OF_STATES, OF_PARAMETERS)
"""All of them, by name; one that is entered among the others later is here too."""

_by_dtype: dict[np.dtype[Any], Storage | None] = {np.dtype(name): storage for name, storage in STORAGES.items() if storage.module is None}


def of(dtype: np.dtype[Any]) -> Storage | None:
    """The storage of a dtype, or None for one that there is no entry for (another byte order is another dtype)."""
    if dtype not in _by_dtype:
        storage = STORAGES.get(dtype.name)
        _by_dtype[dtype] = storage if storage is not None and storage.dtype == dtype else None
    return _by_dtype[dtype]


def find(name: Any, argument: str) -> Storage:
    """The storage that an argument names, by name or as a dtype. Raises TypeError or ValueError."""
    if isinstance(name, str):
        found = STORAGES.get(name)
    else:
        try:
            found = of(np.dtype(name))
        except TypeError:
            raise TypeError(f"{argument}: expected one of {', '.join(STORAGES)} or a dtype, received {name!r}") from None
    if found is None:
        raise ValueError(f"{argument}: expected one of {', '.join(STORAGES)}; received {name!r}")
    return found
