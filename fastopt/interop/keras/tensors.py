"""Keras's variables on PyTorch: tensors in host memory, which Keras too changes where they lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import torch
from numpy.typing import NDArray

from fastopt import layout
from fastopt.interop.torch.tensors import MovedError, TensorMemory, TensorWork, let_go, parameters, view, viewed
from fastopt.kernel import Kernel

__all__ = [
    "MovedError",
    "accumulate",
    "addresses",
    "apart",
    "arrays",
    "changing",
    "clear",
    "given",
    "inference",
    "let_go",
    "memory",
    "own",
    "putting",
    "states",
    "threads",
    "viewed",
]

Array = NDArray[Any]

apart = torch._disable_dynamo
"""What keeps a method out of graphs that are compiled around it."""

threads = torch.get_num_threads


def own(variables: Sequence[Any]) -> None:
    """Nothing: a tensor is the variable's own, or shared by those who want to see it change."""


def arrays(variables: Sequence[Any], labels: Sequence[str]) -> list[Array]:
    """Views of model variables that a step can write to. Raises TypeError or ValueError."""
    return parameters([v._value for v in variables], labels)


def states(variables: Sequence[Any], beside: Sequence[Any]) -> list[Array]:
    """Views of the variables of a state, whose elements are put in the order of the model variables' beside them.

    Keras makes states contiguous, and some model variables are not: what `keras.initializers.Orthogonal` makes is transposed.
    """
    for variable, other in zip(variables, beside, strict=True):
        tensor, like = variable._value, other._value
        if tensor.shape == like.shape and not layout.same(tensor.shape, tensor.stride(), like.stride()):
            with torch.no_grad():
                tensor.data = torch.empty_strided(like.shape, like.stride(), dtype=tensor.dtype).copy_(tensor)
    return [view(variable._value) for variable in variables]


def memory(variables: Sequence[Any], views: Sequence[Array]) -> Any:
    """Where these lie, as a plan needs it."""
    return _Memory({id(found): v._value for found, v in zip(views, variables, strict=True)})


class _Memory(TensorMemory):
    def work_list(self, kernel: Kernel, params: Sequence[Array], *rest: Any) -> TensorWork:
        return _Work([self.tensors[id(p)] for p in params], kernel, params, *rest)


class _Work(TensorWork):
    def _usable(self, given: Any, i: int) -> Any:
        """Keras casts gradients to their variables' dtype."""
        if not isinstance(given, torch.Tensor) or (given.is_cpu and given.is_floating_point() and given.dtype is not self.gradient_type):
            given = keras.ops.convert_to_tensor(given, dtype=keras.backend.standardize_dtype(self.gradient_type))
        return super()._usable(given, i)


def given(gradients: list[Any], variables: Sequence[Any]) -> list[Any]:
    """The gradients as they came: tensors are looked at in compiled code."""
    return gradients


def addresses(values: Sequence[Any]) -> list[int]:
    """Where values lie, for them may be given other memory (`tensor.data = ...`, `module.to(...)`)."""
    return [value.data_ptr() for value in values]


def inference(variables: Sequence[Any]) -> bool:
    """Whether some were made in inference mode."""
    return any(v._value.is_inference() for v in variables)


def changing(values: Sequence[Any], inference: bool) -> None:
    """Tells autograd that values are about to change. Raises RuntimeError, for inference tensors outside of inference mode."""
    if inference and not torch.is_inference_mode_enabled():
        raise RuntimeError("variables: expected a step within torch.inference_mode(), as some of them are inference tensors")
    torch.autograd.graph.increment_version(values)


def putting(variable: Any, value: float) -> Callable[[], Any]:
    """The call that writes a number into a variable of one element (`fastopt.uninterrupted`)."""
    return partial(view(variable._value).fill, value)


def accumulate(sums: Sequence[Any], gradients: Sequence[Any]) -> None:
    """Adds gradients to variables."""
    with torch.no_grad():
        torch._foreach_add_([v._value for v in sums], list(gradients))


def clear(sums: Sequence[Any]) -> None:
    """Makes variables zero."""
    with torch.no_grad():
        torch._foreach_zero_([v._value for v in sums])
