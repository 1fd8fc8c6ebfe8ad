"""The compiled gather of PyTorch's tensors: the answers that Python gives. Tensors in host memory are read as those on a device are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fastopt.cuda.arrays import DeviceArray
from fastopt.cuda.tensors import Tensors
from fastopt.storage import STORAGES

torch = pytest.importorskip("torch")
gather = pytest.importorskip("fastopt.cuda._gather", reason="not built: there is no C compiler")
if not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"):
    pytest.skip("this PyTorch has no C functions for DLPack", allow_module_level=True)

SHAPES: list[tuple[int, ...]] = [(3, 4), (), (0, 5), (7,), (1, 6), (2, 1, 3)]


NAMES = {torch.float32: "float32", torch.float64: "float64", torch.float16: "float16", torch.bfloat16: "bfloat16"}


def build(dtype: Any = torch.float32, gradient: Any = None) -> tuple[Tensors, list[Any], list[Any]]:
    """Both ways to look at tensors, for parameters of awkward shapes and layouts, and gradients."""
    gradient = gradient or dtype
    params = [torch.ones(shape, dtype=dtype).requires_grad_() for shape in SHAPES]
    params[3] = torch.nn.Parameter(torch.ones(7, dtype=dtype))
    params += [torch.ones(4, 6, dtype=dtype).t(), torch.ones(2, 3, 4, 5, dtype=dtype).to(memory_format=torch.channels_last)]
    own = STORAGES[NAMES[dtype]].dtype
    views = [DeviceArray(p.data_ptr(), tuple(p.shape), own, -1, p, True, strides=p.stride()) for p in params]
    tensors = Tensors(views, STORAGES[NAMES[gradient]].dtype)
    assert tensors.compiled is not None
    return tensors, params, [torch.ones_like(p, dtype=gradient, requires_grad=False) for p in params]


def both(tensors: Tensors, gradients: Any) -> list[int] | None:
    """What the two say, which must be one."""
    compiled, looked_at = tensors.addresses(gradients), tensors.looked_at(gradients)
    assert compiled == looked_at
    return compiled


@pytest.mark.parametrize("gradient", list(NAMES))
@pytest.mark.parametrize("dtype", list(NAMES))
def test_addresses(dtype: Any, gradient: Any) -> None:
    tensors, _, gradients = build(dtype, gradient)
    dtype = gradient
    assert both(tensors, gradients) == [g.data_ptr() for g in gradients]
    gradients[3] = torch.ones(20, dtype=dtype)[5:12]
    assert both(tensors, gradients) == [g.data_ptr() for g in gradients]
    gradients[4] = torch.ones(6, 1, dtype=dtype).t()  # contiguous all the same: the stride of a length of 1 does not matter
    assert both(tensors, gradients) == [g.data_ptr() for g in gradients]


@pytest.mark.parametrize(
    ("place", "spoiled"),
    [
        (0, lambda g: g.double()),
        (0, lambda g: g.half()),
        (0, lambda g: g.int()),
        (0, lambda g: g.view(torch.int32)),
        (0, lambda g: torch.ones(4, 3).t()),
        (0, lambda g: torch.ones(3, 8)[:, ::2]),
        (0, lambda g: torch.ones(1).expand(3, 4)),
        (0, lambda g: g.reshape(4, 3)),
        (0, lambda g: g.reshape(12)),
        (1, lambda g: g.reshape(1)),
        (2, lambda g: torch.ones(5, 0)),
        (3, lambda g: torch.ones(8)),
        (3, lambda g: g.to_sparse()),
        (3, lambda g: g.numpy()),
        (3, lambda g: torch.nn.Parameter(g)),
        (3, lambda g: g.bfloat16()),
        (6, lambda g: g.contiguous()),
        (6, lambda g: torch.ones(6, 8)[:, ::2]),
        (7, lambda g: g.contiguous()),
    ],
)
def test_what_is_left_to_python(place: int, spoiled: Callable[[Any], Any]) -> None:
    tensors, _, gradients = build()
    gradients[place] = spoiled(gradients[place])
    assert tensors.addresses(gradients) is None
    assert tensors.looked_at(gradients) is None


@pytest.mark.parametrize(("dtype", "other"), [(torch.float16, torch.bfloat16), (torch.bfloat16, torch.float16)])
def test_two_types_of_one_size(dtype: Any, other: Any) -> None:
    tensors, _, gradients = build(torch.float32, dtype)
    assert both(tensors, gradients) is not None
    assert both(tensors, [g.to(other) for g in gradients]) is None


def test_gradients_that_are_none() -> None:
    tensors, _, gradients = build()
    gradients[1] = gradients[3] = None
    assert both(tensors, gradients) == [None if g is None else g.data_ptr() for g in gradients]


def test_parameters_that_moved() -> None:
    tensors, params, gradients = build()
    assert both(tensors, gradients) is not None
    params[0].data = torch.ones(3, 4)
    assert both(tensors, gradients) is None


def test_parameters_that_were_reshaped_in_place() -> None:
    tensors, params, gradients = build()
    with torch.no_grad():
        params[0].t_()
    assert both(tensors, gradients) is None


def test_another_number_of_gradients() -> None:
    tensors, _, gradients = build()
    assert tensors.addresses(gradients[:-1]) is None
    assert tensors.addresses([*gradients, gradients[0]]) is None


def test_what_it_cannot_be_built_for() -> None:
    tensor = torch.ones(3)
    with pytest.raises(ValueError, match=r"^ndarray has no C functions for DLPack$"):
        gather.Gatherer([tensor.numpy()], type(tensor.numpy()), 2, 32, 1, 0)
    with pytest.raises(ValueError, match=r"^expected parameters of Tensor, received list$"):
        gather.Gatherer([[1.0]], torch.Tensor, 2, 32, 1, 0)
    built = gather.Gatherer([tensor], torch.Tensor, 2, 32, *tensor.__dlpack_device__())
    with pytest.raises(RuntimeError, match="__init__ runs once"):
        built.__init__([tensor], torch.Tensor, 2, 32, 1, 0)


def test_another_device() -> None:
    tensor, gradient = torch.ones(3), torch.ones(3)
    kind, number = tensor.__dlpack_device__()
    assert gather.Gatherer([tensor], torch.Tensor, 2, 32, kind, number)([gradient]) == [gradient.data_ptr()]
    assert gather.Gatherer([tensor], torch.Tensor, 2, 32, kind, number + 1)([gradient]) is None
    assert gather.Gatherer([tensor], torch.Tensor, 2, 32, 2, number)([gradient]) is None
