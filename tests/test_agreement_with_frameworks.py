"""fastopt beside the frameworks it takes its formulas from, in float64: the installed framework is the judge.

100 steps with random gradients, a learning rate that changes on the way, and weight decay; what is compared is the
whole path, element by element, and the framework runs its own step.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import fastopt

Array = np.ndarray[Any, Any]

CLASSES: list[tuple[str, Any]] = [
    ("SGD", fastopt.SGD),
    ("Adagrad", fastopt.AdaGrad),
    ("RMSprop", fastopt.RMSProp),
    ("Adam", fastopt.Adam),
    ("AdamW", fastopt.AdamW),
]
"""What both torch and Keras have, by their name for it."""

STEPS, SIZE = 100, 257
TOLERANCE = 1e-12


def learning_rate(step: int) -> float:
    return 0.02 / (1.0 + 0.1 * step) + (0.01 if step % 7 == 0 else 0.0)


def gradients(step: int) -> Array:
    """Some elements small and some large: where eps and decay show differs."""
    rng = np.random.default_rng(100 + step)
    return rng.standard_normal(SIZE) * np.logspace(-6, 2, SIZE)


def start() -> Array:
    return np.random.default_rng(0).standard_normal(SIZE) + 3.0


def path(optimizer: fastopt.Optimizer) -> list[Array]:
    ends = []
    for step in range(STEPS):
        optimizer.lr = learning_rate(step)
        optimizer.step(gradients(step))
        ends.append(optimizer.params.copy())
    return ends


def assert_same_path(ours: list[Array], theirs: list[Array]) -> None:
    assert len(ours) == len(theirs) == STEPS
    for step, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        distance = np.abs(a - b) / np.maximum(np.abs(b), 1e-300)
        # a parameter that passes through 0 loses its own scale: the scale is then that of what it has moved
        distance = np.minimum(distance, np.abs(a - b) / (np.abs(b - start()) + 1e-300))
        assert distance.max() < TOLERANCE, (
            f"step {step + 1}: element {distance.argmax()} is {a[distance.argmax()]}, theirs is {b[distance.argmax()]}"
        )
    assert np.abs(ours[-1] - start()).min() > 0, "nothing moved"


# ----------------------------------------------------------------------------------------------------------------- torch

TORCH: list[tuple[str, str, Callable[..., fastopt.Optimizer], dict[str, Any]]] = [
    ("SGD", "SGD", fastopt.SGD, {}),
    ("SGD with weight decay", "SGD", fastopt.SGD, {"weight_decay": 0.03}),
    ("SGD, maximize", "SGD", fastopt.SGD, {"weight_decay": 0.03, "maximize": True}),
    ("momentum", "SGD", fastopt.SGD, {"momentum": 0.83, "weight_decay": 0.03}),
    ("momentum, dampening", "SGD", fastopt.SGD, {"momentum": 0.83, "dampening": 0.37, "weight_decay": 0.03}),
    ("momentum, dampening, maximize", "SGD", fastopt.SGD, {"momentum": 0.83, "dampening": 0.37, "weight_decay": 0.03, "maximize": True}),
    ("nesterov", "SGD", fastopt.SGD, {"momentum": 0.83, "nesterov": True, "weight_decay": 0.03}),
    ("nesterov, maximize", "SGD", fastopt.SGD, {"momentum": 0.83, "nesterov": True, "weight_decay": 0.03, "maximize": True}),
    *(
        (
            "RMSprop" + ", centered" * centered + ", momentum" * (momentum > 0) + ", maximize" * maximize,
            "RMSprop",
            fastopt.RMSProp,
            {"alpha": 0.9, "eps": 1e-3, "centered": centered, "momentum": momentum, "weight_decay": 0.03, "maximize": maximize},
        )
        for centered in (False, True)
        for momentum in (0.0, 0.7)
        for maximize in (False, True)
    ),
    *(
        (
            "Adagrad" + ", begun above 0" * (initial > 0) + ", maximize" * maximize,
            "Adagrad",
            fastopt.AdaGrad,
            {"lr_decay": 0.1, "initial_accumulator_value": initial, "eps": 1e-3, "weight_decay": 0.03, "maximize": maximize},
        )
        for initial in (0.0, 0.3)
        for maximize in (False, True)
    ),
    *(
        (
            name + ", amsgrad" * amsgrad + ", maximize" * maximize + ", no decay" * (decay == 0.0),
            name,
            make,
            {"betas": (0.8, 0.95), "eps": 1e-3, "amsgrad": amsgrad, "weight_decay": decay, "maximize": maximize},
        )
        for name, make in (("Adam", fastopt.Adam), ("AdamW", fastopt.AdamW))
        for amsgrad in (False, True)
        for maximize in (False, True)
        for decay in (0.0, 0.3)
    ),
]


@pytest.mark.parametrize(("name", "make", "options"), [pytest.param(*rest, id=label) for label, *rest in TORCH])
def test_torch(name: str, make: Callable[..., fastopt.Optimizer], options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    p = torch.tensor(start(), dtype=torch.float64)
    theirs = getattr(torch.optim, name)([p], lr=0.02, **options)
    ends = []
    for step in range(STEPS):
        theirs.param_groups[0]["lr"] = learning_rate(step)
        p.grad = torch.tensor(gradients(step))
        theirs.step()
        ends.append(p.numpy().copy())
    assert_same_path(path(make(start(), **options)), ends)


@pytest.mark.parametrize(("name", "make"), CLASSES)
def test_torch_names_and_defaults(name: str, make: Any) -> None:
    """Where an argument has torch's name it has torch's default."""
    import inspect

    torch = pytest.importorskip("torch", reason="torch is not installed")
    theirs = inspect.signature(getattr(torch.optim, name)).parameters
    ours = inspect.signature(make).parameters
    shared = [n for n in ours if n in theirs and n not in ("self", "params")]
    assert {"lr"} < set(shared)
    for argument in shared:
        assert ours[argument].default == theirs[argument].default, argument
    made = make(start(), backend="numpy")
    assert made.hyperparameters["weight_decay"] == theirs["weight_decay"].default


# ----------------------------------------------------------------------------------------------------------------- optax


def decayed(optax: Any, inner: Any) -> Any:
    """Coupled weight decay as optax composes it: added to the gradient before anything else."""
    return optax.chain(optax.add_decayed_weights(0.03), inner)


OPTAX: list[tuple[str, Callable[[Any, Any], Any], Callable[[Array], fastopt.Optimizer]]] = [
    ("sgd", lambda optax, lr: decayed(optax, optax.sgd(lr)), lambda p: fastopt.SGD(p, weight_decay=0.03)),
    (
        "sgd, momentum",
        lambda optax, lr: decayed(optax, optax.sgd(lr, momentum=0.83)),
        lambda p: fastopt.SGD(p, momentum=0.83, weight_decay=0.03),
    ),
    (
        "sgd, nesterov",
        lambda optax, lr: decayed(optax, optax.sgd(lr, momentum=0.83, nesterov=True)),
        lambda p: fastopt.SGD(p, momentum=0.83, nesterov=True, weight_decay=0.03),
    ),
    (
        "rmsprop, eps inside the root",
        lambda optax, lr: decayed(optax, optax.rmsprop(lr, decay=0.9, eps=1e-3)),
        lambda p: fastopt.RMSProp(p, alpha=0.9, eps=1e-3, eps_inside_root=True, weight_decay=0.03),
    ),
    (
        "rmsprop, eps outside the root",
        lambda optax, lr: decayed(optax, optax.rmsprop(lr, decay=0.9, eps=1e-3, eps_in_sqrt=False)),
        lambda p: fastopt.RMSProp(p, alpha=0.9, eps=1e-3, weight_decay=0.03),
    ),
    (
        "rmsprop, centered, eps inside the root",
        lambda optax, lr: decayed(optax, optax.rmsprop(lr, decay=0.9, eps=1e-3, centered=True)),
        lambda p: fastopt.RMSProp(p, alpha=0.9, eps=1e-3, centered=True, eps_inside_root=True, weight_decay=0.03),
    ),
    (
        "adam, eps_root",
        lambda optax, lr: decayed(optax, optax.adam(lr, b1=0.8, b2=0.95, eps=1e-3, eps_root=1e-4)),
        lambda p: fastopt.Adam(p, betas=(0.8, 0.95), eps=1e-3, eps_root=1e-4, weight_decay=0.03),
    ),
    (
        "adam, eps_root alone, as the textbook",
        lambda optax, lr: decayed(optax, optax.adam(lr, b1=0.8, b2=0.95, eps=0.0, eps_root=1e-4)),
        lambda p: fastopt.Adam(p, betas=(0.8, 0.95), eps=0.0, eps_root=1e-4, weight_decay=0.03),
    ),
]


@pytest.mark.parametrize(("theirs", "ours"), [pytest.param(*rest, id=label) for label, *rest in OPTAX])
def test_optax(theirs: Callable[[Any, Any], Any], ours: Callable[[Array], fastopt.Optimizer]) -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    optax = pytest.importorskip("optax", reason="optax is not installed")
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        transformation = theirs(optax, lambda count: 0.02 / (1.0 + 0.1 * count) + jax.numpy.where(count % 7 == 0, 0.01, 0.0))
        p = jax.numpy.asarray(start())
        assert p.dtype == "float64"
        state = transformation.init(p)

        @jax.jit
        def step_of_theirs(g: Any, state: Any, p: Any) -> Any:
            updates, state = transformation.update(g, state, p)
            return optax.apply_updates(p, updates), state

        ends = []
        for step in range(STEPS):
            p, state = step_of_theirs(jax.numpy.asarray(gradients(step)), state, p)
            ends.append(np.asarray(p))
    assert_same_path(path(ours(start())), ends)


# ----------------------------------------------------------------------------------------------------------------- keras

DECAYED = {"eps": 1e-3, "weight_decay": 0.3}
KERAS: list[tuple[str, Callable[..., fastopt.Optimizer], dict[str, Any]]] = [
    *(
        (name, make, {"betas": (0.8, 0.95), "amsgrad": amsgrad, **more})
        for name, make in (("Adam", fastopt.Adam), ("AdamW", fastopt.AdamW))
        for amsgrad in (False, True)
        for more in ({}, DECAYED)
    ),
    *(
        ("RMSprop", fastopt.RMSProp, {"momentum": momentum, "centered": centered, **more})
        for centered in (False, True)
        for momentum in (0.0, 0.7)
        for more in ({}, {"alpha": 0.8, **DECAYED})
    ),
    ("Adagrad", fastopt.AdaGrad, {}),
    ("Adagrad", fastopt.AdaGrad, {"initial_accumulator_value": 0.3, **DECAYED}),
    *(
        ("SGD", fastopt.SGD, {**options, **more})
        for options in ({}, {"momentum": 0.83}, {"momentum": 0.83, "nesterov": True})
        for more in ({}, {"weight_decay": 0.3})
    ),
]


def as_keras_calls_them(options: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Our arguments under Keras's names, by the convention's table; it has one argument for each beta."""
    theirs = {ours: there for there, ours in names.items()}
    betas = dict(zip(("beta_1", "beta_2"), options.get("betas", ()), strict=False))
    return betas | {theirs.get(name, name): value for name, value in options.items() if name != "betas"}


@pytest.fixture(scope="module")
def keras() -> Any:
    """Keras on PyTorch, in float64; its backend is chosen once for a process, when it is first imported."""
    if "keras" not in sys.modules:
        pytest.importorskip("torch", reason="torch is not installed")
        os.environ["KERAS_BACKEND"] = "torch"
    module = pytest.importorskip("keras", reason="keras is not installed")
    before = module.config.floatx()
    module.config.set_floatx("float64")  # of its learning rate and step count too
    yield module
    module.config.set_floatx(before)


@pytest.mark.parametrize(("name", "make", "options"), KERAS)
def test_keras(keras: Any, name: str, make: Any, options: dict[str, Any]) -> None:
    """Parameters at each step, and at the end every state, under Keras's name for it."""
    optimizer, convention = make(start(), convention="keras", **options), make.family.conventions["keras"]
    p = keras.Variable(start(), dtype="float64")
    judge = getattr(keras.optimizers, name)(**as_keras_calls_them(options, convention.names))
    ends = []
    for step in range(STEPS):
        judge.learning_rate = learning_rate(step)
        judge.apply([keras.ops.convert_to_tensor(gradients(step))], [p])
        ends.append(p.value.detach().numpy().copy())
    assert_same_path(path(optimizer), ends)
    held = {v.name: v.value.detach().numpy() for v in judge.variables if tuple(v.shape) == (SIZE,)}
    own = optimizer.state_dict()["state"]
    assert len(held) == len(own)
    for state, values in own.items():
        (theirs,) = [value for key, value in held.items() if key.endswith(f"_{convention.states[state]}")]
        sizes = np.sqrt(own["v"]) if state in ("m", "a") else np.abs(theirs)  # what cancels in a mean of both signs loses its own scale
        assert (np.abs(values - theirs) <= TOLERANCE * np.maximum(sizes, np.abs(theirs))).all(), state


@pytest.mark.parametrize(("name", "make"), CLASSES)
def test_keras_names_and_defaults(keras: Any, name: str, make: Any) -> None:
    """What Keras has as a default is one under its convention, under the name that the convention tells."""
    import inspect

    values = make(start(), convention="keras", backend="numpy")
    found = {"lr": values.lr, **values.hyperparameters, "weight_decay": values.hyperparameters["weight_decay"] or None}
    names = make.family.conventions["keras"].names
    for argument, parameter in inspect.signature(getattr(keras.optimizers, name)).parameters.items():
        own = names.get(argument, argument)
        if own == "betas":
            assert found["betas"][("beta_1", "beta_2").index(argument)] == parameter.default
        elif own in found:
            assert found[own] == parameter.default, argument
    assert set(names) <= set(inspect.signature(getattr(keras.optimizers, name)).parameters)


# ----------------------------------------------------------------------------------------------------------- scikit-learn


@pytest.mark.parametrize("nesterov", [False, True])
def test_scikit_learn(nesterov: bool) -> None:
    """Its SGDOptimizer keeps the learning rate inside the velocity, as Keras does: `Momentum(form="velocity")`."""
    module = pytest.importorskip("sklearn.neural_network._stochastic_optimizers", reason="scikit-learn is not installed")
    p = start()
    theirs = module.SGDOptimizer([p], learning_rate_init=0.02, momentum=0.83, nesterov=nesterov)
    ends = []
    for step in range(STEPS):
        theirs.learning_rate = learning_rate(step)
        theirs.update_params([p], [gradients(step)])
        ends.append(p.copy())
    assert_same_path(path(fastopt.Momentum(start(), momentum=0.83, nesterov=nesterov, form="velocity")), ends)
