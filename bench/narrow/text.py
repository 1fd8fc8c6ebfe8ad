"""A small model of characters, as NumPy textbooks write it, and the text it reads: the source of the package itself.

    e = the embeddings of the last n characters, one behind the other
    h = tanh(e W1 + b1);   logits = h W2 + b2;   loss = -log softmax(logits)[the next character]

Parameters are a list of arrays [E, W1, b1, W2, b2]: E of shape (characters, width), the others as in `bench.networks`. Gradients are new
arrays at every step, and everything is computed in the parameters' dtype.

Source: Y. Bengio, R. Ducharme, P. Vincent and C. Jauvin, A neural probabilistic language model, JMLR 2003, without its direct connections.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike

import fastopt

from ..arrays import Array
from ..initial import initial_weights
from ..losses import softmax_cross_entropy

__all__ = ["CharacterModel", "Text", "corpus", "text"]

OTHER = "\ufffd"
"""Stands for every character beyond ASCII: there are few of them, each hardly ever."""


@dataclass(frozen=True)
class CharacterModel:
    """Which character follows `context` others, of so many different ones."""

    characters: int
    context: int
    width: int
    hidden: int

    def initial_params(self, seed: int, dtype: DTypeLike = np.float32) -> list[Array]:
        """[E, W1, b1, W2, b2]: the same values for the same seed. Embeddings are standard normal, weights Xavier's, biases zero."""
        generator = np.random.default_rng(seed)
        read = self.context * self.width
        return [
            generator.standard_normal((self.characters, self.width)).astype(dtype),
            initial_weights(generator, (read, self.hidden), "xavier", dtype=dtype),
            np.zeros(self.hidden, dtype),
            initial_weights(generator, (self.hidden, self.characters), "xavier", dtype=dtype),
            np.zeros(self.characters, dtype),
        ]

    def loss_and_gradients(self, params: list[Array], x: Array, y: Array) -> tuple[float, list[Array]]:
        """The mean loss of a mini-batch in nats, and its gradients in the order of `params`.

        `x` holds integers of shape (samples, context), `y` of shape (samples,): places in the alphabet.
        """
        embedding, w1, b1, w2, b2 = params
        e = embedding[x].reshape(len(x), -1)
        h = np.tanh(e @ w1 + b1)
        loss, delta = softmax_cross_entropy(h @ w2 + b2, y)

        before = (delta @ w2.T) * (1 - h * h)
        of_embedding = np.zeros_like(embedding)
        np.add.at(of_embedding, x.ravel(), (before @ w1.T).reshape(-1, embedding.shape[1]))
        return loss, [of_embedding, e.T @ before, before.sum(axis=0), h.T @ delta, delta.sum(axis=0)]


@dataclass(frozen=True)
class Text:
    """A text as places of its characters in the alphabet, which is sorted."""

    alphabet: str
    codes: Array

    def samples(self, context: int) -> tuple[Array, Array]:
        """Every `context` characters that follow each other, and the one behind them: views of shapes (samples, context), (samples,)."""
        return sliding_window_view(self.codes, context)[:-1], self.codes[context:]


def corpus() -> str:
    """The package's Python source: every file, in the order of the paths."""
    root = Path(fastopt.__file__).parent
    files = sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix())
    return "".join(path.read_text(encoding="utf-8") for path in files)


@cache
def text() -> Text:
    """The corpus, in places of its alphabet."""
    found = "".join(letter if letter.isascii() else OTHER for letter in corpus())
    alphabet = sorted(set(found))
    place = {letter: k for k, letter in enumerate(alphabet)}
    return Text("".join(alphabet), np.array([place[letter] for letter in found], np.intp))
