"""Storage: every pattern as NumPy reads it, every number rounded as NumPy rounds it, and the same bits on every backend."""

from __future__ import annotations

import dataclasses
import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import storage
from fastopt.backends import cython_backend, cython_module, cython_source
from fastopt.crosscheck import cases, compare, master_cases
from fastopt.kernel import kernel_of
from fastopt.rules.entry import RULES
from fastopt.stages import COUPLED
from fastopt.storage import STORAGES
from fastopt.storage.bits import parse
from fastopt.storage.choice import taken
from tests.conftest import LAUNCHINGS
from tests.kernels import is_first_of_its_kind

Array = np.ndarray[Any, Any]
NARROW = [name for name, own in STORAGES.items() if own.texts is not None]

pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")


def same_bits(a: Array, b: Array) -> bool:
    """One NaN equals another."""
    with np.errstate(all="ignore"):  # to convert a signalling NaN is an invalid operation
        nan, other = (np.isnan(x.astype(np.float64)) for x in (a, b))
    integers: Any = {2: np.uint16, 4: np.uint32, 8: np.uint64}[a.itemsize]
    return bool((nan == other).all() and (a[~nan].view(integers) == b[~nan].view(integers)).all())


@pytest.mark.parametrize("name", NARROW)
def test_every_pattern_is_read_as_numpy_reads_it(name: str) -> None:
    own = STORAGES[name]
    assert own.load is not None
    patterns = np.arange(2 ** (8 * own.itemsize), dtype=f"u{own.itemsize}")
    found = np.array([own.load(int(bits)) & 0xFFFFFFFF for bits in patterns], np.uint32).view(np.float32)
    assert same_bits(found, own.decode(patterns.view(own.dtype)))


@pytest.mark.parametrize("name", NARROW)
def test_numbers_are_rounded_as_numpy_rounds_them(name: str) -> None:
    """Each number that is representable, its neighbours, what lies half way, and random ones."""
    own = STORAGES[name]
    assert own.store is not None
    patterns = np.arange(2 ** (8 * own.itemsize), dtype=f"u{own.itemsize}")
    exact = own.decode(patterns.view(own.dtype))
    with np.errstate(all="ignore"):
        half = (exact[:-1] + (exact[1:] - exact[:-1]) * np.float32(0.5)).astype(np.float32)
    rng = np.random.default_rng(0)
    numbers = np.concatenate([exact, half, np.nextafter(half, np.inf), np.nextafter(half, -np.inf)])
    numbers = np.concatenate([numbers[:: 7 if name == "bfloat16" else 5], rng.integers(0, 2**32, 20_000, np.uint32).view(np.float32)])
    found = np.array([own.store(int(bits)) for bits in numbers.view(np.uint32)], np.int64)
    found = (found & (2 ** (8 * own.itemsize) - 1)).astype(f"u{own.itemsize}").view(own.dtype)
    with np.errstate(all="ignore"):
        assert same_bits(found, numbers.astype(own.dtype))


def test_kernels_convert_every_pattern(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """SGD at a learning rate of 0 reads every parameter and writes it back: through each backend's own conversion."""
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path))
    for name, backend in itertools.product(NARROW, ("numpy", "numba", "cython")):
        if fastopt.available_backends()[backend] is not True:
            continue
        patterns = np.arange(2**16, dtype=np.uint16)
        p = patterns.copy().view(STORAGES[name].dtype)
        with np.errstate(all="ignore"):
            fastopt.SGD(p, lr=0.0, backend=backend).step(np.zeros_like(p))
        assert same_bits(p, patterns.view(STORAGES[name].dtype)), (name, backend)


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("backend", ["numba", "cython"])
def test_kernels_round_as_numpy_does(backend: str, name: str) -> None:
    if fastopt.available_backends()[backend] is not True:
        pytest.skip(f"{backend} is not there")
    own = STORAGES[name]
    exact = own.decode(np.arange(2**16, dtype=np.uint16).view(own.dtype))
    with np.errstate(all="ignore"):
        half = (exact[:-1] + (exact[1:] - exact[:-1]) * np.float32(0.5)).astype(np.float32)
        numbers = np.concatenate([half, np.nextafter(half, np.inf), np.nextafter(half, -np.inf)]).astype(np.float32)
        p, g = np.zeros(numbers.shape, own.dtype), numbers
        fastopt.SGD(p, lr=1.0, maximize=True, grad_dtype="float32", backend=backend).step(g)
        assert same_bits(p, (np.float32(0) - -numbers).astype(own.dtype))


COMBINATIONS = [c for c in itertools.product(("float32", *NARROW), repeat=3) if set(c) != {"float32"}]
EACH_PAIR = [c for c in COMBINATIONS if sum(map(("float32", *NARROW).index, c)) % 3 == 0]
"""Each storage in each place beside each other one in each other place. Numba takes a second for each; cython has all in one module."""
ALIKE = [(name,) * 3 for name in NARROW]
"""For the way in which Numba itself calls a kernel, which is the same for all."""


OF_STATES = [
    *((rule.name, ("float32", "float32", "int8")) for rule in RULES.values() if rule.states and is_first_of_its_kind(rule)),
    *(("adam", asked) for asked in (("bfloat16", "bfloat16", "int8"), ("float32", "bfloat16", "bfloat16"))),
]
"""States by blocks, for each number of them, with a first value, and beside narrow parameters and gradients; and states that are drawn."""

OF_PARAMETERS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("sgd", "bfloat16", "float32", {"stochastic_rounding": True}),
    ("sgd", "float32", "float32", {"master_bits": 24}),
    ("momentum", "bfloat16", "float32", {"master_bits": 32}),
    ("adam", "bfloat16", "int8", {"master_bits": 32}),
    ("adam", "float32", "bfloat16", {"master_bits": 32}),
    ("adam", "bfloat16", "int8", {"master_bits": 24, "stochastic_rounding": True}),
    ("adam", "bfloat16", "bfloat16", {"stochastic_rounding": True}),
]
"""Parameters of bfloat16 with a correction or drawn, beside gradients and states: rule, gradients, states, and what asks for it."""


@pytest.fixture(scope="module")
def all_at_once(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One module of cython's with all the kernels below: each by itself would start the C compiler anew."""
    kernels = [kernel_of(RULES["momentum"], COUPLED, *storages) for storages in COMBINATIONS]
    for name, asked in OF_STATES:
        states = taken(asked[2], None, 0, None).of(RULES[name], STORAGES["float32"], 1)
        kernels.append(kernel_of(RULES[name], COUPLED, *asked[:2], tuple(state.name for state in states)))
    for name, gradient, state, options in OF_PARAMETERS:
        choice = taken(state, options.get("stochastic_rounding"), 0, options.get("master_bits"))
        states = choice.of(RULES[name], STORAGES["bfloat16"], 1)
        parameter = choice.of_parameter(STORAGES["bfloat16"]).name
        kernels.append(kernel_of(RULES[name], COUPLED, parameter, gradient, tuple(own.name for own in states)))
    source = cython_source.module_source(kernels, with_gradients=False)
    return cython_module.build_module("fastopt_all_storages", source, tmp_path_factory.mktemp("kernels"), cython_backend.isa())


@pytest.fixture
def compiled(launching: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The backend of a launching; cython takes its kernels from the module of all of them."""
    if launching == "cython":
        module = request.getfixturevalue("all_at_once")
        monkeypatch.setattr(cython_backend, "_compiled_now", lambda rule, storages: module)
    return launching


def all_agree(rule: Any, backend: str, parameter: str, gradient: str, state: str, options: dict[str, Any]) -> None:
    """By threads, in groups, without some gradients, and with values of note."""
    for case in master_cases(rule, options):
        own = partial(compare, rule, backend, parameter, case, gradient=gradient, state=state)
        assert own(num_threads=2) == 0
        assert own(num_threads=1, special=True, seed=1) == 0


@pytest.mark.usefixtures("threads_for_all_sizes")
@pytest.mark.parametrize(
    ("launching", "storages"),
    [
        pytest.param(launching, storages, id=f"{launching}-{'-'.join(storages)}")
        for launching, combinations in zip(LAUNCHINGS, (COMBINATIONS, EACH_PAIR, ALIKE), strict=True)
        for storages in combinations
    ],
    indirect=["launching"],
)
def test_combinations_have_the_reference_s_bits(storages: tuple[str, str, str], compiled: str) -> None:
    rule = RULES["momentum"]
    case = cases(rule)[1]
    nearest = dataclasses.replace(case, options={**case.options, "stochastic_rounding": False}) if storages[2] == "bfloat16" else case
    assert compare(rule, compiled, storages[0], nearest, gradient=storages[1], state=storages[2], num_threads=2, special=True) == 0


@pytest.mark.usefixtures("threads_for_all_sizes")
@pytest.mark.parametrize(
    ("launching", "name", "asked"),
    [
        pytest.param(launching, name, asked, id=f"{launching}-{name}-{'-'.join(asked)}")
        for launching, some in zip(LAUNCHINGS, (OF_STATES, OF_STATES[1::2], OF_STATES[1:2]), strict=True)
        for name, asked in some
    ],
    indirect=["launching"],
)
def test_storages_of_states_have_the_reference_s_bits(name: str, asked: tuple[str, str, str], compiled: str) -> None:
    all_agree(RULES[name], compiled, *asked, {})


@pytest.mark.usefixtures("threads_for_all_sizes")
@pytest.mark.parametrize(
    ("launching", "name", "gradient", "state", "options"),
    [
        pytest.param(launching, *given, id=f"{launching}-{'-'.join([*given[:3], *given[3]])}")
        for launching, some in zip(LAUNCHINGS, (OF_PARAMETERS, OF_PARAMETERS[1:6], OF_PARAMETERS[3:4]), strict=True)
        for given in some
    ],
    indirect=["launching"],
)
def test_storages_of_parameters_have_the_reference_s_bits(
    name: str, gradient: str, state: str, options: dict[str, Any], compiled: str
) -> None:
    all_agree(RULES[name], compiled, "bfloat16", gradient, state, options)


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.name) for rule in RULES.values() if is_first_of_its_kind(rule)])
def test_as_many_states_as_there_are_beside_narrow_parameters_in_numba(rule: Any) -> None:
    """The combinations above are tried with one rule; `fastopt check` has every rule with two of them."""
    assert compare(rule, "numba", "bfloat16", cases(rule)[1], state="float32", special=True) == 0


def test_states_are_in_the_compute_dtype_unless_asked_otherwise() -> None:
    p = np.ones(3, STORAGES["bfloat16"].dtype)
    opt = fastopt.Adam(p)
    opt.step(np.ones_like(p))
    assert {state.dtype.name for own in opt._states for state in own} == {"float32"}
    assert {s.dtype.name for own in fastopt.Adam(p, state_dtype="bfloat16")._states for s in own} == {"bfloat16"}
    assert {s.dtype.name for own in fastopt.Adam(p, state_dtype=np.float16)._states for s in own} == {"float16"}


def test_a_bfloat16_second_moment_stands_still_where_beta2_is_near_one_and_not_if_it_is_drawn() -> None:
    """What the documentation says of narrow states, and why they are rounded stochastically unless somebody asks for less."""
    for dtype, drawn, follows in (("float32", None, True), ("bfloat16", False, False), ("bfloat16", None, True)):
        opt = fastopt.Adam(np.zeros(1, np.float32), 0.0, betas=(0.9, 0.999), state_dtype=dtype, stochastic_rounding=drawn)
        for scale in (1.0, 0.1):
            for _ in range(3500):
                opt.step(np.full(1, scale, np.float32))
        root = float(np.sqrt(opt.state_dict()["state"]["v"].astype(np.float64)[0]))
        assert (root < 0.25) == follows, (dtype, drawn, root)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (
            {"state_dtype": "float8"},
            ValueError,
            r"^state_dtype: expected one of float32, float64, float16, bfloat16, int8; received 'float8'$",
        ),
        ({"state_dtype": np.int32}, ValueError, "^state_dtype: "),
        ({"state_dtype": object()}, TypeError, "^state_dtype: "),
        ({"grad_dtype": "half"}, ValueError, "^grad_dtype: "),
        ({"state_dtype": "float64"}, ValueError, r"^state_dtype: expected one that is computed with in float32, as params of float32 is"),
        ({"grad_dtype": "float64"}, ValueError, r"^grad_dtype: expected one that is computed with in float32"),
    ],
)
def test_storage_that_is_refused(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        fastopt.Adam(np.ones(3, np.float32), **options)


def test_gradients_come_in_their_dtype_and_no_other() -> None:
    p = np.ones(3, np.float32)
    opt = fastopt.SGD(p, lr=1.0, grad_dtype="bfloat16")
    opt.step(np.full(3, 0.5, STORAGES["bfloat16"].dtype))
    assert p.tolist() == [0.5] * 3
    with pytest.raises(TypeError, match=r"^grads: expected dtype bfloat16 beside params of float32, received float32$"):
        opt.step(np.ones(3, np.float32))


def test_states_cannot_change_their_storage() -> None:
    opt = fastopt.Adam(np.ones(3, np.float32))
    with pytest.raises(ValueError, match=r"^state_dtype: expected None, as the states are; received another$"):
        opt.configure(state_dtype="bfloat16")
    opt.configure(grad_dtype="bfloat16")
    opt.step(np.ones(3, STORAGES["bfloat16"].dtype))


def test_functional_takes_what_goes_together() -> None:
    half, single = STORAGES["float16"].dtype, np.float32
    p, g, m, v = np.ones(5, half), np.full(5, 0.25, single), np.zeros(5, single), np.zeros(5, single)
    fastopt.functional.adam(p, g, m, v, step=1, lr=0.5)
    assert p.tolist() == [0.5] * 5
    with pytest.raises(TypeError, match=r"^g: expected dtype float16 like p, received float64$"):
        fastopt.functional.adam(p, g.astype(float), m, v, step=1)
    with pytest.raises(TypeError, match=r"^v: expected dtype float32 beside p of float16, received float16$"):
        fastopt.functional.adam(p, g, m, v.astype(half), step=1)


def test_a_text_says_only_what_the_language_has() -> None:
    def divides(bits: int) -> int:
        return bits // 2

    def has_a_float(bits: int) -> int:
        return bits + 1.5  # type: ignore[return-value]

    def calls(bits: int) -> int:
        return abs(bits)

    for text, words in ((divides, "`bits // 2`"), (has_a_float, "`1.5`"), (calls, r"`abs\(bits\)`")):
        with pytest.raises(ValueError, match=words):
            parse(text)


def test_found_by_dtype() -> None:
    assert storage.of(np.dtype(np.float16)) is STORAGES["float16"]
    assert storage.of(STORAGES["bfloat16"].dtype) is STORAGES["bfloat16"]
    assert storage.of(np.dtype(np.float32).newbyteorder()) is None
    assert storage.of(np.dtype(np.int16)) is None


def test_a_float16_second_moment_rounds_to_zero_before_the_first_does() -> None:
    """So a step of a gradient of 0 is as large as lr / eps; the docstrings warn of it, and other storages hold."""
    pytest.importorskip("ml_dtypes")
    for dtype, holds in (("float32", True), ("bfloat16", True), ("float16", False)):
        p = np.zeros(1, np.float32)
        opt = fastopt.Adam(p, 1.0, state_dtype=dtype)
        for g in [1e-4] * 10 + [0.0]:
            before = p.copy()
            opt.step(np.full(1, g, np.float32))
        moved = float(abs(p - before)[0])
        assert moved < 2.0 if holds else moved > 1000.0
