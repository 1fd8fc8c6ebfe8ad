"""The model of characters: its gradients, and what it reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fastopt
from bench.narrow.text import OTHER, CharacterModel, Text, corpus, text

MODEL = CharacterModel(characters=5, context=3, width=2, hidden=4)


def test_gradients() -> None:
    """Against differences, of every parameter; some characters stand there twice, one never."""
    optimize = pytest.importorskip("scipy.optimize")
    params = MODEL.initial_params(0, np.float64)
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 4, (6, 3)), rng.integers(0, 5, 6)
    shapes = [p.shape for p in params]
    ends = np.cumsum([p.size for p in params])[:-1]

    def parted(flat: np.ndarray) -> list[np.ndarray]:
        return [part.reshape(shape) for part, shape in zip(np.split(flat, ends), shapes, strict=True)]

    def loss(flat: np.ndarray) -> float:
        return MODEL.loss_and_gradients(parted(flat), x, y)[0]

    def gradient(flat: np.ndarray) -> np.ndarray:
        return np.concatenate([g.ravel() for g in MODEL.loss_and_gradients(parted(flat), x, y)[1]])

    flat = rng.standard_normal(sum(p.size for p in params))
    assert optimize.check_grad(loss, gradient, flat) < 1e-6
    assert not parted(gradient(flat))[0][4].any()
    assert gradient(flat).all() == False  # noqa: E712  (the row of the character that never stands there, and nothing else)
    assert np.count_nonzero(gradient(flat) == 0.0) == 2


def test_everything_is_of_the_parameters_dtype() -> None:
    params = MODEL.initial_params(0)
    _, gradients = MODEL.loss_and_gradients(params, np.zeros((2, 3), np.intp), np.zeros(2, np.intp))
    assert {a.dtype for a in (*params, *gradients)} == {np.dtype(np.float32)}
    assert [g.shape for g in gradients] == [p.shape for p in params] == [(5, 2), (6, 4), (4,), (4, 5), (5,)]


def test_samples_are_what_follows_what() -> None:
    x, y = Text("abc", np.array([0, 1, 2, 1, 0])).samples(2)
    assert x.tolist() == [[0, 1], [1, 2], [2, 1]]
    assert y.tolist() == [2, 1, 0]
    assert x.base is not None


def test_the_text_is_the_packages_source() -> None:
    found = corpus()
    assert len(found) > 500_000
    assert (Path(fastopt.__file__).parent / "rules" / "adam.py").read_text(encoding="utf-8") in found
    read = text()
    assert list(read.alphabet) == sorted(set(read.alphabet))
    assert all(letter.isascii() or letter == OTHER for letter in read.alphabet)
    assert len(read.codes) == len(found)
    assert read.codes.max() == len(read.alphabet) - 1
    start = "".join(read.alphabet[k] for k in read.codes[:500])
    assert start == found[:500]
    assert text() is read


def test_it_learns_to_read() -> None:
    read = text()
    model = CharacterModel(len(read.alphabet), context=4, width=8, hidden=32)
    x, y = read.samples(4)
    params = model.initial_params(0)
    optimizer = fastopt.Adam(params, lr=1e-2)
    rng, losses = np.random.default_rng(0), []
    for _ in range(150):
        rows = rng.integers(0, len(y), 64)
        loss, gradients = model.loss_and_gradients(params, x[rows], y[rows])
        optimizer.step(gradients)
        losses.append(loss)
    shares = np.bincount(read.codes) / len(read.codes)
    entropy = -np.sum(shares * np.log(shares))
    assert np.mean(losses[-20:]) < 0.9 * entropy < np.mean(losses[:3])
