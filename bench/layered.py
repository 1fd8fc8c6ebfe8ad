"""A multi-layer perceptron with all that the textbooks put between its layers, in plain NumPy.

    hidden layers:  z = h W (+ b);   z = batch_norm(z);   h = activation(z);   h = h mask
    last layer:     z = h W + b
    loss:           loss(z of the last layer, y) + l2 / 2 sum of all W^2

Each part can be left out. `bench.networks.Network` is what then remains, written with nothing else in its way; this one is what a
training step looks like where matrix products are not all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import DTypeLike

from fastopt.arguments import choice, number, whole_number
from fastopt.rules.domain import FLAG, UNIT

from .arrays import Array
from .initial import DISTRIBUTIONS, VARIANCES, Distribution, Initial, initial_weights
from .layers import (
    ACTIVATIONS,
    ActivationName,
    Normalized,
    batch_norm,
    batch_norm_at_inference,
    batch_norm_backward,
    dropout_mask,
)
from .losses import LOSSES, LossName, l2_penalty

__all__ = ["DECAY", "Layered", "Run"]

DECAY = 0.9
"""Of the running averages: each is 0.9 of what it was and 0.1 of the new mini-batch, as in PyTorch, which calls it momentum 0.1."""


@dataclass(frozen=True)
class Layered:
    """A perceptron with layers of the given sizes (inputs, hidden ..., outputs).

    `loss` is as `Network`'s; `activation` is "relu" or "tanh"; `initial`, "he" or "xavier", is for the hidden layers, and `distribution`,
    "normal" or "uniform", for all (the last layer has no activation, and always Xavier's variance). `dropout` is the probability that
    a hidden unit is dropped, `l2` the factor of the penalty on the weights (not on biases, gamma or beta), and `seed` the masks'.

    Parameters are a mapping {"W1", "b1", ...} of arrays as `fastopt` takes it, layers counted from 1: W of shape (inputs, outputs), b,
    gamma and beta of shape (outputs,). A layer with batch normalization has "gamma" and "beta" instead of "b". All is computed in their
    dtype, float32 or float64.

    Raises TypeError or ValueError where one of these is not what it says.
    """

    sizes: tuple[int, ...]
    loss: LossName
    activation: ActivationName = "relu"
    initial: Initial = "he"
    distribution: Distribution = "normal"
    batch_norm: bool = False
    dropout: float = 0.0
    l2: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.sizes) < 2:
            raise ValueError(f"sizes: expected those of the inputs and of at least one layer, received {self.sizes!r}")
        for i, size in enumerate(self.sizes):
            whole_number(size, f"sizes[{i}]", 1)
        choice(self.loss, "loss", tuple(LOSSES))
        choice(self.activation, "activation", tuple(ACTIVATIONS))
        choice(self.initial, "initial", tuple(VARIANCES))
        choice(self.distribution, "distribution", tuple(DISTRIBUTIONS))
        FLAG.checked(self.batch_norm, "batch_norm")
        number(self.dropout, "dropout", UNIT)
        number(self.l2, "l2")
        whole_number(self.seed, "seed", 0)

    @property
    def hidden(self) -> range:
        """The numbers of the hidden layers."""
        return range(1, len(self.sizes) - 1)

    @property
    def last(self) -> int:
        """The number of the last layer."""
        return len(self.sizes) - 1

    def initial_params(self, seed: int, dtype: DTypeLike = np.float32) -> dict[str, Array]:
        """The same values for the same seed: weights random, biases and beta 0, gamma 1."""
        generator = np.random.default_rng(seed)
        params: dict[str, Array] = {}
        for k in (*self.hidden, self.last):
            shape = self.sizes[k - 1], self.sizes[k]
            initial: Initial = "xavier" if k == self.last else self.initial
            params[f"W{k}"] = initial_weights(generator, shape, initial, self.distribution, dtype)
            if self.batch_norm and k != self.last:
                params[f"gamma{k}"], params[f"beta{k}"] = np.ones(shape[1], dtype), np.zeros(shape[1], dtype)
            else:
                params[f"b{k}"] = np.zeros(shape[1], dtype)
        return params

    def loss_and_gradients(
        self, params: Mapping[str, Array], x: Array, y: Array, step: int
    ) -> tuple[float, dict[str, Array], dict[int, Normalized]]:
        """The loss of a mini-batch with its penalty, its gradients by the names and in the order of `params`, and what was normalized.

        x has shape (samples, inputs). `step` decides on the masks; the same one gives the same loss. Batch normalization needs two
        samples: raises ValueError where there is only one, whose variance is 0 whatever it is.
        """
        if self.batch_norm and len(x) < 2:
            raise ValueError(f"x: expected at least 2 samples to normalize over, received {len(x)}")
        activation = ACTIVATIONS[self.activation]
        inputs = {1: x}  # of every layer
        outputs: dict[int, Array] = {}  # of every activation, before anything was dropped
        masks: dict[int, Array] = {}
        seen: dict[int, Normalized] = {}
        for k in self.hidden:
            z = inputs[k] @ params[f"W{k}"]
            if self.batch_norm:
                z, seen[k] = batch_norm(z, params[f"gamma{k}"], params[f"beta{k}"])
            else:
                z = z + params[f"b{k}"]
            h = outputs[k] = activation.forward(z)
            if self.dropout:
                masks[k] = dropout_mask(self.seed, step, k, h.shape, self.dropout, h.dtype)
                h = h * masks[k]
            inputs[k + 1] = h
        loss, delta = LOSSES[self.loss](inputs[self.last] @ params[f"W{self.last}"] + params[f"b{self.last}"], y)

        gradients: dict[str, Array] = {}
        for k in (self.last, *reversed(self.hidden)):
            if k != self.last:
                delta = delta @ params[f"W{k + 1}"].T
                if self.dropout:
                    delta *= masks[k]
                delta *= activation.slope(outputs[k])
            if k in seen:
                delta, gradients[f"gamma{k}"], gradients[f"beta{k}"] = batch_norm_backward(delta, params[f"gamma{k}"], seen[k])
            else:
                gradients[f"b{k}"] = delta.sum(axis=0)
            gradients[f"W{k}"] = inputs[k].T @ delta
        if self.l2:
            loss += l2_penalty((params[f"W{k}"] for k in (*self.hidden, self.last)), self.l2)
            for k in (*self.hidden, self.last):
                gradients[f"W{k}"] += self.l2 * params[f"W{k}"]
        return loss, {name: gradients[name] for name in params}, seen

    def outputs(self, params: Mapping[str, Array], averages: Mapping[str, Array], x: Array) -> Array:
        """What the network says of samples outside of training, of shape (samples, outputs): nothing dropped, averages as statistics."""
        h = x
        for k in self.hidden:
            z = h @ params[f"W{k}"]
            if self.batch_norm:
                z = batch_norm_at_inference(z, params[f"gamma{k}"], params[f"beta{k}"], averages[f"mean{k}"], averages[f"variance{k}"])
            else:
                z = z + params[f"b{k}"]
            h = ACTIVATIONS[self.activation].forward(z)
        return h @ params[f"W{self.last}"] + params[f"b{self.last}"]

    def initial_averages(self, dtype: DTypeLike = np.float32) -> dict[str, Array]:
        """{"mean1", "variance1", ...} before anything was seen: 0 and 1, which change nothing; empty without batch normalization."""
        averages: dict[str, Array] = {}
        for k in self.hidden if self.batch_norm else ():
            averages[f"mean{k}"], averages[f"variance{k}"] = np.zeros(self.sizes[k], dtype), np.ones(self.sizes[k], dtype)
        return averages


@dataclass
class Run:
    """A network while it is trained: which step it is at, and the averages that inference takes.

    It has `Network`'s methods, so whoever trains one trains the other.
    """

    network: Layered
    step: int = 0
    averages: dict[str, Array] = field(default_factory=dict)

    def initial_params(self, seed: int, dtype: DTypeLike = np.float32) -> dict[str, Array]:
        """The network's; step and averages begin anew."""
        self.step, self.averages = 0, self.network.initial_averages(dtype)
        return self.network.initial_params(seed, dtype)

    def loss_and_gradients(self, params: Mapping[str, Array], x: Array, y: Array) -> tuple[float, dict[str, Array]]:
        """Those of the next step. Its statistics enter the averages, the variance as the samples' estimate of everyone's:

        average <- 0.9 average + 0.1 (mean, or n / (n - 1) variance)      (Ioffe and Szegedy, algorithm 2)
        """
        loss, gradients, seen = self.network.loss_and_gradients(params, x, y, self.step + 1)
        self.step += 1
        for k, found in seen.items():
            for name, value in ((f"mean{k}", found.mean), (f"variance{k}", found.variance * (len(x) / (len(x) - 1)))):
                self.averages[name] *= DECAY
                self.averages[name] += (1.0 - DECAY) * value
        return loss, gradients

    def outputs(self, params: Mapping[str, Array], x: Array) -> Array:
        """What the network says of samples, with the averages as they are now."""
        return self.network.outputs(params, self.averages, x)
