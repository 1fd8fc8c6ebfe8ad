from __future__ import annotations

import math
import warnings
from typing import Any

import keras
import numpy as np
import pytest

import fastopt.interop.keras as dropins
from tests.interop.keras.beside import apart, both, fresh, gradients, in_float64, only_torch, quiet, stepped, tolerance, values

__all__ = ["in_float64"]

pytestmark = quiet


def walked(before: Any = lambda optimizer, variables, step: None, steps: int = 8, name: str = "Adam", **options: Any) -> list[list[Any]]:
    """The ways of both, with something done before each step."""
    found = []
    for optimizer in both(name, **options):
        variables = fresh()
        for step in range(steps):
            before(optimizer, variables, step)
            optimizer.apply(gradients(variables, step), variables)
        found.append([*variables, *optimizer.variables])
    return found


@pytest.mark.parametrize("by", ["list", "names"])
def test_excluded_from_weight_decay(by: str) -> None:
    def exclude(optimizer: Any, variables: list[Any], step: int) -> None:
        if step == 0:
            optimizer.exclude_from_weight_decay(**({"var_list": variables[1:3]} if by == "list" else {"var_names": ["w1", "w2"]}))

    ours, theirs = walked(exclude, name="AdamW", weight_decay=0.5)
    assert apart(ours, theirs) < tolerance({})
    assert apart(ours, walked(name="AdamW", weight_decay=0.5)[0]) > 1e-3


def test_excluded_while_it_steps() -> None:
    def exclude(optimizer: Any, variables: list[Any], step: int) -> None:
        if step == 4:
            optimizer.exclude_from_weight_decay(var_list=variables[:2])

    assert apart(*walked(exclude, weight_decay=0.5)) < tolerance({})


def test_schedules_and_rates_by_a_function() -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    assert apart(*walked(learning_rate=schedule)) < tolerance({})
    assert apart(*walked(learning_rate=schedule, gradient_accumulation_steps=2)) < tolerance({})
    assert apart(*walked(learning_rate=lambda: keras.ops.convert_to_tensor(0.25), name="SGD")) < tolerance({})


def test_step_counts_are_keras_own() -> None:
    def set_it(optimizer: Any, variables: list[Any], step: int) -> None:
        if step == 3:
            optimizer.iterations.assign(100)

    for name in ("Adam", "Nadam"):
        assert apart(*walked(set_it, name=name)) < tolerance({})
    made = stepped(dropins.Adam(), fresh(), 3)
    assert int(made.iterations) == 3


def test_arguments_are_followed() -> None:
    def change(optimizer: Any, variables: list[Any], step: int) -> None:
        if step == 3:
            optimizer.beta_1 = 0.5
            optimizer.weight_decay = 0.2
        if step == 5:
            optimizer.global_clipnorm = 0.5
            optimizer.learning_rate.assign(0.002)

    assert apart(*walked(change)) < tolerance({"global_clipnorm": 0.5})


def test_weights_that_were_set_are_stepped_from() -> None:
    def assign(optimizer: Any, variables: list[Any], step: int) -> None:
        if step == 3:
            variables[0].assign(np.ones((3, 4)))
            optimizer.set_weights([np.full(v.shape, 3) if v.shape else v.numpy() for v in optimizer.variables])

    assert apart(*walked(assign)) < tolerance({})


def test_the_product_of_momenta_is_keras_variable_and_known_better() -> None:
    def assign(optimizer: Any, variables: list[Any], step: int) -> None:
        if step == 3:
            optimizer._u_product.assign(0.5)

    assert apart(*walked(assign, name="Nadam")) < tolerance({})
    keras.config.set_floatx("float32")
    optimizer = stepped(dropins.Nadam(0.01), fresh(), 9)
    expected = math.prod(0.9 * (1 - 0.5 * 0.96**t) for t in range(1, 10))
    assert optimizer._laid.remembered == pytest.approx(expected, rel=1e-14)
    assert optimizer._u_product.numpy() == np.float32(expected)


def test_a_rate_that_cannot_be_used_from_the_beginning() -> None:
    variables = fresh()
    before = values(variables)
    for rate in (-1.0, float("inf"), lambda: "fast"):
        with pytest.raises((TypeError, ValueError), match="learning_rate: expected a finite number >= 0, received"):
            dropins.Adam(rate).apply(gradients(variables, 0), variables)
    assert all(map(np.array_equal, before, values(variables)))


def test_none_is_a_gradient_that_keras_warns_of() -> None:
    found = []
    for optimizer in both("Nadam"):
        variables = fresh()
        for step in range(6):
            some: list[Any] = gradients(variables, step)
            some[step % 2] = None
            with pytest.warns(UserWarning, match=f"Gradients do not exist for variables .*w{step % 2}"):
                optimizer.apply(some, variables)
        found.append([*variables, *optimizer.variables])
    assert apart(*found) < tolerance({})
    before = values(found[0])
    with pytest.raises(ValueError, match="No gradients provided for any variable"):
        both("Nadam")[0].apply([None] * 5, fresh())
    assert all(map(np.array_equal, before, values(found[0])))


@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 2, "weight_decay": 0.1}])
def test_some_variables_and_in_another_order(options: dict[str, Any]) -> None:
    found = []
    for optimizer in both("Adam", **options):
        variables = fresh()
        optimizer.build(variables)
        for step in range(6):
            some = [variables[k] for k in (2, 0)] if step % 3 else variables
            optimizer.apply_gradients(zip(gradients(some, step), some, strict=True))
        optimizer.apply(gradients(variables, 7))
        found.append([*variables, *optimizer.variables])
    assert apart(*found) < tolerance({})


def test_constraints() -> None:
    found = []
    for optimizer in both("SGD", learning_rate=1.0):
        variables = fresh()
        variables[0].constraint = keras.constraints.MaxNorm(0.5)
        stepped(optimizer, variables, 4)
        found.append(variables)
    assert apart(*found) < 1e-6  # Keras's own, in float32
    assert np.abs(values(found[0])[0]).max() <= 0.5


def test_what_keras_overwrites_with_its_gradient() -> None:
    found = []
    for optimizer in both("Adam"):
        variables = fresh()
        variables[1].overwrite_with_gradient = True
        stepped(optimizer, variables, 4)
        found.append([*variables, *optimizer.variables])
        np.testing.assert_array_equal(variables[1].numpy(), keras.ops.convert_to_numpy(gradients(variables, 3)[1]))
    assert apart(*found) < tolerance({})


def test_scaled_losses() -> None:
    found = []
    for inner in both("Adam"):
        optimizer, variables = keras.optimizers.LossScaleOptimizer(inner, initial_scale=8.0), fresh()
        stepped(optimizer, variables, 3)
        infinite = gradients(variables, 3)
        infinite[2] = infinite[2] * np.inf
        optimizer.apply(infinite, variables)
        stepped(optimizer, variables, 3, first=4)
        assert int(inner.iterations) == 6
        found.append([*variables, *optimizer.variables])
    assert apart(*found) < tolerance({})


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1, "global_clipnorm": 1.0}, {"gradient_accumulation_steps": 2}])
def test_stateless_apply_leaves_variables_alone(options: dict[str, Any]) -> None:
    for name in ("Adam", "Nadam"):
        found = []
        for optimizer in both(name, **options):
            variables = fresh((3,), (2, 2))
            optimizer.build(variables)
            before = values([*variables, *optimizer.variables])
            own = [[keras.ops.copy(v.value) for v in some] for some in (optimizer.variables, variables)]
            parameters, states = optimizer.stateless_apply(own[0], gradients(variables, 0), own[1])
            parameters, states = optimizer.stateless_apply(states, gradients(variables, 1), parameters)
            assert all(map(np.array_equal, before, values([*variables, *optimizer.variables])))
            found.append([keras.ops.convert_to_numpy(v) for v in (*parameters, *states)])
        for own, theirs in zip(*found, strict=True):
            np.testing.assert_allclose(own, theirs, atol=1e-6)


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (ValueError, r"learning_rate: expected a finite number >= 0, received -1.0", {"learning_rate": -1.0}),
        (ValueError, r"learning_rate: expected a finite number >= 0, received nan", {"learning_rate": float("nan")}),
        (ValueError, r"weight_decay: expected", {"weight_decay": -0.5}),
        (ValueError, r"betas\[0\]: expected", {"beta_1": 1.5}),
        (ValueError, r"eps: expected", {"epsilon": float("inf")}),
        (ValueError, r"grad_scale: expected", {"loss_scale_factor": 0.0}),
        (TypeError, r"amsgrad: expected", {"amsgrad": "yes"}),
        (ValueError, r"_velocity_hats: expected the variables that Adam with these arguments keeps", {"amsgrad": True}),
    ],
)
def test_refused_with_nothing_changed(error: type[Exception], message: str, change: dict[str, Any]) -> None:
    variables = fresh()
    optimizer = stepped(dropins.Adam(0.01), variables, 2)
    before = values([*variables, *optimizer.variables])
    old = {name: getattr(optimizer, name) for name in change}
    kept = float(old["learning_rate"].numpy()) if "learning_rate" in old else None
    for name, value in change.items():
        setattr(optimizer, name, value)
    with pytest.raises(error, match=message):
        stepped(optimizer, variables, 1, first=2)
    for name, value in old.items():
        setattr(optimizer, name, value if kept is None else kept)
    assert all(map(np.array_equal, before, values([*variables, *optimizer.variables])))
    other = stepped(dropins.Adam(0.01), fresh(), 3)
    stepped(optimizer, variables, 1, first=2)
    assert apart(optimizer.variables, other.variables) == 0.0


def test_gradients_that_cannot_be_used() -> None:
    variables = fresh()
    optimizer = stepped(dropins.Adam(0.01), variables, 2)
    before = values([*variables, *optimizer.variables])
    found = gradients(variables, 2)
    with pytest.raises(ValueError, match=r"grads: expected one for each of 5 variables, received 4"):
        optimizer.apply(found[1:], variables)
    with pytest.raises(ValueError, match="gradients must match"):
        optimizer.apply(found[1:])
    with pytest.raises(ValueError, match="must already be built"):
        dropins.Adam().apply(found)
    with pytest.raises(ValueError, match="shape"):
        optimizer.apply([found[1], *found[1:]], variables)
    with pytest.raises(ValueError, match=r"trainable_variables: expected each variable once, received w0 twice"):
        optimizer.apply([found[0], found[0]], [variables[0], variables[0]])
    with pytest.raises(ValueError, match="Unknown variable"):
        optimizer.apply(found, fresh())
    optimizer.apply([])
    assert all(map(np.array_equal, before, values([*variables, *optimizer.variables])))


def test_variables_that_cannot_be_stepped_are_refused_before_states_are_made() -> None:
    optimizer = dropins.Adam()
    with pytest.raises(TypeError, match=r"variables\['count'\]: expected"):
        optimizer.build([keras.Variable(3, dtype="int32", name="count", trainable=False)])
    assert len(optimizer.variables) == 2
    optimizer.build(fresh())


def test_a_norm_that_is_not_finite_makes_parameters_nan_as_keras_does() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for optimizer in both("SGD", global_clipnorm=1.0):
            variables = fresh()
            found = gradients(variables, 0)
            found[0] = found[0] * np.inf
            optimizer.apply(found, variables)
            assert np.isnan(variables[1].numpy()).all()


def model(optimizer: Any, **options: Any) -> Any:
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense
    made = keras.Sequential([keras.layers.Input((4,)), dense(8, "relu", kernel_initializer="orthogonal"), dense(1)])
    made.compile(optimizer=optimizer, loss="mse", **options)
    return made


def batches() -> tuple[Any, Any]:
    x = np.random.default_rng(0).standard_normal((64, 4))
    return x, np.sin(x.sum(axis=1, keepdims=True))


@only_torch
def test_fit_save_and_go_on(tmp_path: Any) -> None:
    histories = []
    schedule = keras.optimizers.schedules.CosineDecay(0.05, 20)
    for optimizer in both("AdamW", learning_rate=schedule, global_clipnorm=1.0):
        trained = model(optimizer)
        histories.append(trained.fit(*batches(), batch_size=16, epochs=2, shuffle=False, verbose=0).history["loss"])
        trained.save(tmp_path / f"{len(histories)}.keras")
    np.testing.assert_allclose(*histories, rtol=1e-6)
    ways = []
    for file in ("1.keras", "2.keras"):
        for ours in (False, True):
            loaded = keras.models.load_model(tmp_path / file)
            assert not isinstance(loaded.optimizer, dropins.AdamW)
            if ours:
                loaded.optimizer = dropins.of(loaded.optimizer)
            assert int(loaded.optimizer.iterations) == 8
            ways.append(loaded.fit(*batches(), batch_size=16, epochs=2, shuffle=False, verbose=0).history["loss"])
    for way in ways[1:]:
        np.testing.assert_allclose(way, ways[0], rtol=1e-6)
    own = keras.models.load_model(tmp_path / "2.keras", custom_objects={"AdamW": dropins.AdamW})
    assert type(own.optimizer) is dropins.AdamW
    assert int(own.optimizer.iterations) == 8


@only_torch
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_within_a_graph_that_torch_compiles() -> None:
    import torch

    for optimizer in both("Adam")[:1]:
        variables, expected = fresh(), fresh()
        step = torch.compile(
            lambda found, optimizer=optimizer, some=variables: optimizer.apply([2 * g for g in found], some), backend="eager"
        )
        for k in range(3):
            step(gradients(variables, k))
        other = dropins.Adam(0.01)
        for k in range(3):
            other.apply([2 * g for g in gradients(expected, k)], expected)
        assert apart(variables, expected) == 0.0
