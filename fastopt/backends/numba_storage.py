"""Storages in Numba: the functions that load and store an element, which the modules of `fastopt.backends.numba_source` take.

They are a module of their own for each storage, so that a process compiles them once and not with each kernel.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastopt.kernel import Array
from fastopt.storage import Storage
from fastopt.storage.bits import FUNCTIONS as BIT_FUNCTIONS
from fastopt.storage.bits import OPERATORS as BIT_OPERATORS
from fastopt.storage.bits import BitText, in_calls, parse

__all__ = ["element", "indented", "load", "module_source", "names", "pointer", "pointer_to", "store"]

HEAD = """\
from numba import float32, {elements}, njit, uint32

from fastopt.backends.numba_primitives import {imports}

"""
PARTS = ("scale", "inverse")
"""What is asked at the end of a block."""

TEXT = """
@njit(error_model="numpy")
def {name}({arguments}):
{lines}
    return {result}

"""


def element(storage: Storage) -> str:
    """What Numba calls the type of an element as it lies in memory."""
    if storage.texts is None:
        return storage.name
    return storage.dtype.name if storage.code else f"uint{8 * storage.itemsize}"


def load(storage: Storage, value: str, beside: str = "") -> str:
    """The number that an element stands for, with the scale or the correction that goes with it."""
    return value if storage.texts is None else f"load_{storage.name}({value}{beside})"


def store(storage: Storage, value: str, *rest: str) -> str:
    """The element that a number is kept as; the rest is what else the storage's text takes."""
    return value if storage.texts is None else f"store_{storage.name}({', '.join([value, *rest])})"


def pointer(storage: Storage) -> str:
    """The function that makes a pointer to elements of an address."""
    return f"{element(storage)}_pointer"


def pointer_to(array: Array) -> str:
    """The same, to what lies in an array of a kernel."""
    return pointer(array.storage) if array.part == "at" else f"{array.dtype}_pointer"


def module_source(storage: Storage) -> str:
    """The functions that load and store one and, for blocks, those of their ends, for a storage that is not numbers as they are."""
    assert storage.texts is not None
    loading, storing = storage.texts
    found = _text(
        f"load_{storage.name}", loading, {"bits": "uint32({})", "correction": "uint32({})", "scale": "as_bits({})"}, "as_float(result)"
    )
    found += _text(f"store_{storage.name}", storing, {"bits": "as_bits({})"}, f"{element(storage)}(result)")
    if storage.split is not None:
        found += _text(f"rest_{storage.name}", parse(storage.split.rest), {"bits": "as_bits({})"}, f"{storage.split.dtype}(result)")
    if storage.code is not None:
        for part in PARTS:
            found += _text(f"{part}_{storage.name}", parse(getattr(storage.code, part)), {}, "result")
    elements = [element(storage), *([storage.split.dtype] if storage.split else [])]
    imports = ["as_bits", "as_float", "bits_constant", "bits_select", *BIT_OPERATORS.values(), *(f"bits_{name}" for name in BIT_FUNCTIONS)]
    return HEAD.format(elements=", ".join(elements), imports=", ".join(imports)) + found


def names(storage: Storage) -> list[str]:
    """What its module has."""
    parts = ["load", "store", *(["rest"] if storage.split else []), *(PARTS if storage.code else ())]
    return [f"{part}_{storage.name}" for part in parts]


def _text(name: str, text: BitText, taken: Mapping[str, str], result: str) -> str:
    """A function of a text: its parameters are taken as patterns, and its result answered as said."""
    given = {parameter: f"fastopt_{parameter}" for parameter in text.parameters}
    lines = [f"{parameter} = {taken.get(parameter, '{}').format(argument)}" for parameter, argument in given.items()]
    return TEXT.format(name=name, arguments=", ".join(given.values()), lines=indented([*lines, *text.spell(in_calls)], 1), result=result)


def indented(lines: list[str], levels: int) -> str:
    """Lines as a block of a module's text."""
    return "\n".join("    " * levels + line for line in lines)
