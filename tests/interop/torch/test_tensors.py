"""Tensors however they lie: parameters that are really updated, gradients that are used as they lie or copied, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import fastopt
import fastopt.interop.torch as dropins
from fastopt.interop.torch import looks
from fastopt.interop.torch.tensors import tensor_of, view

LAYOUTS: dict[str, Callable[[], Any]] = {
    "contiguous": lambda: torch.randn(4, 3),
    "transposed": lambda: torch.randn(3, 4).t(),
    "permuted": lambda: torch.randn(3, 4, 5).permute(1, 2, 0),
    "channels last": lambda: torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "part of another": lambda: torch.randn(10)[3:7],
    "0-d": lambda: torch.randn(()),
    "of one element": lambda: torch.randn(1, 1),
    "empty": lambda: torch.randn(0, 3),
}
GRADIENTS: dict[str, Callable[[Any], Any]] = {
    "as its parameter": lambda p: torch.randn_like(p),
    "C-contiguous": lambda p: torch.randn(p.shape),
    "with gaps": lambda p: torch.randn((*p.shape, 2))[..., 0],
    "expanded": lambda p: torch.randn(()).expand(p.shape),
    "its own parameter": lambda p: p.detach(),
    "negated when it is read": lambda p: torch.randn(p.shape, dtype=torch.complex64).conj().imag,
    "a parameter": lambda p: torch.nn.Parameter(torch.randn_like(p)),
}


@pytest.fixture(params=["compiled", "Python"])
def _gathered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "Python":
        monkeypatch.setattr(looks, "HostGatherer", None)
    elif looks.HostGatherer is None:
        pytest.skip("nothing was compiled")


@pytest.mark.usefixtures("_gathered")
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("lying", LAYOUTS)
def test_every_dense_parameter_is_updated_by_whatever_gradient(lying: str, gradient: str) -> None:
    torch.manual_seed(0)
    first = LAYOUTS[lying]()
    p = torch.nn.Parameter(first)
    assert p.data_ptr() == first.data_ptr()
    q = torch.nn.Parameter(first.clone(memory_format=torch.preserve_format))
    ours, theirs = dropins.Adam([p], lr=0.1), torch.optim.Adam([q], lr=0.1)
    for _ in range(3):
        p.grad = GRADIENTS[gradient](p)
        q.grad = p.grad.detach().clone()
        ours.step()
        theirs.step()
    torch.testing.assert_close(first, q.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: torch.randn(4, 6)[:, ::2], ValueError, r"params\[0\]\[1\]: expected a dense array"),
        (lambda: torch.randn(3).expand(4, 3), ValueError, "dense array"),
        (lambda: torch.randn(3, dtype=torch.complex64), TypeError, "complex64"),
        (lambda: torch.randn(3, device="meta"), TypeError, "host memory, received one on meta"),
        (lambda: torch.ones(1, dtype=torch.complex64).conj().imag, ValueError, "negated"),
        (lambda: torch.eye(3).to_sparse(), TypeError, "sparse_coo"),
        (lambda: torch.randn(3).to(torch.float8_e4m3fn), TypeError, "float8"),
    ],
)
def test_parameters_that_no_step_can_write_to_are_refused(make: Callable[[], Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        dropins.SGD([torch.ones(2), make()], lr=0.1)


def test_parameters_in_the_same_memory_are_refused() -> None:
    whole = torch.ones(10)
    optimizer = dropins.SGD([whole[:6], whole[4:]], lr=0.1)
    whole.grad = None
    with pytest.raises(ValueError, match="overlap"):
        optimizer.step()


@pytest.mark.usefixtures("_gathered")
@pytest.mark.parametrize("name", ["SGD", "Adam", "Adagrad"])
def test_sparse_gradients_are_refused_with_nothing_changed(name: str) -> None:
    layer, other = torch.nn.Embedding(5, 3, sparse=True), torch.nn.Parameter(torch.ones(3))
    optimizer = getattr(dropins, name)([other, *layer.parameters()], lr=0.1)
    other.grad = torch.ones(3)
    layer(torch.tensor([1, 2])).sum().backward()
    before = layer.weight.detach().clone()
    with pytest.raises(RuntimeError, match=r"grads\[0\]\[1\]: sparse gradients are not supported"):
        optimizer.step()
    assert torch.equal(layer.weight, before)
    assert (other == 1).all()


@pytest.mark.usefixtures("_gathered")
def test_a_parameter_that_lies_elsewhere_by_now_is_found_there() -> None:
    p = torch.nn.Parameter(torch.ones(3, 4))
    optimizer = dropins.SGD([p], lr=0.5, momentum=0.5)
    p.grad = torch.ones(3, 4)
    optimizer.step()
    before = p.data
    for _ in range(2):
        p.data = p.data.clone()
        optimizer.step()
    assert (before == 0.5).all()
    assert (p == 0.5 - 0.75 - 0.875).all()
    p.data = p.data.t().contiguous().t()  # another order of its elements, and so of its states
    p.grad = torch.arange(12.0).reshape(3, 4)
    optimizer.step()
    expected = torch.full((3, 4), 0.5 - 0.75 - 0.875) - 0.5 * (0.5 * 1.75 + torch.arange(12.0).reshape(3, 4))
    assert torch.equal(p.detach(), expected)


def test_a_model_that_changed_its_dtype_goes_on() -> None:
    layer = torch.nn.Linear(3, 2)
    optimizer = dropins.Adam(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    layer.double()
    layer.zero_grad()
    layer(torch.ones(1, 3, dtype=torch.float64)).sum().backward()
    optimizer.step()
    assert optimizer.state[layer.weight]["exp_avg"].dtype is torch.float64
    assert optimizer.state[layer.weight]["step"] == 2


def test_gradients_of_another_dtype_are_refused() -> None:
    p = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = dropins.SGD([p], lr=0.1)
    p.grad = torch.ones(3, dtype=torch.float64)
    optimizer.step()
    p.grad = None
    p.grad_dtype = torch.float32
    p.grad = torch.ones(3)
    with pytest.raises(TypeError, match=r"torch\.float64, as its parameter is, received torch\.float32"):
        optimizer.step()


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_narrow_parameters_have_wide_states_and_step_as_fastopts_own(name: str) -> None:
    pytest.importorskip("ml_dtypes")
    dtype = getattr(torch, name)
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.randn(7, 5).to(dtype))
    q = view(p).copy()
    ours, theirs = dropins.SGD([p], lr=0.1, momentum=0.9), fastopt.SGD(q, lr=0.1, momentum=0.9)
    for _ in range(3):
        p.grad = torch.randn(7, 5).to(dtype)
        ours.step()
        theirs.step(view(p.grad))
    assert (view(p) == q).all()
    assert ours.state[p]["momentum_buffer"].dtype is torch.float32
    again = dropins.SGD([p], lr=0.1)
    saved = ours.state_dict()
    again.load_state_dict(saved)  # torch would round them to the parameter's dtype
    assert torch.equal(again.state[p]["momentum_buffer"], ours.state[p]["momentum_buffer"])


def test_states_may_be_narrow() -> None:
    pytest.importorskip("ml_dtypes")
    p = torch.nn.Parameter(torch.ones(9))
    q = np.ones(9, np.float32)
    ours, theirs = dropins.Adam([p], state_dtype=torch.bfloat16), fastopt.Adam(q, state_dtype="bfloat16")
    p.grad = torch.linspace(-1, 1, 9)
    for _ in range(2):
        ours.step()
        theirs.step(p.grad.numpy())
    assert (p.detach().numpy() == q).all()
    assert ours.state[p]["exp_avg"].dtype is torch.bfloat16


@pytest.mark.parametrize("name", ["float32", "float64", "float16", "bfloat16"])
def test_views_share_memory_both_ways(name: str) -> None:
    if name == "bfloat16":
        pytest.importorskip("ml_dtypes")
    tensor = torch.ones(3, 2, dtype=getattr(torch, name), requires_grad=True)
    array = view(tensor)
    array[1, 1] = 2.5
    assert tensor[1, 1] == 2.5
    assert array.dtype.name == name
    back = tensor_of(array)
    assert back.data_ptr() == tensor.data_ptr()
    assert back.dtype is tensor.dtype


@pytest.mark.usefixtures("_gathered")
def test_the_same_memory_read_as_another_dtype_is_noticed() -> None:
    p = torch.ones(3)
    optimizer = dropins.SGD([p], lr=0.5)
    p.grad = torch.ones(3)
    optimizer.step()
    p.data = p.data.view(torch.int32)
    with pytest.raises(TypeError, match=r"params\[0\]\[0\]: expected a tensor of .*, received torch\.int32"):
        optimizer.step()
