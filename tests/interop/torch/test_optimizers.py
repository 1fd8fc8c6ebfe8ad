"""torch's own table of what its optimizers are tested with, walked beside torch's own classes, and its errors."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")  # which torch's table is imported with

from torch.testing._internal.common_optimizers import OptimizerErrorEnum, optim_db

import fastopt
import fastopt.interop.torch as dropins
from fastopt.interop.torch import optimizers

NAMES = [name for name in optimizers.__all__ if name != "Lion"]
TABLE = {entry.optim_cls.__name__: entry for entry in optim_db}
STEPS = 6
CLOSE: dict[Any, dict[str, float]] = {torch.float64: {"rtol": 1e-12, "atol": 1e-13}, torch.float32: {"rtol": 2e-5, "atol": 2e-6}}
HOW: dict[str, list[dict[str, Any]]] = {"foreach": [{"foreach": True}], "fused": [{"fused": True}]}


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> Iterator[Any]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)  # else torch counts in float32, and its NAdam is off by 1e-9
    yield request.param
    torch.set_default_dtype(before)


def parameters(dtype: Any) -> list[Any]:
    made = torch.Generator().manual_seed(7)
    shapes = [(3, 5), (), (0,), (1,), (300,)]
    tensors = [torch.randn(shape, generator=made, dtype=dtype) for shape in shapes]
    tensors.append(torch.randn(4, 6, generator=made, dtype=dtype).t())
    tensors.append(torch.randn(2, 3, 4, 5, generator=made, dtype=dtype).contiguous(memory_format=torch.channels_last))
    return [torch.nn.Parameter(tensor) for tensor in tensors]


def walk(cls: Callable[..., Any], options: dict[str, Any], dtype: Any) -> tuple[Any, list[Any]]:
    """An optimizer after some steps on random gradients; the last parameter but two gets one in turns only."""
    params = parameters(dtype)
    optimizer = cls(params, **options)
    made = torch.Generator().manual_seed(11)
    for step in range(STEPS):
        for k, p in enumerate(params):
            g = torch.randn(p.shape, generator=made, dtype=dtype)
            p.grad = None if k == 4 and step % 2 else torch.empty_like(p).copy_(g)
        optimizer.step()
    return optimizer, params


def assert_alike(ours: tuple[Any, list[Any]], theirs: tuple[Any, list[Any]], dtype: Any) -> None:
    for p, q in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(p, q, **CLOSE[dtype])
        own, other = ours[0].state[p], theirs[0].state[q]
        assert {name for name, value in other.items() if value is not None} == set(own)
        for name in own:
            torch.testing.assert_close(own[name], other[name], check_dtype=name not in ("step", "mu_product"), **CLOSE[dtype])


def configurations() -> Iterator[Any]:
    for name in NAMES:
        for k, entry in enumerate(TABLE[name].optim_inputs_func(device="cpu")):
            asked = ("foreach", "fused") if not k or "Tensor" in entry.desc else ("fused",)  # a list is a matter of torch's alone
            for flag in ("", *(flag for flag in TABLE[name].supported_impls if flag in asked)):
                for how in HOW.get(flag, [{}] if not flag else []):
                    yield pytest.param(name, {**entry.kwargs, **how}, id=f"{name}-{k}-{entry.desc}-{how}".replace(" ", "_"))


@pytest.mark.parametrize(("name", "options"), list(configurations()))
def test_every_configuration_of_torchs_table(name: str, options: dict[str, Any], dtype: Any) -> None:
    torchs = getattr(torch.optim, name)
    try:
        theirs = walk(torchs, options, dtype)
    except (ValueError, RuntimeError, AssertionError) as error:
        with pytest.raises(type(error)):
            walk(getattr(dropins, name), options, dtype)
        return
    assert_alike(walk(getattr(dropins, name), options, dtype), theirs, dtype)


def errors() -> Iterator[Any]:
    for name in NAMES:
        for entry in TABLE[name].optim_error_inputs_func(device="cpu", dtype=torch.float32):
            yield pytest.param(name, entry, id=f"{name}-{entry.optimizer_error_input.desc}".replace(" ", "_"))


@pytest.mark.parametrize(("name", "entry"), list(errors()))
def test_every_error_of_torchs_table(name: str, entry: Any) -> None:
    given = entry.optimizer_error_input
    params = [torch.nn.Parameter(torch.randn(2, 3))] if given.params is None else given.params
    expected, words = (ValueError, "once in a group") if entry.error_type is UserWarning else (entry.error_type, entry.error_regex)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if entry.error_on is OptimizerErrorEnum.CONSTRUCTION_ERROR:
            with pytest.raises(expected, match=words):
                getattr(dropins, name)(params, **given.kwargs)
        else:
            optimizer = getattr(dropins, name)(params, **given.kwargs)
            with pytest.raises(expected, match=words):
                optimizer.step()


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_torchs_and_ours_by_name_after_them(name: str) -> None:
    theirs = list(inspect.signature(getattr(torch.optim, name)).parameters.values())
    ours = list(inspect.signature(getattr(dropins, name)).parameters.values())
    assert ours[: len(theirs)] == theirs
    own = ours[len(theirs) :]
    assert [p.name for p in own] == ["max_norm", "state_dtype", "backend", "num_threads"]
    assert all(p.kind is p.KEYWORD_ONLY for p in own)


@pytest.mark.parametrize("name", optimizers.__all__)
def test_each_is_a_torch_optimizer_and_says_what_it_does(name: str) -> None:
    cls = getattr(dropins, name)
    assert issubclass(cls, torch.optim.Optimizer)
    assert cls.__doc__
    assert name == "Lion" or issubclass(cls, getattr(torch.optim, name))


def test_lion_is_fastopts(dtype: Any) -> None:
    options = {"lr": 0.01, "betas": (0.8, 0.9), "weight_decay": 0.1, "maximize": True}
    p = torch.nn.Parameter(parameters(dtype)[0].detach())
    q = p.detach().numpy().copy()
    ours, theirs = dropins.Lion([p], **options), fastopt.Lion(q, **options)
    for _ in range(3):
        p.grad = torch.randn_like(p)
        ours.step()
        theirs.step(p.grad.numpy())
    assert (p.detach().numpy() == q).all()
    assert list(ours.state[p]) == ["exp_avg"]


def test_lion_refuses_what_it_cannot_take() -> None:
    p = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(ValueError, match="1-element"):
        dropins.Lion([p], lr=torch.ones(2))
    with pytest.raises(ValueError, match="betas"):
        dropins.Lion([p], betas=(0.9, 1.0))


def test_adagrad_does_not_share() -> None:
    with pytest.raises(NotImplementedError, match="share_memory"):
        dropins.Adagrad([torch.nn.Parameter(torch.ones(2))]).share_memory()
