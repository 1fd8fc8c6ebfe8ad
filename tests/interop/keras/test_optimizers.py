from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import pytest

import fastopt
import fastopt.interop.keras as dropins
from tests.interop.keras.beside import (
    COMMON,
    NAMES,
    ON_TORCH,
    OPTIONS,
    STEPS,
    apart,
    both,
    called,
    fresh,
    gradients,
    in_float64,
    quiet,
    stepped,
    tolerance,
    values,
)

__all__ = ["in_float64"]

pytestmark = quiet
FAMILIES = {"RMSprop": "RMSProp", "Adagrad": "AdaGrad", "Adadelta": "AdaDelta", "Adamax": "AdaMax", "Nadam": "NAdam"}
NOT_HERE = {"Adafactor", "Ftrl", "Lamb", "LossScaleOptimizer", "MultiOptimizer", "Muon", "Optimizer", "OptimizerMap", "ScheduleFreeAdamW"}


@pytest.mark.parametrize("name", NAMES)
def test_walks_keras_own_path(name: str) -> None:
    for own in OPTIONS.get(name, [{}]):
        options = {**own, "weight_decay": 0.1}
        walked, names = [], []
        for optimizer in both(name, **options):
            variables = fresh()

            def change(step: int, optimizer: Any = optimizer) -> None:
                if step == STEPS // 2:
                    optimizer.learning_rate = 0.003

            stepped(optimizer, variables, STEPS, before=change)
            walked.append([*variables, *optimizer.variables])
            names.append(called(optimizer))
        assert apart(*walked) < tolerance(options), options
        assert names[0] == names[1]


@pytest.mark.parametrize("common", COMMON, ids=lambda options: ", ".join(options))
@pytest.mark.parametrize("name", ["SGD", "Adam", "Nadam"] if ON_TORCH else ["Nadam"])
def test_walks_it_with_every_option(name: str, common: dict[str, Any]) -> None:
    walked = []
    for optimizer in both(name, **common):
        variables = fresh()
        stepped(optimizer, variables, 13)
        optimizer.finalize_variable_values(variables)
        walked.append([*variables, *optimizer.variables])
    assert apart(*walked) < tolerance(common)


@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_within_rounding(name: str) -> None:
    keras.config.set_floatx("float32")
    walked = []
    for optimizer in both(name):
        variables = fresh()
        stepped(optimizer, variables, STEPS)
        walked.append([*variables, *optimizer.variables])
    assert apart(*walked) < 4e-6


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bits_as_fastopts_own_class(name: str) -> None:
    keras.config.set_floatx("float32")
    variables = fresh()
    arrays = values(variables)
    optimizer = getattr(dropins, name)(learning_rate=0.01, weight_decay=0.1)
    lr = optimizer.learning_rate.numpy().item()
    own = getattr(fastopt, FAMILIES.get(name, name))(arrays, lr=lr, weight_decay=0.1, convention="keras")
    for step in range(5):
        found = gradients(variables, step)
        optimizer.apply(found, variables)
        own.step([np.array(keras.ops.convert_to_numpy(g)) for g in found])
    for variable, array in zip(variables, arrays, strict=True):
        np.testing.assert_array_equal(variable.numpy(), array)


@pytest.mark.parametrize("name", NAMES)
def test_is_keras_own_class_with_its_signature(name: str) -> None:
    theirs = getattr(keras.optimizers, name)
    own = getattr(dropins, name)
    assert issubclass(own, theirs)
    assert list(inspect.signature(own).parameters) == list(inspect.signature(theirs.__init__).parameters)[1:]
    with pytest.raises(ValueError, match=r"not recognized.*nonsense"):
        own(nonsense=1)


def test_all_of_keras_classes_are_here_or_known_not_to_be() -> None:
    there = {name for name, value in vars(keras.optimizers).items() if inspect.isclass(value)}
    assert there - NOT_HERE == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_tells_of_keras_own_class(name: str) -> None:
    made = getattr(dropins, name)(learning_rate=keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), clipvalue=0.5)
    saved = keras.optimizers.serialize(made)
    assert (saved["module"], saved["class_name"], saved["registered_name"]) == ("keras.optimizers", name, None)
    again = keras.optimizers.deserialize(saved)
    assert isinstance(again, getattr(keras.optimizers, name))
    assert not isinstance(again, getattr(dropins, name))
    assert {**again.get_config(), "name": ""} == {**made.get_config(), "name": ""}
    assert isinstance(type(made).from_config(made.get_config()), getattr(dropins, name))


@pytest.mark.parametrize("name", NAMES)
def test_goes_on_where_keras_own_stands(name: str) -> None:
    options = OPTIONS.get(name, [{}])[-2 if name == "RMSprop" else -1]
    walked = []
    for going_on in (False, True):
        variables = fresh()
        optimizer = both(name, **options, weight_decay=0.1)[1]
        optimizer.exclude_from_weight_decay(var_list=variables[:1])
        stepped(optimizer, variables, 5)
        if going_on:
            optimizer = dropins.of(optimizer)
            assert type(optimizer) is getattr(dropins, name)
        stepped(optimizer, variables, 5, first=5)
        walked.append([*variables, *optimizer.variables])
    assert apart(*walked) < tolerance({})


def test_goes_on_by_a_schedule_and_before_it_is_built() -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    made = dropins.of(keras.optimizers.AdamW(schedule))
    assert type(made) is dropins.AdamW
    assert made._learning_rate is schedule
    assert not made.built
    with pytest.raises(TypeError, match=r"optimizer: expected one of Keras's SGD, RMSprop, .*, received Ftrl"):
        dropins.of(keras.optimizers.Ftrl())
