"""Rules that a user writes: every function of the language, every comparison, and names that other languages own.

They are compiled on demand by Numba and by Cython, and must mean what they mean for Python floats, bit for bit.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import pickle
import shutil
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.backends import numpy_backend, pick
from fastopt.crosscheck import Case, cases, compare, ulp_distance
from fastopt.rules.entry import RULES, Rule
from fastopt.rules.language import absolute, maximum, minimum, sign, sqrt
from tests.conftest import LAUNCHINGS, needed
from tests.kernels import kernel

# ruff: noqa: ANN201, ANN202  -- rules are bare formulas
# mypy: disable-error-code="no-untyped-def"

DTYPES = [pytest.param(dtype, id=dtype.__name__) for dtype in (np.float32, np.float64)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(autouse=True)
def _own_cache_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(folder))


def able_to_compile(backend: str) -> None:
    if backend != "cython":
        return
    for module in ("Cython", "setuptools"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: rules from outside cannot be compiled for the cython backend")
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no C compiler ({compiler})")


# ------------------------------------------------------------------------------- each function, each comparison, odd names


def dictionary(p, g, int, double, n, row, length, i, at, offset, width, scalars, lr):
    """Keeps in each state what one function or comparison makes of p and g; names are what generated source uses itself."""
    first = sqrt(g)
    last = absolute(g)
    float = maximum(p, g)
    range = minimum(p, g)
    void = sign(g)
    new = p if p < g else lr
    struct = p if p <= g else lr
    template = p if p > g else lr
    rows = p if p >= g else lr
    addresses = p if p == g else lr
    np = -(p if p != g else lr)
    return p, first, last, float, range, void, new, struct, template, rows, addresses + np


STATES = ("int", "double", "n", "row", "length", "i", "at", "offset", "width", "scalars")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
def test_every_function_and_comparison_means_what_it_means_for_floats(launching: str, dtype: Any) -> None:
    able_to_compile(launching)
    rule = fastopt.rule(states=STATES)(dictionary)
    tiny = float(np.finfo(dtype).smallest_subnormal)
    values = [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, math.inf, -math.inf, math.nan, tiny, -tiny, float(np.finfo(dtype).max)]
    pairs = list(itertools.product(values, values)) * 3  # longer than a vector, so both its body and its tail see each
    p, g = (np.array(column, dtype) for column in zip(*pairs, strict=True))
    lr = 0.25
    expected = [
        np.array(column) for column in zip(*(rule(float(a), float(b), *(0.0,) * 10, lr) for a, b in zip(p, g, strict=True)), strict=True)
    ]
    states = [np.full(len(p), 9.0, dtype) for _ in STATES]
    fastopt.functional.apply(rule, p, g, *states, step=1, lr=lr, backend=launching)
    for name, array, values_of in zip(("p", *STATES), (p, *states), expected, strict=True):
        with np.errstate(all="ignore"):
            assert ulp_distance(array, values_of.astype(dtype)) == 0, name


def copied(p, g, v, lr):
    return p - lr * v, g


@pytest.mark.parametrize("backend", ["numba", "cython"])
def test_a_state_that_is_negative_though_its_rule_says_that_it_is_not(backend: str) -> None:
    """In int8 its magnitude is coded: as another number, and not as whatever a CPU makes of one that has no code."""
    needed(backend)
    able_to_compile(backend)
    rule = fastopt.rule(states=("v",), non_negative=("v",))(copied)
    g = np.random.default_rng(0).standard_normal(600).astype(np.float32)
    g[::50], g[1::50] = -0.0, 0.0
    found = []
    for own in (backend, "numpy"):
        optimizer = fastopt.Optimizer(np.zeros(600, np.float32), rule, lr=1.0, state_dtype="int8", narrow_from=0, backend=own)
        optimizer.step(g)
        optimizer.step(np.zeros_like(g))
        found.append((optimizer.params, *optimizer.state_dict()["state"].values()))
    for values, expected in zip(*found, strict=True):
        np.testing.assert_array_equal(values, expected)
    assert np.abs(found[0][0]).max() > 1.0
    np.testing.assert_allclose(-found[0][0], np.abs(g), rtol=0.2, atol=1e-3)
    assert (found[0][0][g == 0.0] == 0.0).all()


def test_signs_of_zero_and_nan_are_as_documented() -> None:
    """By hand, since the test above takes the language's own functions for right."""
    assert math.copysign(1.0, sign(-0.0)) == 1.0
    assert math.isnan(sign(math.nan))
    assert math.copysign(1.0, sqrt(-0.0)) == -1.0
    assert math.isnan(sqrt(-1.0))
    assert math.copysign(1.0, absolute(-0.0)) == 1.0
    assert math.isnan(maximum(math.nan, 1.0))
    assert math.isnan(minimum(1.0, math.nan))
    assert math.copysign(1.0, maximum(0.0, -0.0)) == -1.0
    assert math.copysign(1.0, minimum(-0.0, 0.0)) == 1.0


# ----------------------------------------------------------------------------------------- a whole rule, from end to end


def lion_with_a_cap(p, g, m, lr, beta1, one_minus_beta1, beta2, one_minus_beta2, cap):
    """Lion, with the mean of the gradients held between -cap and cap."""
    direction = sign(beta1 * m + one_minus_beta1 * g)
    mean = beta2 * m + one_minus_beta2 * g
    return p - lr * direction, maximum(-cap, minimum(cap, mean)) if absolute(mean) > cap else mean


def reference_of_lion(p: Any, g: Any, m: Any, *, step: int, lr: float, betas: tuple[float, float], cap: float) -> tuple[Any, Any]:
    def signs(x: Any) -> Any:
        return np.where(np.isnan(x), x, np.sign(x))

    direction = signs(betas[0] * m + (1.0 - betas[0]) * g)
    mean = betas[1] * m + (1.0 - betas[1]) * g
    return p - lr * direction, np.where(np.isnan(mean), mean, np.clip(mean, -cap, cap))


def lion_scalars(step: int, lr: float, betas: tuple[float, float], cap: float) -> tuple[float, ...]:
    return lr, betas[0], 1.0 - betas[0], betas[1], 1.0 - betas[1], cap


def enter_lion(**more: Any) -> Rule:
    hyperparameters = {"betas": fastopt.Hyperparameter((0.9, 0.99), fastopt.UNIT), "cap": 1.5}
    return fastopt.rule(states=("m",), hyperparameters=hyperparameters, scalars=lion_scalars, default_lr=1e-3, **more)(lion_with_a_cap)


@pytest.mark.usefixtures("threads_for_all_sizes")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reference", [reference_of_lion, None], ids=["with a reference", "without"])
@pytest.mark.parametrize("launching", LAUNCHINGS, indirect=True)
def test_same_bits(launching: str, reference: Any, dtype: Any) -> None:
    able_to_compile(launching)
    rule = enter_lion(reference=reference)
    assert numpy_backend.has_reference(rule) == (reference is not None)
    for case in cases(rule):
        assert compare(rule, launching, dtype, case, num_threads=2, special=True) == 0, case


def test_it_is_everywhere_a_rule_can_be() -> None:
    rule = enter_lion(reference=reference_of_lion)
    assert "lion_with_a_cap" in RULES
    assert "lion_with_a_cap" in dir(fastopt.functional)
    p, m = np.array([1.0, 2.0, 3.0]), np.zeros(3)
    fastopt.functional.lion_with_a_cap(p, np.array([1.0, -1.0, 0.0]), m, step=1, lr=0.5, backend="numpy")
    assert p.tolist() == [0.5, 2.5, 3.0]
    by_name = fastopt.Optimizer(np.ones(3), rule="lion_with_a_cap", backend="numpy")
    assert by_name.rule is rule
    assert by_name.lr == 1e-3
    assert by_name.hyperparameters["betas"] == (0.9, 0.99)
    with pytest.raises(ValueError, match=r"^betas\[1\]: expected a number in \[0, 1\), received 1\.0$"):
        fastopt.Optimizer(np.ones(3), rule, betas=(0.5, 1.0))


def test_idle_weights_do_not_drift() -> None:
    """sign(0) is 0: a parameter whose gradient is 0 from the start never moves."""
    rule = enter_lion(reference=reference_of_lion)
    for backend in ("numpy", "numba"):
        needed(backend)
        p = np.array([1.0, -1.0, 0.0])
        optimizer = fastopt.Optimizer(p, rule, 0.1, backend=backend)
        for _ in range(5):
            optimizer.step(np.array([0.0, -0.0, 0.0]))
        assert p.tolist() == [1.0, -1.0, 0.0]


def test_auto_takes_numba_for_what_was_not_compiled_ahead() -> None:
    needed("numba")
    rule = enter_lion()
    name, why = pick(kernel(rule))
    assert name == "numba"
    assert "not in the built extension" in why or "cython" in why
    assert fastopt.Optimizer(np.ones(3), rule).backend == "numba"


def test_what_cannot_be_compiled_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No folder to compile in; and no Cython to compile with."""
    needed("cython")

    @fastopt.rule()
    def never_compiled(p, g, lr):
        return (p + lr * g,)

    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(blocked / "below"))
    with pytest.raises(
        RuntimeError,
        match=r"^rule 'never_compiled' is not in the built extension, and there is no folder to compile it in \(FASTOPT_CACHE_DIR\)$",
    ):
        fastopt.Optimizer(np.ones(3), never_compiled, 0.1, backend="cython")
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path))
    (tmp_path / "Cython").mkdir()
    (tmp_path / "Cython" / "__init__.py").write_text("raise ImportError('Cython was hidden by a test')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(
        RuntimeError,
        match=r"^compiling fastopt_never_compiled_.* failed \(it takes Cython, setuptools and a C compiler\): .*hidden by a test",
    ):
        fastopt.Optimizer(np.ones(3), never_compiled, 0.1, backend="cython")
    assert not list((tmp_path / "cython").iterdir()), "a failed build left something behind"


def test_a_name_that_precedes_every_rule_is_refused() -> None:
    @fastopt.rule(scalars=lambda step, lr: (lr,))
    def rule_with_a_taken_name(p, g, gradient_factor):
        return (p - gradient_factor * g,)

    for backend in ("numba", "cython"):
        if fastopt.available_backends()[backend] is True:
            with pytest.raises(
                ValueError,
                match=r"^rule 'rule_with_a_taken_name': the name 'gradient_factor' belongs to what stands around every rule; rename it$",
            ):
                fastopt.Optimizer(np.ones(3), rule_with_a_taken_name, 0.1, backend=backend)


def test_a_rule_written_anew_is_compiled_anew() -> None:
    """The second text must not run the first one's kernel, though both have one name."""
    for backend in ("numba",):
        needed(backend)
        for factor, expected in ((1, 0.5), (2, 1.5)):
            if factor == 1:

                @fastopt.rule()
                def changing(p, g, lr):
                    return (p - lr * g,)

            else:

                @fastopt.rule()
                def changing(p, g, lr):
                    return (p + lr * g,)

            p = np.array([1.0])
            fastopt.Optimizer(p, "changing", 0.5, backend=backend).step(np.array([1.0]))
            assert p[0] == expected
            assert compare(changing, backend, np.float64, Case("any", {}), lengths=(3,)) == 0


@pytest.mark.parametrize(("answer", "received"), [((1.0,), "1 values"), ((1.0, 2.0, 3.0), "3 values"), ([1.0, 2.0], "list")])
def test_a_reference_with_other_results_is_refused_before_anything_is_written(answer: Any, received: str) -> None:
    def reference(p: Any, g: Any, m: Any, *, step: int, lr: float) -> Any:
        return answer

    @fastopt.rule(states=("m",), reference=reference)
    def summing(p, g, m, lr):
        m = m + g
        return p - lr * m, m

    p = np.ones(4)
    with pytest.raises(ValueError, match=rf"rule 'summing': expected of its reference a tuple \(p, m\), received {received}"):
        fastopt.Optimizer(p, summing, 0.1, backend="numpy")
    assert (p == 1).all()


def test_a_rule_that_was_redefined_is_not_taken_for_the_one_that_was_pickled() -> None:
    @fastopt.rule()
    def redefined(p, g, lr):  # type: ignore[no-untyped-def]
        return (p - lr * g,)

    pickled = pickle.dumps(redefined)
    assert pickle.loads(pickled) is redefined

    @fastopt.rule()
    def redefined(p, g, lr):  # type: ignore[no-untyped-def,no-redef]
        return (p + lr * g,)

    with pytest.raises(ValueError, match=r"^rule 'redefined': expected the one that was pickled, \(p, g, lr\) -> return p - "):
        pickle.loads(pickled)
    RULES.pop("redefined")


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_scalars_whose_number_changes_are_refused_at_that_step(backend: str) -> None:
    """What was left on the stack was read."""
    needed(backend)

    def scalars(step: int, lr: float, rate: float) -> tuple[float, ...]:
        return (lr, rate) if step < 2 else (lr,)

    @fastopt.rule(hyperparameters={"rate": 0.5}, scalars=scalars)
    def changing(p, g, lr, rate):  # type: ignore[no-untyped-def]
        return (p - lr * rate * g,)

    p = np.ones(3)
    opt = fastopt.Optimizer(p, changing, 0.5, backend=backend)
    opt.step(np.ones(3))
    before = p.copy()
    with pytest.raises(ValueError, match=r"^scalars: expected 2 of the rule, received 1$"):
        opt.step(np.ones(3))
    assert (p == before).all()
    assert opt.steps == 1
    RULES.pop("changing")
