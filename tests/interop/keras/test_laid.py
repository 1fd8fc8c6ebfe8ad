from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import fastopt.interop.keras as dropins
from fastopt.interop.keras.laid import same, structure
from tests.interop.keras.beside import ON_TORCH, apart, fresh, gradients, in_float64, quiet, stepped, values

__all__ = ["in_float64"]

pytestmark = quiet


def test_sameness_is_of_objects() -> None:
    some = [object(), object()]
    assert same(some, tuple(some))
    assert not same(some, some[:1])
    assert not same(some, [some[0], object()])


def test_variables_are_called_by_their_paths_or_numbers() -> None:
    assert list(structure(fresh((1,), (2,))).labels("variables")) == ["variables['w0']", "variables['w1']"]
    twice = [keras.Variable(0.0, name="w"), keras.Variable(0.0, name="w")]
    assert list(structure(twice).labels("variables")) == ["variables[0]", "variables[1]"]


def test_laid_out_once_and_anew_where_something_else_is_there() -> None:
    variables = fresh()
    optimizer = stepped(dropins.Adam(0.01), variables, 1)
    first = optimizer._laid
    optimizer.learning_rate = 0.002
    stepped(optimizer, variables, 2, first=1)
    assert optimizer._laid is first
    optimizer.beta_1 = 0.5
    stepped(optimizer, variables, 1, first=3)
    second = optimizer._laid
    assert second is not first
    optimizer._momentums[0].assign(np.ones((3, 4)))  # in place on PyTorch, another array on NumPy
    stepped(optimizer, variables, 1, first=4)
    assert (optimizer._laid is second) == ON_TORCH


def test_an_array_argument_is_looked_into() -> None:
    way = []
    for beta in (0.5, keras.ops.convert_to_tensor(np.array(0.9))):
        variables = fresh()
        optimizer = stepped(dropins.Adam(0.01, beta_1=beta), variables, 1)
        if not isinstance(beta, float):
            beta[...] = 0.5
            stepped(optimizer, variables, 1, first=1)
            assert optimizer._laid.values["betas"] == (0.5, 0.999)
        way.append(variables)
    assert apart(*way) > 1e-4


def test_every_variable_has_the_one_step_count() -> None:
    """Keras has one, where other frameworks count for each parameter."""
    variables, alike = fresh((3,), (3,)), fresh((3,), (3,))
    optimizer, other = (dropins.Adam(0.01) for _ in range(2))
    for made, some in ((optimizer, variables), (other, alike)):
        made.build(some)
    for step in range(4):
        found = gradients(variables, step)
        optimizer.apply([found[0]], [variables[0]])
        other.apply([found[0]], [alike[0]])
    optimizer.apply(gradients(variables, 5), variables)
    assert len(optimizer._laid.plan.active) == 1
    assert optimizer._laid.plan.active[0].steps == 5


def test_states_that_do_not_fit_are_refused() -> None:
    variables = fresh()
    optimizer = stepped(dropins.Adam(0.01), variables, 1)
    before = values(variables)
    optimizer._velocities[2]._value = keras.Variable(np.ones(300), dtype="float32")._value
    if ON_TORCH:
        with pytest.raises(ValueError, match=r"w2_velocity: expected shape \(300,\) and dtype float64, .*, received \(300,\) and float32"):
            stepped(optimizer, variables, 1)
    optimizer._velocities[2]._value = keras.Variable(np.ones(30), dtype="float64")._value
    with pytest.raises(ValueError, match=r"w2_velocity: expected shape \(300,\) and dtype float64, .*, received \(30,\) and float64"):
        stepped(optimizer, variables, 1)
    assert all(map(np.array_equal, before, values(variables)))


def test_mixed_dtypes_are_batches_of_one_step() -> None:
    variables = [keras.Variable(np.ones(5), dtype=dtype) for dtype in ("float32", "float64", "float16")]
    optimizer = dropins.Adam(0.01, weight_decay=0.1)
    for step in range(3):
        (g,) = gradients(variables[1:2], step)
        optimizer.apply([keras.ops.cast(g, v.dtype) for v in variables], variables)
    assert len(optimizer._laid.plan.batches) == 3
    assert [m.dtype for m in optimizer._momentums] == ["float32", "float64", "float16"]
    ends = values(variables)
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-6)
    np.testing.assert_allclose(ends[2].astype(float), ends[1], rtol=5e-3)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_on_another_of_fastopts_backends(backend: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("FASTOPT_BACKEND", backend)
    found = [stepped(dropins.SGD(0.01, global_clipnorm=1.0), variables := fresh(), 3) and variables]
    monkeypatch.undo()
    found.append(stepped(dropins.SGD(0.01, global_clipnorm=1.0), variables := fresh(), 3) and variables)
    assert apart(*found) == 0.0
