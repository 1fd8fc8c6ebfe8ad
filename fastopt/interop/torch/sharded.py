"""DTensors as a step needs them: the part that lies on this rank, and states that are placed as their parameter is.

FSDP2 (`torch.distributed.fsdp.fully_shard`) and tensor parallelism keep parameters as `DTensor`s, each of which has a plain tensor on every
rank: a part of the whole, perhaps an empty one, or a copy of it. A step is element by element, so it is made on these parts. Imported
when a DTensor is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.distributed._functional_collectives import AsyncCollectiveTensor
from torch.distributed.tensor import DTensor

from fastopt.host.norm import total

__all__ = ["Sharded", "like", "local", "state"]


def local(param: Any, label: str) -> Any:
    """The part of a parameter that lies on this rank. Raises TypeError or ValueError for a parameter that a step cannot be made of."""
    if not isinstance(param, DTensor):
        raise TypeError(f"{label}: expected a tensor with memory of its own, received {type(param).__name__}, which stands for others")
    if any(placement.is_partial() for placement in param.placements):
        raise ValueError(
            f"{label}: expected placements that divide or repeat a parameter, received {param.placements}; "
            "a step on the terms of a sum is no step on the sum"
        )
    return param._local_tensor


def like(part: Any, param: Any) -> Any:
    """A DTensor that is placed as a parameter is, of a part on each rank, which stays where it lies, be that the mesh's device or not."""
    spec = param._spec
    if part.dtype is not param.dtype:
        spec = replace(spec, tensor_meta=spec.tensor_meta._replace(dtype=part.dtype))
    return DTensor(part, spec, requires_grad=False)


def state(value: Any, param: Any, label: str) -> Any:
    """The part of a state that lies on this rank. Raises ValueError for one that is not placed as its parameter is."""
    if not (isinstance(value, DTensor) and isinstance(param, DTensor) and _alike(value, param)):
        raise ValueError(f"{label}: expected {_placed(param)}, as its parameter is; received {_placed(value)}")
    return _waited(value._local_tensor)


def _alike(tensor: Any, param: Any) -> bool:
    return bool(tensor.device_mesh == param.device_mesh and tensor.placements == param.placements and tensor.shape == param.shape)


def _placed(tensor: Any) -> str:
    if not isinstance(tensor, DTensor):
        return f"a {type(tensor).__name__} of shape {tuple(tensor.shape)} that is no DTensor"
    return f"a DTensor of shape {tuple(tensor.shape)} with placements {tensor.placements} on {tensor.device_mesh}"


def _waited(part: Any) -> Any:
    return part.wait() if isinstance(part, AsyncCollectiveTensor) else part


class Sharded:
    """The parts of an optimizer's parameters and gradients that lie on this rank.

    Parameters
    ----------
    params
        The parameters, at least one of them a DTensor.
    labels, gradient_labels
        What to call them, and their gradients.

    Attributes
    ----------
    tensors
        What steps are made on, in the order of the parameters.
    """

    def __init__(self, params: Sequence[Any], labels: Sequence[str], gradient_labels: Sequence[str]) -> None:
        self.params, self.labels, self.gradient_labels = params, labels, gradient_labels
        self.placed = [i for i, param in enumerate(params) if isinstance(param, DTensor)]
        self.tensors = list(params)
        for i in self.placed:
            self.tensors[i] = local(params[i], labels[i])

    def stands(self) -> bool:
        """Whether the parts are those that were laid out; who loads a model or moves it puts others in their place."""
        params, tensors = self.params, self.tensors
        return all(params[i]._local_tensor is tensors[i] for i in self.placed)

    def gradients(self, given: Sequence[Any]) -> list[Any]:
        """The parts of gradients that lie on this rank.

        One that is placed otherwise than its parameter (a sum whose terms lie on the ranks, say) is redistributed first, which all ranks
        take part in, as they do in torch's own steps.

        Raises TypeError or ValueError for one that is no DTensor, or of another mesh.
        """
        found, params = list(given), self.params
        for i in self.placed:
            gradient = found[i]
            if gradient is None:
                continue
            if gradient.__class__ is DTensor and gradient._spec is params[i]._spec:  # FSDP2's: one object for both
                part = gradient._local_tensor
            else:
                part = self._redistributed(gradient, i)
            found[i] = part if part.__class__ is torch.Tensor else _waited(part)
        return found

    def _redistributed(self, gradient: Any, i: int) -> Any:
        param, label = self.params[i], self.gradient_labels[i]
        if not isinstance(gradient, DTensor):
            raise TypeError(f"{label}: expected a DTensor, as its parameter is, received {type(gradient).__name__}")
        if gradient.device_mesh != param.device_mesh:
            raise ValueError(f"{label}: expected a DTensor on its parameter's mesh, {param.device_mesh}; received {gradient.device_mesh}")
        if gradient.placements != param.placements:
            gradient = gradient.redistribute(param.device_mesh, param.placements)
        return gradient._local_tensor

    def check_norm(self) -> None:
        """Raises ValueError where the norm of all gradients together cannot be had from one sum a rank."""
        first = self.params[self.placed[0]]
        alike = len(self.placed) == len(self.params) and all(
            param.device_mesh == first.device_mesh and _divided(param) == _divided(first) for param in self.params
        )
        if not alike:
            raise ValueError(
                "max_norm: expected parameters that are all DTensors, divided along the same dimensions of one mesh; received others among "
                "them, for which torch.nn.utils.clip_grad_norm_ before the step finds the norm"
            )

    def together(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sums of squares of all ranks that hold other parts, in the order of the ranks, from those of blocks on this one.

        Each rank gets all of them, and adds them up in one order: all have the same norm, to the last bit.
        """
        mesh, found = self.params[self.placed[0]].device_mesh, sums
        for dimension in reversed(_divided(self.params[self.placed[0]])):
            own = torch.tensor([total(found)], dtype=torch.float64, device=mesh.device_type)
            every = [torch.empty_like(own) for _ in range(mesh.size(dimension))]
            torch.distributed.all_gather(every, own, group=mesh.get_group(dimension))
            found = torch.cat(every).cpu().numpy()
        return found


def _divided(param: Any) -> list[int]:
    """The dimensions of the mesh along which ranks hold other parts."""
    return [dimension for dimension, placement in enumerate(param.placements) if not placement.is_replicate()]
