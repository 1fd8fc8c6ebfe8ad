"""fastopt beside the frameworks it takes its formulas from, in float64: the installed framework is the judge.

100 steps with random gradients, a learning rate that changes on the way, and weight decay; what is compared is the
whole path, element by element, and the framework runs its own step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastopt

Array = np.ndarray[Any, Any]

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


@pytest.mark.parametrize(
    ("name", "make"), [("SGD", fastopt.SGD), ("RMSprop", fastopt.RMSProp), ("Adam", fastopt.Adam), ("AdamW", fastopt.AdamW)]
)
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
