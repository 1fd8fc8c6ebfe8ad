"""The systems people use today, each making the same Adam step on the same arrays.

A peer is built on parameters and gradients given as NumPy arrays and makes steps in place, or holds its own copies where
it cannot (JAX). Before any is timed, `verify` lets it make steps beside fastopt's reference.
"""

from __future__ import annotations

import importlib.util
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import fastopt

__all__ = ["BETAS", "EPS", "LR", "PEERS", "Peer", "absent", "agreement", "verify"]

Arrays = Sequence[NDArray[Any]]
LR, BETAS, EPS = 1e-3, (0.9, 0.999), 1e-8


class Peer(ABC):
    """One way to make an Adam step (lr 1e-3, betas 0.9 and 0.999, eps 1e-8, no weight decay)."""

    needs: str
    """The module it takes."""

    slow = False
    """Whether sizes beyond the caches would take it seconds a step."""

    polls = False
    """Whether its threads go on polling after a step."""

    uses_up_gradients = False
    """Whether a step overwrites the gradients, so that the next one needs them anew."""

    @abstractmethod
    def __init__(self, params: Arrays, grads: Arrays, threads: int) -> None:
        """Gets ready to step; untimed."""

    @abstractmethod
    def step(self) -> object:
        """One step with the present gradients, done when this returns."""

    @abstractmethod
    def new_gradients(self, grads: Arrays) -> None:
        """Takes other gradient arrays for the next step, as training would hand them over; untimed."""

    @abstractmethod
    def result(self) -> list[NDArray[Any]]:
        """The parameters as they are now."""


class _Torch(Peer):
    needs = "torch"
    polls = True
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, params: Arrays, grads: Arrays, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.from_numpy = torch.from_numpy
        self.params = [torch.from_numpy(p).requires_grad_() for p in params]
        self.new_gradients(grads)
        self.optimizer = self.build()
        self.step = self.optimizer.step  # type: ignore[method-assign]  # no wrapper in the timed region

    def build(self) -> Any:
        import torch

        return torch.optim.Adam(self.params, lr=LR, betas=BETAS, eps=EPS, **self.options)

    def step(self) -> object:
        return self.optimizer.step()

    def new_gradients(self, grads: Arrays) -> None:
        for p, g in zip(self.params, grads, strict=True):
            p.grad = self.from_numpy(g)

    def result(self) -> list[NDArray[Any]]:
        return [p.detach().numpy() for p in self.params]


class TorchFused(_Torch):
    """`torch.optim.Adam(fused=True)`: one vectorized kernel a tensor, in parallel."""

    options: ClassVar = {"fused": True}


class TorchForeach(_Torch):
    """`torch.optim.Adam(foreach=True)`: list operations, which the CPU runs tensor by tensor."""

    options: ClassVar = {"foreach": True}
    slow = True


class TorchDefault(_Torch):
    """`torch.optim.Adam()` as it comes: on the CPU a Python loop over tensors and operations."""

    slow = True


class DeepSpeed(_Torch):
    """`deepspeed.ops.adam.DeepSpeedCPUAdam`: hand-vectorized, with OpenMP; compiled by ninja at its first use."""

    needs = "deepspeed"

    def build(self) -> Any:
        logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
        from deepspeed.ops.adam import DeepSpeedCPUAdam

        return DeepSpeedCPUAdam(self.params, lr=LR, betas=BETAS, eps=EPS, weight_decay=0.0, adamw_mode=False)


class Optax(Peer):
    """`optax.adam` under `jax.jit` with donated buffers, waited for."""

    needs = "optax"
    polls = True

    def __init__(self, params: Arrays, grads: Arrays, threads: int) -> None:
        import jax
        import optax

        rule = optax.adam(LR, *BETAS, eps=EPS)
        self.jax = jax

        def update(held: Any, state: Any, gradients: Any) -> tuple[Any, Any]:
            changes, state = rule.update(gradients, state, held)
            return optax.apply_updates(held, changes), state

        self.update = jax.jit(update, donate_argnums=(0, 1))
        self.params = [jax.numpy.array(p) for p in params]
        self.state = rule.init(self.params)
        self.new_gradients(grads)

    def step(self) -> object:
        self.params, self.state = self.update(self.params, self.state, self.grads)
        return self.jax.block_until_ready(self.params)

    def new_gradients(self, grads: Arrays) -> None:
        self.grads = [self.jax.numpy.array(g) for g in grads]

    def result(self) -> list[NDArray[Any]]:
        return [np.asarray(p) for p in self.params]


class ScikitLearn(Peer):
    """The Adam of scikit-learn's multi-layer perceptron."""

    needs = "sklearn"
    slow = True

    def __init__(self, params: Arrays, grads: Arrays, threads: int) -> None:
        from sklearn.neural_network._stochastic_optimizers import AdamOptimizer

        self.params, self.grads = list(params), list(grads)
        self.optimizer = AdamOptimizer(self.params, LR, *BETAS, EPS)

    def step(self) -> object:
        return self.optimizer.update_params(self.params, self.grads)

    def new_gradients(self, grads: Arrays) -> None:
        self.grads = list(grads)

    def result(self) -> list[NDArray[Any]]:
        return self.params


class Thinc(Peer):
    """`thinc.api.Adam`, one call a tensor, as spaCy trains with."""

    needs = "thinc"
    slow = True
    uses_up_gradients = True  # it multiplies them by 0: left so, the moments would decay into denormals

    def __init__(self, params: Arrays, grads: Arrays, threads: int) -> None:
        from thinc.api import Adam

        self.params, self.grads = list(params), list(grads)
        self.optimizer = Adam(LR, beta1=BETAS[0], beta2=BETAS[1], eps=EPS, L2=0.0, grad_clip=0.0, use_averages=False)

    def step(self) -> object:
        for i, (p, g) in enumerate(zip(self.params, self.grads, strict=True)):
            self.params[i], _ = self.optimizer((i, "parameter"), p, g)
        return self.optimizer.step_schedules()

    def new_gradients(self, grads: Arrays) -> None:
        self.grads = list(grads)

    def result(self) -> list[NDArray[Any]]:
        return self.params


PEERS: dict[str, type[Peer]] = {
    "torch fused": TorchFused,
    "torch foreach": TorchForeach,
    "torch default": TorchDefault,
    "DeepSpeed CPUAdam": DeepSpeed,
    "optax jit": Optax,
    "scikit-learn": ScikitLearn,
    "thinc": Thinc,
}


def absent() -> dict[str, str]:
    """The peers that are not installed, and what they would take."""
    return {name: peer.needs for name, peer in PEERS.items() if importlib.util.find_spec(peer.needs) is None}


@cache
def verify(name: str, threads: int) -> float:
    """Lets a peer make three steps beside fastopt's reference, once a run; see `agreement`."""
    return agreement(name, lambda params, grads: PEERS[name](params, grads, threads))


def agreement(name: str, build: Callable[[Arrays, Arrays], Any]) -> float:
    """Lets what `build` returns make three steps beside fastopt's reference; returns the largest difference of a parameter.

    Gradients stay away from 0, where the frameworks' different places for eps show. Raises AssertionError if it does not
    compute Adam: what is fast and wrong has no time.
    """
    rng = np.random.default_rng(3)
    params = [rng.standard_normal(n).astype(np.float32) for n in (5, 1_000)]
    expected = [p.copy() for p in params]
    reference = fastopt.Adam(expected, LR, BETAS, EPS, backend="numpy")
    peer: Any = None
    for _ in range(3):
        grads = [(rng.uniform(0.5, 1.5, p.size) * rng.choice([-1, 1], p.size)).astype(np.float32) for p in params]
        if peer is None:
            peer = build(params, [g.copy() for g in grads])
        else:
            peer.new_gradients([g.copy() for g in grads])
        peer.step()
        reference.step(grads)
    difference = max(float(np.abs(a - b).max()) for a, b in zip(peer.result(), expected, strict=True))
    assert difference < 2e-6, f"{name}: parameters differ from the reference by {difference}"
    return difference
