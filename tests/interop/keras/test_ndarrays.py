from __future__ import annotations

import keras
import numpy as np
import pytest

import fastopt.interop.keras as dropins
from tests.interop.keras.beside import ON_TORCH, apart, fresh, gradients, in_float64, quiet, stepped

if ON_TORCH:
    pytest.skip("of Keras on NumPy", allow_module_level=True)

__all__ = ["in_float64"]

pytestmark = quiet


def test_what_anybody_held_before_stays_and_later_values_are_stepped_in_place() -> None:
    given = np.ones(300)
    variable = keras.Variable(given, dtype="float64")
    held, copied = variable.value, variable.numpy()
    optimizer = stepped(dropins.Adam(0.01), [variable], 1)
    own = variable.value
    stepped(optimizer, [variable], 1, first=1)
    assert (given == 1).all()
    assert (held == 1).all()
    assert (copied == 1).all()
    assert variable.value is own
    assert not (variable.value == 1).any()


def test_what_is_assigned_is_stepped_from() -> None:
    found = []
    for optimizer in (dropins.SGD(0.25), keras.optimizers.SGD(0.25)):
        variables = fresh()
        stepped(optimizer, variables, 2)
        given = np.ones((3, 4))
        variables[0].assign(given)
        stepped(optimizer, variables, 2, first=2)
        assert (given == 1).all()
        found.append(variables)
    assert apart(*found) < 1e-6


def test_gradients_of_another_kind() -> None:
    variables, expected = fresh((4, 3)), fresh((4, 3))
    ours, other = dropins.SGD(0.1), dropins.SGD(0.1)
    (g,) = gradients(variables, 0)
    g = g.astype(np.float16).astype(np.float64)
    frozen = g.copy()
    frozen.flags.writeable = False
    for kind in [g.astype(np.float16), np.asfortranarray(g), g.tolist(), frozen, g.astype(">f8"), np.repeat(g, 2, axis=0)[::2]]:
        ours.apply([kind], variables)
        other.apply([g], expected)
    assert apart(variables, expected) == 0.0


def test_a_gradient_that_is_the_variables_own_memory() -> None:
    (variable,) = fresh((300,))
    before = variable.numpy().copy()
    optimizer = dropins.SGD(0.25)
    for _ in range(2):
        optimizer.apply([variable.value], [variable])
    np.testing.assert_allclose(variable.numpy(), before * 0.75**2, rtol=1e-15)


def test_variables_in_fortran_order() -> None:
    found = []
    for optimizer in (dropins.Adam(0.01), keras.optimizers.Adam(0.01)):
        variables = [keras.Variable(np.asfortranarray(np.arange(12.0).reshape(3, 4)), dtype="float64")]
        stepped(optimizer, variables, 3)
        found.append([*variables, *optimizer.variables])
    assert apart(*found) < 1e-5
