"""The perceptron of all parts: gradients against finite differences, each part alone and all together; runs, inference, real digits."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike

import fastopt
from bench.layered import DECAY, Layered, Run
from bench.losses import LossName
from bench.networks import Network
from bench.workloads import WORKLOADS, mini_batches
from tests.bench.watched import Watched

SIZES = 4, 6, 5, 3
PARTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "tanh": {"activation": "tanh"},
    "batch norm": {"batch_norm": True},
    "dropout": {"dropout": 0.4},
    "L2": {"l2": 0.3},
    "batch norm and tanh": {"batch_norm": True, "activation": "tanh"},
    "dropout and L2": {"dropout": 0.4, "l2": 0.3},
    "all": {"batch_norm": True, "dropout": 0.4, "l2": 0.3},
    "all and tanh": {"batch_norm": True, "dropout": 0.4, "l2": 0.3, "activation": "tanh"},
}
ALL = PARTS["all"]
LOSS_NAMES: tuple[LossName, ...] = ("cross_entropy", "squared_error")


def _data(loss: LossName, dtype: DTypeLike = np.float64, samples: int = 7) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    x = generator.standard_normal((samples, 4)).astype(dtype)
    if loss == "cross_entropy":
        return x, generator.integers(0, 3, samples)
    return x, generator.random((samples, 3)).astype(dtype)


def _shaken(network: Layered, dtype: DTypeLike = np.float64) -> dict[str, np.ndarray]:
    """Initial parameters, with biases, gamma and beta that are not the same for all units, and no rectifier at its kink."""
    generator = np.random.default_rng(2)
    params = network.initial_params(0, dtype)
    for name, p in params.items():
        if not name.startswith("W"):
            p += generator.uniform(0.1, 0.3, p.shape).astype(dtype)
    return params


def _parted(flat: np.ndarray, like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    ends = list(itertools.accumulate(p.size for p in like.values()))
    return {name: part.reshape(p.shape) for (name, p), part in zip(like.items(), np.split(flat, ends[:-1]), strict=True)}


@pytest.mark.parametrize("loss", LOSS_NAMES)
@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_gradients_are_the_losses_slope(parts: dict[str, Any], loss: LossName) -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="scipy is not installed")
    network = Layered(SIZES, loss, **parts, seed=7)
    params, (x, y) = _shaken(network), _data(loss)

    def value(flat: np.ndarray) -> float:
        return network.loss_and_gradients(_parted(flat, params), x, y, step=3)[0]

    def gradient(flat: np.ndarray) -> np.ndarray:
        return np.concatenate([g.ravel() for g in network.loss_and_gradients(_parted(flat, params), x, y, step=3)[1].values()])

    at = np.concatenate([p.ravel() for p in params.values()])
    assert np.linalg.norm(gradient(at)) > 0.1
    assert optimize.check_grad(value, gradient, at) < 1e-6


@pytest.mark.parametrize("loss", LOSS_NAMES)
@pytest.mark.parametrize("hidden", [(), (5,), (6, 4)], ids=str)
def test_with_no_part_it_is_the_plain_network(hidden: tuple[int, ...], loss: LossName) -> None:
    plain, layered = Network((4, *hidden, 3), loss), Layered((4, *hidden, 3), loss)
    for dtype in (np.float32, np.float64):
        expected = plain.initial_params(0, dtype)
        params = layered.initial_params(0, dtype)
        assert [(p.tobytes(), p.dtype) for p in params.values()] == [(p.tobytes(), p.dtype) for p in expected]
        data = _data(loss, dtype)
        value, gradients = plain.loss_and_gradients(expected, *data)
        found, by_name, seen = layered.loss_and_gradients(params, *data, step=1)
        assert found == value
        assert [g.tobytes() for g in by_name.values()] == [g.tobytes() for g in gradients]
        assert seen == {}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_names_shapes_and_dtype(parts: dict[str, Any], dtype: DTypeLike) -> None:
    network = Layered(SIZES, "cross_entropy", **parts)
    params = network.initial_params(0, dtype)
    between = {"gamma1": (6,), "beta1": (6,), "gamma2": (5,), "beta2": (5,)} if network.batch_norm else {"b1": (6,), "b2": (5,)}
    assert {name: p.shape for name, p in params.items()} == {"W1": (4, 6), "W2": (6, 5), "W3": (5, 3), "b3": (3,)} | between
    value, gradients, _ = network.loss_and_gradients(params, *_data("cross_entropy", dtype), step=1)
    assert type(value) is float
    assert list(gradients) == list(params)
    assert [g.shape for g in gradients.values()] == [p.shape for p in params.values()]
    assert {a.dtype for a in (*params.values(), *gradients.values())} == {np.dtype(dtype)}
    assert all(g.flags.c_contiguous for g in gradients.values()), "fastopt takes C-contiguous gradients"


def test_in_float32_it_is_what_it_is_in_float64_but_for_rounding() -> None:
    network = Layered(SIZES, "cross_entropy", **ALL)
    (narrow, gradients, _), (wide, expected, _) = (
        network.loss_and_gradients(_shaken(network, dtype), *_data("cross_entropy", dtype), step=2) for dtype in (np.float32, np.float64)
    )
    assert narrow == pytest.approx(wide, rel=1e-6)
    for name, g in gradients.items():
        np.testing.assert_allclose(g, expected[name], rtol=1e-4, atol=1e-5)


def test_every_operation_stays_float32() -> None:
    for parts in (PARTS["all"], PARTS["all and tanh"]):
        network = Layered(SIZES, "cross_entropy", **parts)
        run = Run(network)
        params = {name: p.view(Watched) for name, p in run.initial_params(0).items()}
        x, y = _data("cross_entropy", np.float32)
        run.loss_and_gradients(params, x.view(Watched), y)
        assert run.outputs(params, x.view(Watched)).dtype == np.float32
        assert {a.dtype for a in run.averages.values()} == {np.dtype(np.float32)}


def test_a_step_decides_on_the_masks_and_on_nothing_else() -> None:
    network = Layered(SIZES, "cross_entropy", dropout=0.5)
    params, data = _shaken(network), _data("cross_entropy")
    losses = [network.loss_and_gradients(params, *data, step=step)[0] for step in (1, 2, 1)]
    assert losses[0] == losses[2] != losses[1]
    assert (
        network.loss_and_gradients(params, *data, step=1)[0]
        != Layered(SIZES, "cross_entropy", dropout=0.5, seed=1).loss_and_gradients(params, *data, step=1)[0]
    )


def test_a_run_has_another_mask_at_each_step_and_begins_anew() -> None:
    network = Layered(SIZES, "cross_entropy", dropout=0.5)
    run, data = Run(network), _data("cross_entropy")
    params = run.initial_params(0, np.float64)
    expected = [network.loss_and_gradients(params, *data, step=step)[0] for step in (1, 2)]
    assert [run.loss_and_gradients(params, *data)[0] for _ in range(2)] == expected
    run.initial_params(0, np.float64)
    assert run.loss_and_gradients(params, *data)[0] == expected[0]


def test_averages_are_those_of_the_mini_batches_seen() -> None:
    run = Run(Layered((4, 6, 3), "cross_entropy", batch_norm=True))
    params = run.initial_params(0, np.float64)
    expected = {"mean1": np.zeros(6), "variance1": np.ones(6)}
    for name, average in run.averages.items():
        np.testing.assert_array_equal(average, expected[name])
    for samples in (7, 5):
        x, y = _data("cross_entropy", samples=samples)
        run.loss_and_gradients(params, x, y)
        z = x @ params["W1"]
        for name, value in (("mean1", z.mean(axis=0)), ("variance1", z.var(axis=0, ddof=1))):
            expected[name] = DECAY * expected[name] + (1 - DECAY) * value
    for name, average in run.averages.items():
        np.testing.assert_allclose(average, expected[name], rtol=1e-12)


def test_one_sample_is_nothing_to_normalize_over() -> None:
    run = Run(Layered(SIZES, "cross_entropy", batch_norm=True))
    params = run.initial_params(0)
    before = {name: average.copy() for name, average in run.averages.items()}
    with pytest.raises(ValueError, match=r"^x: expected at least 2 samples to normalize over, received 1$"):
        run.loss_and_gradients(params, *_data("cross_entropy", np.float32, samples=1))
    assert run.step == 0
    assert all(np.array_equal(average, before[name]) for name, average in run.averages.items())
    without = Layered(SIZES, "cross_entropy", dropout=0.5)
    without.loss_and_gradients(without.initial_params(0), *_data("cross_entropy", np.float32, samples=1), step=1)


def test_inference_drops_nothing_and_takes_each_sample_by_itself() -> None:
    network = Layered(SIZES, "cross_entropy", **ALL)
    run = Run(network)
    params = run.initial_params(0, np.float64)
    x, y = _data("cross_entropy", samples=40)
    for _ in range(5):
        run.loss_and_gradients(params, x, y)
    together = run.outputs(params, x)
    assert together.shape == (40, 3)
    np.testing.assert_array_equal(run.outputs(params, x), together)
    np.testing.assert_allclose(np.vstack([run.outputs(params, row[None]) for row in x]), together, rtol=1e-10)


def test_without_its_parts_inference_is_what_training_computes() -> None:
    network = Layered(SIZES, "squared_error", activation="tanh")
    params, (x, y) = _shaken(network), _data("squared_error")
    value, _, _ = network.loss_and_gradients(params, x, y, step=1)
    assert np.mean((network.outputs(params, {}, x) - y) ** 2) == pytest.approx(value, rel=1e-12)


def test_initial_parameters_are_of_the_kind_that_was_asked_for() -> None:
    def deviation(name: str, **options: Any) -> float:
        return float(np.std(Layered((400, 300, 200), "squared_error", **options).initial_params(3)[name]))

    assert deviation("W1") == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert deviation("W1", initial="xavier") == pytest.approx((2 / 700) ** 0.5, rel=0.02)
    assert deviation("W2") == pytest.approx((2 / 500) ** 0.5, rel=0.02)
    uniform = Layered((400, 300, 200), "squared_error", distribution="uniform", batch_norm=True).initial_params(3)
    assert np.abs(uniform["W1"]).max() <= np.float32((6 / 400) ** 0.5)
    assert np.abs(uniform["W2"]).max() <= np.float32((6 / 500) ** 0.5)
    assert (uniform["gamma1"] == 1).all()
    assert not uniform["beta1"].any()
    assert not uniform["b2"].any()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"sizes": (4,)}, ValueError, r"^sizes: expected those of the inputs and of at least one layer, received \(4,\)$"),
        ({"sizes": (4, 0, 3)}, ValueError, r"^sizes\[1\]: expected an integer >= 1, received 0$"),
        ({"loss": "hinge"}, ValueError, "^loss: expected one of 'cross_entropy', 'squared_error'; received 'hinge'$"),
        ({"activation": "gelu"}, ValueError, "^activation: expected one of 'relu', 'tanh'; received 'gelu'$"),
        ({"initial": "zero"}, ValueError, "^initial: expected one of 'he', 'xavier'; received 'zero'$"),
        ({"distribution": "cauchy"}, ValueError, "^distribution: expected one of 'normal', 'uniform'; received 'cauchy'$"),
        ({"batch_norm": 0.5}, TypeError, "^batch_norm: expected True or False, received 0.5 "),
        ({"dropout": 1.0}, ValueError, r"^dropout: expected a number in \[0, 1\), received 1.0$"),
        ({"l2": -1e-4}, ValueError, "^l2: expected a finite number >= 0, received -0.0001$"),
        ({"seed": 1.5}, TypeError, "^seed: expected an integer >= 0, received 1.5 "),
    ],
)
def test_what_is_no_network_is_refused(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Layered(**({"sizes": SIZES, "loss": "cross_entropy"} | options))


def test_digits_are_learned_and_the_update_may_be_anyones() -> None:
    """Six epochs, 297 digits of other people's hands held out; every backend makes it the same network."""
    pytest.importorskip("sklearn", reason="the data sets come with scikit-learn")
    data = WORKLOADS["digits"]()
    backends = [name for name, found in fastopt.available_backends().items() if found is True and name in ("numpy", "numba", "cython")]
    trained = []
    for backend in backends:
        run = data.network_of_all_parts((64, 64))
        params = run.initial_params(0)
        optimizer = fastopt.Adam(params, lr=3e-3, backend=backend)
        generator = np.random.default_rng(0)
        for _ in range(6):
            for rows in mini_batches(1_500, 64, generator):
                _, gradients = run.loss_and_gradients(params, data.x[rows], data.y[rows])
                optimizer.step(gradients)
        said = run.outputs(params, data.x[1_500:]).argmax(axis=1)
        assert np.mean(said == data.y[1_500:]) > 0.85  # 0.92 here; another BLAS rounds otherwise
        trained.append([a.tobytes() for a in (*params.values(), *run.averages.values())])
    assert all(each == trained[0] for each in trained)
