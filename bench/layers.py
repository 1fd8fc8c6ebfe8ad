"""What lies between the matrix products of a network: activations, batch normalization, dropout; each forward and backward.

Samples are rows: every array of signals has shape (samples, units). `delta` is the loss's gradient with respect to what a layer gave,
and what goes back from here is new arrays, in the dtype of what came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from .arrays import Array

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "ActivationName",
    "Normalized",
    "batch_norm",
    "batch_norm_at_inference",
    "batch_norm_backward",
    "dropout_mask",
    "relu",
    "tanh",
]

ActivationName: TypeAlias = Literal["relu", "tanh"]

EPS = 1e-5
"""What is added to a variance before its root is taken, as in PyTorch; Keras has 1e-3."""


class Activation(NamedTuple):
    """A function of one number, and its slope where it gave h."""

    forward: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def relu(z: Array) -> Array:
    """max(z, 0); its slope at 0 is taken as 0."""
    h: Array = np.maximum(z, 0.0)
    return h


def tanh(z: Array) -> Array:
    """The hyperbolic tangent, whose slope is 1 - h^2."""
    h: Array = np.tanh(z)
    return h


ACTIVATIONS = {"relu": Activation(relu, lambda h: h > 0.0), "tanh": Activation(tanh, lambda h: 1.0 - h * h)}


class Normalized(NamedTuple):
    """What batch normalization's backward pass needs, and what its running averages take."""

    z: Array
    """(z - mean) / sqrt(variance + eps), of the shape of z."""

    inverse: Array
    """1 / sqrt(variance + eps), of shape (units,)."""

    mean: Array
    variance: Array
    """Of each unit over the mini-batch, of shape (units,); the variance is the mean square, which the normalization divides by."""


def batch_norm(z: Array, gamma: Array, beta: Array) -> tuple[Array, Normalized]:
    """The form for training: each unit's mean and variance are those over the mini-batch.

        y = gamma (z - mean) / sqrt(variance + eps) + beta

    S. Ioffe and C. Szegedy, Batch normalization, ICML 2015, algorithm 1. What goes before needs no bias: it would be part of the mean.
    """
    mean = z.mean(axis=0)
    centered = z - mean
    variance = (centered * centered).mean(axis=0)
    inverse = 1.0 / np.sqrt(variance + EPS)
    normalized = centered * inverse
    return gamma * normalized + beta, Normalized(normalized, inverse, mean, variance)


def batch_norm_backward(delta: Array, gamma: Array, seen: Normalized) -> tuple[Array, Array, Array]:
    """The gradients with respect to z, gamma and beta.

    Mean and variance depend on z too; what that makes of a mini-batch of n samples (algorithm 1's gradients, put together) is

        dz = gamma / sqrt(variance + eps) (delta - sum(delta) / n - z_normalized sum(delta z_normalized) / n)
    """
    d_beta = delta.sum(axis=0)
    d_gamma = (delta * seen.z).sum(axis=0)
    samples = len(delta)
    d_z = gamma * seen.inverse * (delta - d_beta / samples - seen.z * (d_gamma / samples))
    return d_z, d_gamma, d_beta


def batch_norm_at_inference(z: Array, gamma: Array, beta: Array, mean: Array, variance: Array) -> Array:
    """The same with a mean and a variance that were averaged while training, so that no sample depends on another one."""
    return (z - mean) * (gamma / np.sqrt(variance + EPS)) + beta


def dropout_mask(seed: int, step: int, layer: int, shape: tuple[int, ...], rate: float, dtype: DTypeLike) -> Array:
    """0 with probability `rate`, else 1 / (1 - rate): what signals, and their gradients, are multiplied by.

    So the mean stays what it was, and inference has nothing to do ("inverted" dropout). N. Srivastava et al., Dropout: a simple way to
    prevent neural networks from overfitting, JMLR 2014. The mask depends on seed, step and layer alone: runs that are at the same step
    drop the same units, and in float64 the same ones as in float32.
    """
    drawn = np.random.default_rng((seed, step, layer)).random(shape, np.float32)
    mask: Array = (drawn >= rate).astype(dtype)
    mask *= 1.0 / (1.0 - rate)
    return mask
