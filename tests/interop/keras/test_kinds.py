from __future__ import annotations

import keras
import numpy as np
import pytest

import fastopt.interop.keras as dropins
from fastopt.interop.keras.kinds import KINDS, number
from tests.interop.keras.beside import NAMES, fresh, in_float64, quiet

__all__ = ["in_float64"]

pytestmark = quiet


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.array(0.5)])
def test_numbers(value: object) -> None:
    assert number(value) == number(keras.ops.convert_to_tensor(value)) == number(keras.Variable(value)) == 0.5
    assert type(number(value)) is float


def test_what_is_no_number_stays() -> None:
    assert number(None) is None
    assert number(True) is True


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_the_conventions(name: str) -> None:
    kind = KINDS["Adam" if name == "AdamW" else name]
    values = kind.values(kind.read(getattr(dropins, name)()))
    expected = kind.family.defaults("keras")
    assert {**values, "weight_decay": 0.0} == {own: expected[own] for own in values}


def test_keras_looks_at_nesterov_only_beside_a_momentum() -> None:
    kind = KINDS["SGD"]
    assert kind.values((None, 0.0, True)) == {"weight_decay": 0.0, "momentum": 0.0, "nesterov": False}
    assert kind.values((0.1, 0.9, True)) == {"weight_decay": 0.1, "momentum": 0.9, "nesterov": True}


@pytest.mark.parametrize("name", NAMES)
def test_states_are_where_keras_keeps_them(name: str) -> None:
    """The attributes, which are none of Keras's public ones."""
    options = {"SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.9, "centered": True}, "Adam": {"amsgrad": True}}.get(name, {})
    made, variables = getattr(dropins, name)(**options), fresh()
    made.build(variables)
    kind = KINDS["Adam" if name == "AdamW" else name]
    for attribute in kind.states.values():
        if name != "AdamW" or attribute != "_velocity_hats":
            assert len(getattr(made, attribute)) == len(variables)
    assert kind.memory is None or isinstance(getattr(made, kind.memory), keras.Variable)
