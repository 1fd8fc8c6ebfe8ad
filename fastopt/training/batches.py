"""Mini-batches: the samples shuffled and parted, each epoch in an order of its own that a seed and the epoch's number decide."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastopt import arguments
from fastopt.rules.domain import FLAG, describe

__all__ = ["Batches", "default_batch_size", "mini_batches"]

Rows: TypeAlias = NDArray[np.intp] | slice

FULL_BATCH_UP_TO = 2_000
"""Samples that are taken all at once."""

LEAST, MOST = 64, 512
"""The smallest and the largest mini-batch by default."""

STEPS_PER_EPOCH = 32
"""An epoch should not have fewer steps for the sake of larger mini-batches."""


def default_batch_size(samples: int) -> int:
    """How many samples a mini-batch has where nobody says.

    All of them for small sets, up to 2,000 samples; of more, the largest power of two from 64 to 512 that leaves an epoch 32 steps
    (64 where none does): 64 below 4,096 samples, 128 below 8,192, 256 below 16,384, and 512 from there on.
    """
    samples = arguments.whole_number(samples, "samples", 1)
    if samples <= FULL_BATCH_UP_TO:
        return samples
    size = LEAST
    while size < MOST and samples >= 2 * size * STEPS_PER_EPOCH:
        size *= 2
    return size


class Batches:
    """The mini-batches of a data set: shuffled, parted, and the same again for the same seed and epoch.

    Parameters
    ----------
    *arrays
        One or more of the same number of samples, such as `x, y`: NumPy arrays (of one dimension at least), sequences, pandas' frames and
        series, scipy.sparse's matrices in rows (CSR), PyTorch's tensors, and whatever else has a `shape` and is indexed by an array of
        integers. They are referred to and not copied.
    batch_size
        Samples in a mini-batch, >= 1; None for `default_batch_size`. More than there are is all of them.
    shuffle
        Draw each epoch in a new order. False keeps the order, and gives slices of NumPy arrays: views, and no copies.
    seed
        >= 0. The order of epoch k follows from `seed` and k alone (PCG64 of `SeedSequence(seed, spawn_key=(k,))`), so a run that is resumed
        draws what it would have drawn, and `epoch(k)` may be asked for again and at once in several processes.
    drop_last
        Leave out the samples that do not fill a mini-batch at an epoch's end (others each time, if they are shuffled). Without it the last
        mini-batch has what remains.

    Each mini-batch is a tuple with the rows of each array, of the array's own kind: a NumPy array for a NumPy array, a list for a sequence.
    Every sample stands in exactly one mini-batch of an epoch. A mini-batch of all samples needs no order: it is the arrays themselves.

    Raises TypeError or ValueError for arguments that cannot be used.

    Examples
    --------
    >>> batches = fastopt.training.Batches(np.arange(5), list("abcde"), batch_size=2, shuffle=False)
    >>> list(batches.epoch(0))
    [(array([0, 1]), ['a', 'b']), (array([2, 3]), ['c', 'd']), (array([4]), ['e'])]
    """

    def __init__(self, *arrays: Any, batch_size: int | None = None, shuffle: bool = True, seed: int = 0, drop_last: bool = False) -> None:
        if not arrays:
            raise TypeError("arrays: expected at least one, received none")
        lengths = [_length(array, f"arrays[{i}]") for i, array in enumerate(arrays)]
        for i, length in enumerate(lengths):
            if length != lengths[0]:
                raise ValueError(f"arrays[{i}]: expected {lengths[0]} samples, as in arrays[0]; received {length}")
        if lengths[0] == 0:
            raise ValueError("arrays: expected at least one sample, received none")
        self._arrays, self._samples = arrays, lengths[0]
        wanted = default_batch_size(self._samples) if batch_size is None else arguments.whole_number(batch_size, "batch_size", 1)
        self._shuffle, self._drop_last = FLAG.checked(shuffle, "shuffle"), FLAG.checked(drop_last, "drop_last")
        self._seed = arguments.whole_number(seed, "seed", 0)
        if self._drop_last and wanted > self._samples:
            raise ValueError(f"drop_last: expected a batch_size of at most {self._samples}, as there are samples; received {wanted}")
        self._batch_size = min(wanted, self._samples)

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return self._samples

    @property
    def batch_size(self) -> int:
        """Samples in a mini-batch; the last one of an epoch may have fewer."""
        return self._batch_size

    def __len__(self) -> int:
        """How many mini-batches an epoch has."""
        return self._samples // self._batch_size if self._drop_last else math.ceil(self._samples / self._batch_size)

    @property
    def nbytes(self) -> int | None:
        """Bytes of one mini-batch, for `fits`; of sparse rows and frames on average. None where an array does not say (sequences)."""
        sizes = [_nbytes(array) for array in self._arrays]
        if None in sizes:
            return None
        return math.ceil(sum(size for size in sizes if size is not None) * self._batch_size / self._samples)

    def rows(self, epoch: int) -> list[Rows]:
        """Which samples each mini-batch of an epoch has: an array of positions, or a slice where they stand in order."""
        epoch = arguments.whole_number(epoch, "epoch", 0)
        size, ends = self._batch_size, len(self) * self._batch_size
        if size == self._samples:
            return [slice(0, size)]
        if not self._shuffle:
            return [slice(start, min(start + size, self._samples)) for start in range(0, ends, size)]
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(self._seed, spawn_key=(epoch,))))
        order = generator.permutation(self._samples)
        return [order[start : start + size] for start in range(0, ends, size)]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Any, ...]]:
        """The mini-batches of an epoch, from the one of number `start` on: where a run goes on that was cut off within an epoch.

        The same for the same `epoch`, whatever was drawn before. Raises TypeError or ValueError at once, and not when the first is taken.
        """
        rows = self.rows(epoch)
        start = arguments.whole_number(start, "start", 0)
        if start > len(rows):
            raise ValueError(f"start: expected at most {len(rows)}, as the epoch has mini-batches; received {start}")
        return (tuple(self._taken(array, some) for array in self._arrays) for some in rows[start:])

    def _taken(self, array: Any, rows: Rows) -> Any:
        if self._batch_size == self._samples:
            return array
        if hasattr(type(array), "iloc"):
            return array.iloc[rows]
        if hasattr(array, "shape"):
            return array[rows]
        return list(array[rows]) if isinstance(rows, slice) else [array[i] for i in rows.tolist()]

    def __repr__(self) -> str:
        if self._batch_size == self._samples:
            return f"<Batches: {self._samples} samples, all in one mini-batch>"
        order = f"shuffled by seed {self._seed}" if self._shuffle else "in order"
        return f"<Batches: {self._samples} samples, {len(self)} mini-batches of {self._batch_size}, {order}>"


def mini_batches(
    *arrays: Any, batch_size: int | None = None, shuffle: bool = True, seed: int = 0, drop_last: bool = False, epoch: int = 0
) -> Iterator[tuple[Any, ...]]:
    """The mini-batches of one epoch: `Batches(...).epoch(epoch)`.

        for epoch in range(epochs):
            for x_batch, y_batch in mini_batches(x, y, seed=1, epoch=epoch):
                ...

    Without `epoch` it is the same order each time.
    """
    return Batches(*arrays, batch_size=batch_size, shuffle=shuffle, seed=seed, drop_last=drop_last).epoch(epoch)


def _length(array: Any, label: str) -> int:
    """How many samples an array has. Raises TypeError for what has no rows that could be taken by their positions."""
    shape = getattr(array, "shape", None)
    if isinstance(shape, Sequence):
        if len(shape) == 0:
            raise TypeError(f"{label}: expected samples along a first dimension, received {describe(array)} without one")
        if not isinstance(array, np.ndarray) and not hasattr(type(array), "iloc"):
            try:
                array[np.arange(min(1, int(shape[0])))]
            except (TypeError, NotImplementedError) as error:  # scipy.sparse's matrices that are not kept by rows, say
                wanted = f"{label}: expected rows that can be taken by their positions, received {type(array).__name__}"
                raise TypeError(f"{wanted}; sparse matrices have `tocsr()`") from error
        return int(shape[0])
    if isinstance(array, Sequence) and not isinstance(array, str | bytes):
        return len(array)
    raise TypeError(f"{label}: expected an array or a sequence of samples, received {describe(array)}")


def _nbytes(array: Any) -> int | None:
    if hasattr(type(array), "iloc"):
        return int(np.sum(array.memory_usage(index=False)))
    parts = [array] if hasattr(array, "nbytes") else [getattr(array, name, None) for name in ("data", "indices", "indptr")]
    sizes = [int(part.nbytes) for part in parts if part is not None and hasattr(part, "nbytes")]
    return sum(sizes) if len(sizes) == len(parts) else None
