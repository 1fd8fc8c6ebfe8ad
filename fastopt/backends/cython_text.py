"""What the Cython source of a kernel says of its arrays and functions, whatever the loop over its elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fastopt.backends.cython_storage import CTYPES
from fastopt.kernel import Kernel

__all__ = ["Array", "arrays", "functions", "indented"]


class Array(NamedTuple):
    """An array of a kernel: what it is called, the types of a pointer to it and of its elements, and whether it has one for each block."""

    name: str
    pointer: str
    element: str
    of_blocks: bool = False

    def start(self, column: int) -> str:
        """Where it begins for a row, out of the row of addresses."""
        return f"<{self.element}*> at[{column}] + offset{' // 256' * self.of_blocks}"

    def behind(self, elements: str) -> str:
        """Where it goes on behind so many elements, which are whole blocks."""
        return f"{self.name} + {elements}{' // 256' * self.of_blocks}"


def arrays(kernel: Kernel) -> list[Array]:
    """All of them, in the order of a row of addresses."""
    found = []
    for own in kernel.arrays:
        storage = own.storage.name
        pointer, element = {
            "at": (f"stream_{storage}", f"element_{storage}"),
            "scales": ("stream_float32", "float"),
            "corrections": (f"corrections_{storage}", CTYPES.get(f"{own.dtype}_t", "")),
        }[own.part]
        found.append(Array(f"{own.stream}_{own.part}", pointer, element, own.of_blocks))
    return found


def functions(real: str) -> dict[str, str]:
    """What the functions of rules are called there."""
    suffix = "f" if real == "float" else ""
    return {
        "sqrt": f"sqrt{suffix}",
        "absolute": f"fabs{suffix}",
        "maximum": f"maximum_{real}",
        "minimum": f"minimum_{real}",
        "sign": f"sign_{real}",
    }


def indented(lines: Sequence[str], levels: int) -> str:
    """Lines as a block of a module's text."""
    return "\n".join("    " * levels + line for line in lines)
