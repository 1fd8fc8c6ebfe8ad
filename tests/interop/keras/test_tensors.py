from __future__ import annotations

import weakref
from typing import Any

import keras
import numpy as np
import pytest

from tests.interop.keras.beside import ON_TORCH, apart, fresh, gradients, in_float64, quiet, stepped, values

if not ON_TORCH:
    pytest.skip("of Keras on PyTorch", allow_module_level=True)

import torch

import fastopt.interop.keras as dropins

__all__ = ["in_float64"]

pytestmark = quiet


def transposed(seed: int = 0) -> Any:
    made = torch.Generator().manual_seed(seed)
    found = keras.Variable(torch.randn(4, 3, generator=made, dtype=torch.float64).T, dtype="float64", name="w")
    assert found.value.stride() == (1, 3)
    return found


def test_memory_is_stepped_in_place() -> None:
    variables = fresh()
    addresses = [v.value.data_ptr() for v in variables]
    optimizer = stepped(dropins.Adam(0.01), variables, 1)
    states = [v.value.data_ptr() for v in optimizer.variables]
    stepped(optimizer, variables, 3)
    assert [v.value.data_ptr() for v in variables] == addresses
    assert [v.value.data_ptr() for v in optimizer.variables] == states


def test_states_lie_as_their_transposed_variables_do() -> None:
    found = []
    for optimizer in (dropins.Adam(0.01), keras.optimizers.Adam(0.01)):
        variables = [transposed()]
        stepped(optimizer, variables, 3)
        found.append([*variables, *optimizer.variables])
    assert found[0][3].value.stride() == (1, 3)
    assert apart(*found) < 1e-13


def test_memory_that_was_put_in_the_place_of_other() -> None:
    found = []
    for optimizer in (dropins.Adam(0.01), keras.optimizers.Adam(0.01)):
        variables = fresh()
        for step in range(4):
            stepped(optimizer, variables, 1, first=step)
            moved = (variables[0], optimizer._velocities[1])[step % 2]
            moved.value.data = moved.value.data.clone() + 1
        variables[0].value.data = variables[0].value.data.T.contiguous().T
        stepped(optimizer, variables, 2, first=4)
        found.append([*variables, *optimizer.variables])
    assert apart(*found) < 1e-13


def test_gradients_of_another_kind() -> None:
    variables, expected = fresh((4, 3)), fresh((4, 3))
    ours, other = dropins.SGD(0.1), dropins.SGD(0.1)
    (g,) = gradients(variables, 0)
    g = g.to(torch.float16).to(torch.float64)
    kinds = [g.half(), g.numpy(), keras.Variable(g), torch.nn.Parameter(g), g.T.contiguous().T, g.clone()]
    for kind in kinds:
        ours.apply([kind], variables)
        other.apply([g], expected)
    assert apart(variables, expected) == 0.0


def test_a_gradient_that_is_the_variables_own_memory() -> None:
    (variable,) = fresh((300,))
    before = variable.numpy().copy()
    dropins.SGD(0.25).apply([variable.value.detach()], [variable])
    np.testing.assert_array_equal(variable.numpy(), before - 0.25 * before)


@pytest.mark.parametrize("usable", [True, False])
def test_gradients_are_let_go_of(usable: bool) -> None:
    variables = fresh((4, 3))
    optimizer = stepped(dropins.SGD(0.1), variables, 1)
    (g,) = gradients(variables, 1)
    g = g if usable else g.half()
    there = weakref.ref(g)
    optimizer.apply([g], variables)
    del g
    assert there() is None
    assert not any(batch.work.taken for batch in optimizer._laid.plan.batches)


def test_sparse_gradients_are_refused() -> None:
    variables = fresh((3, 4))
    optimizer = stepped(dropins.Adam(0.01), variables, 1)
    before = values(variables)
    with pytest.raises(RuntimeError, match=r"grads\['w0'\]: sparse gradients are not supported"):
        optimizer.apply([gradients(variables, 1)[0].to_sparse()], variables)
    assert np.array_equal(before[0], values(variables)[0])


def test_autograd_hears_of_it() -> None:
    (variable,) = fresh((3,))
    loss = (variable.value**2).sum()
    dropins.SGD(0.1).apply(gradients([variable], 0), [variable])
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_inference_tensors_are_stepped_in_inference_mode_only() -> None:
    with torch.inference_mode():
        variables = fresh((3,))
        optimizer = stepped(dropins.SGD(0.1), variables, 1)
    before = values(variables)
    with pytest.raises(RuntimeError, match=r"expected a step within torch.inference_mode\(\)"):
        stepped(optimizer, variables, 1)
    assert np.array_equal(before[0], values(variables)[0])


def test_other_devices_are_refused() -> None:
    with keras.device("meta"):
        variable = keras.Variable(np.ones(3), name="w")
    with pytest.raises(TypeError, match=r"variables\['w'\]: expected a tensor in host memory, received one on meta"):
        dropins.Adam().build([variable])


def test_bfloat16_is_computed_with_in_float32() -> None:
    variables = [keras.Variable(np.ones(5), dtype="bfloat16")]
    optimizer = stepped(dropins.Adam(0.01), variables, 1)
    assert optimizer._momentums[0].value.dtype is torch.bfloat16
    assert variables[0].value.dtype is torch.bfloat16
    assert (variables[0].value < 1.02).all()
    assert (variables[0].value != 1).all()
