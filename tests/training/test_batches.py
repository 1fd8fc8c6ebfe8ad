"""Mini-batches: every sample once, the same order for the same seed and epoch, whatever the samples are held in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastopt.training import Batches, default_batch_size, mini_batches


@pytest.mark.parametrize(
    ("samples", "size"),
    [(1, 1), (2_000, 2_000), (2_001, 64), (4_095, 64), (4_096, 128), (8_191, 128), (8_192, 256), (16_384, 512), (10**9, 512)],
)
def test_default_batch_size(samples: int, size: int) -> None:
    assert default_batch_size(samples) == size
    if samples <= 16_384:
        assert Batches(np.zeros(samples, np.int8)).batch_size == size


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 70), st.booleans(), st.integers(0, 2**40), st.integers(0, 5))
def test_every_sample_once(samples: int, size: int, shuffle: bool, seed: int, epoch: int) -> None:
    x = np.arange(samples) * 10
    y = [str(value) for value in x.tolist()]
    batches = Batches(x, y, batch_size=size, shuffle=shuffle, seed=seed)
    drawn = list(batches.epoch(epoch))
    assert len(drawn) == len(batches) == -(-samples // size)
    assert [len(part) for part, _ in drawn[:-1]] == [size] * (len(drawn) - 1)
    assert sorted(np.concatenate([part for part, _ in drawn]).tolist()) == x.tolist()
    assert all([str(value) for value in part.tolist()] == names for part, names in drawn)
    if not shuffle:
        assert np.concatenate([part for part, _ in drawn]).tolist() == x.tolist()
    if samples >= size:
        whole = list(Batches(x, y, batch_size=size, shuffle=shuffle, seed=seed, drop_last=True).epoch(epoch))
        assert [len(part) for part, _ in whole] == [size] * (samples // size)
        assert all(a[0].tolist() == b[0].tolist() for a, b in zip(whole, drawn, strict=False))


def test_an_epoch_follows_from_seed_and_number_alone() -> None:
    """Asked for in any order, twice, and from the middle on, as a run does that was cut off."""
    x = np.arange(100)
    batches, again = (Batches(x, batch_size=7, seed=3) for _ in range(2))

    def drawn(of: Batches, epoch: int, start: int = 0) -> list[list[int]]:
        return [part.tolist() for (part,) in of.epoch(epoch, start)]

    assert [drawn(batches, k) for k in (2, 0, 1, 2)] == [drawn(again, k) for k in (2, 0, 1, 2)]
    assert drawn(batches, 1, 5) == drawn(batches, 1)[5:]
    assert drawn(batches, 1, len(batches)) == []
    assert drawn(batches, 0) != drawn(batches, 1) != drawn(Batches(x, batch_size=7, seed=4), 1)


def test_the_order_is_pinned() -> None:
    """Runs that were recorded can be repeated as long as this stands."""
    assert [part for (part,) in Batches(range(6), batch_size=4, seed=1).epoch(0)] == [PINNED[:4], PINNED[4:]]


PINNED = [4, 5, 1, 2, 3, 0]


def test_mini_batches_are_an_epoch() -> None:
    x = np.arange(20)
    arguments: dict[str, Any] = {"batch_size": 6, "seed": 5, "drop_last": True}
    found = [part.tolist() for (part,) in mini_batches(x, epoch=2, **arguments)]
    assert found == [part.tolist() for (part,) in Batches(x, **arguments).epoch(2)]
    assert [part.tolist() for (part,) in mini_batches(x, batch_size=12, shuffle=False)] == [list(range(12)), list(range(12, 20))]


def test_numpy_slices_are_views_and_a_full_batch_is_the_array() -> None:
    x = np.arange(10.0).reshape(5, 2)
    assert all(np.shares_memory(part, x) for (part,) in mini_batches(x, batch_size=2, shuffle=False))
    assert not any(np.shares_memory(part, x) for (part,) in mini_batches(x, batch_size=2))
    y = [1, 2, 3, 4, 5]
    ((whole, labels),) = mini_batches(x, y)
    assert whole is x
    assert Batches(x, y).rows(3) == [slice(0, 5)]
    assert labels is y


def test_kinds_are_kept() -> None:
    masked = np.ma.masked_array(np.arange(6), mask=[0, 0, 1, 0, 0, 0])
    for part, numbers, letters in mini_batches(masked, range(6), tuple("abcdef"), batch_size=4, seed=2):
        assert isinstance(part, np.ma.MaskedArray)
        assert [bool(m) for m in np.ma.getmaskarray(part)] == [n == 2 for n in numbers]
        assert letters == ["abcdef"[n] for n in numbers]


def test_sparse_rows() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.random.default_rng(0).integers(0, 3, (11, 4))
    for matrix in (sparse.csr_array(dense), sparse.csr_matrix(dense)):
        batches = Batches(matrix, dense, batch_size=4, seed=1)
        for shuffle in (True, False):
            for part, same in Batches(matrix, dense, batch_size=4, shuffle=shuffle).epoch(0):
                assert part.format == "csr"
                assert np.array_equal(part.toarray(), same)
        own = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
        assert batches.nbytes == -(-(own + dense.nbytes) * 4 // 11)
    with pytest.raises(
        TypeError,
        match=r"^arrays\[0\]: expected rows that can be taken by their pos.*, received \w+; sparse matrices have `tocsr\(\)`$",
    ):
        Batches(sparse.bsr_array(dense))


class Frame:
    """What pandas' frames have that is asked for here."""

    def __init__(self, values: Any) -> None:
        self.values = values
        self.shape = values.shape

    @property
    def iloc(self) -> ByPosition:
        return ByPosition(self.values)

    def __getitem__(self, rows: Any) -> Frame:
        raise KeyError("rows of a frame have names")

    def memory_usage(self, index: bool) -> list[int]:
        assert index is False
        return [self.values.nbytes // 2, self.values.nbytes // 2]


class ByPosition:
    """The rows of a frame by their positions."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __getitem__(self, rows: Any) -> Frame:
        return Frame(self.values[rows])


def test_frames_by_position() -> None:
    frame = Frame(np.arange(12).reshape(6, 2))
    batches = Batches(frame, batch_size=4, seed=1)
    parts = [part.values for (part,) in batches.epoch(0)]
    assert sorted(np.concatenate(parts)[:, 0].tolist()) == [0, 2, 4, 6, 8, 10]
    assert batches.nbytes == 64


def test_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": range(6), "b": list("uvwxyz")}, index=range(10, 16))
    for part, column in mini_batches(frame, frame["b"], batch_size=4):
        assert part["b"].tolist() == column.tolist()


def test_torch() -> None:
    torch = pytest.importorskip("torch")
    x = torch.arange(12).reshape(6, 2)
    for part, numbers in mini_batches(x, range(6), batch_size=4):
        assert part[:, 0].tolist() == [2 * n for n in numbers]


def test_bytes_of_a_mini_batch() -> None:
    x, y = np.zeros((10, 3), np.float32), np.zeros(10, np.int64)
    assert Batches(x, y, batch_size=4).nbytes == 4 * (12 + 8)
    assert Batches(x, list(range(10)), batch_size=4).nbytes is None


@pytest.mark.parametrize(
    ("arrays", "arguments", "error", "words"),
    [
        ((), {}, TypeError, r"^arrays: expected at least one, received none$"),
        ((np.zeros(3), np.zeros(4)), {}, ValueError, r"^arrays\[1\]: expected 3 samples, as in arrays\[0\]; received 4$"),
        ((np.zeros((0, 3)),), {}, ValueError, r"^arrays: expected at least one sample, received none$"),
        (
            (np.zeros(()),),
            {},
            TypeError,
            r"^arrays\[0\]: expected samples along a first dimension, received an array of float64",
        ),
        ((np.zeros(3), "abc"), {}, TypeError, r"^arrays\[1\]: expected an array or a sequence of samples, received 'abc' \(str\)$"),
        ((np.zeros(3), {1: 2}), {}, TypeError, r"^arrays\[1\]: expected an array or a sequence of samples, received \{1: 2\} \(dict\)$"),
        ((np.zeros(3),), {"batch_size": 0}, ValueError, r"^batch_size: expected an integer >= 1, received 0$"),
        ((np.zeros(3),), {"batch_size": 2.0}, TypeError, r"^batch_size: expected an integer >= 1, received 2\.0 \(float\)$"),
        ((np.zeros(3),), {"shuffle": 1}, TypeError, r"^shuffle: expected True or False"),
        ((np.zeros(3),), {"drop_last": None}, TypeError, r"^drop_last: expected True or False"),
        ((np.zeros(3),), {"seed": -1}, ValueError, r"^seed: expected an integer >= 0, received -1$"),
        (
            (np.zeros(3),),
            {"batch_size": 4, "drop_last": True},
            ValueError,
            r"^drop_last: expected a batch_size of at most 3, as there are samples; received 4$",
        ),
    ],
)
def test_bad_arguments(arrays: Any, arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Batches(*arrays, **arguments)


def test_bad_epochs_are_refused_at_once() -> None:
    batches = Batches(np.zeros(10), batch_size=4)
    with pytest.raises(ValueError, match=r"^epoch: expected an integer >= 0, received -1$"):
        batches.epoch(-1)
    with pytest.raises(ValueError, match=r"^start: expected at most 3, as the epoch has mini-batches; received 4$"):
        batches.epoch(0, 4)
    with pytest.raises(TypeError, match=r"^start: expected an integer >= 0"):
        batches.epoch(0, 1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^samples: expected an integer >= 1, received 0$"):
        default_batch_size(0)


def test_repr() -> None:
    assert repr(Batches(np.zeros(10), batch_size=4, seed=3)) == "<Batches: 10 samples, 3 mini-batches of 4, shuffled by seed 3>"
    assert repr(Batches(np.zeros(10), batch_size=4, shuffle=False)) == "<Batches: 10 samples, 3 mini-batches of 4, in order>"
    assert repr(Batches(np.arange(9))) == "<Batches: 9 samples, all in one mini-batch>"
