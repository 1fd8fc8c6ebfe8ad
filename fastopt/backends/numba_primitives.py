"""What the generated Numba kernels are made of besides arithmetic: memory by address, and the functions of a rule.

The functions are written without literals: `x > 0` would compare in float64 and halve the width of the vectors.
"""

from __future__ import annotations

import math
from typing import Any

from numba import float32, float64, int64, njit, types
from numba.extending import intrinsic

__all__ = ["absolute", "float32_pointer", "float64_pointer", "int64_pointer", "maximum", "minimum", "sign", "sqrt"]


def _pointer(element: types.Type) -> Any:
    @intrinsic
    def pointer(typing_context: Any, address: Any) -> Any:
        signature = types.CPointer(element)(types.int64)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return signature, generate

    return pointer


float32_pointer = _pointer(float32)
float64_pointer = _pointer(float64)
int64_pointer = _pointer(int64)

sqrt = math.sqrt
absolute = abs


@njit(error_model="numpy")
def maximum(a: Any, b: Any) -> Any:
    return a if (a > b) | (a != a) else b


@njit(error_model="numpy")
def minimum(a: Any, b: Any) -> Any:
    return a if (a < b) | (a != a) else b


@njit(error_model="numpy")
def sign(x: Any, zero: Any, one: Any) -> Any:
    positive = one if x > zero else zero
    negative = -one if x < zero else positive
    return x if x != x else negative
