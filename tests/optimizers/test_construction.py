"""Constructors: what a class takes is what its family's arguments are, by position and by name."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.optimizers import documents
from fastopt.optimizers.construction import OPTIONS
from fastopt.rules.family import Family

CLASSES = [pytest.param(cls, family, id=cls.__name__) for cls, family in documents.named()]


@pytest.mark.parametrize(("cls", "family"), CLASSES)
def test_a_classs_signature_is_its_familys(cls: type[fastopt.Optimizer], family: Family) -> None:
    parameters = inspect.signature(cls).parameters
    assert list(parameters) == [
        "params",
        *sorted(family.arguments, key=lambda n: family.arguments[n].keyword_only),
        *OPTIONS,
    ]
    for name, argument in family.arguments.items():
        assert parameters[name].default == argument.default
        kind = inspect.Parameter.KEYWORD_ONLY if argument.keyword_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
        assert parameters[name].kind is kind
    assert cls.__doc__ is not None
    assert all(name in cls.__doc__ or name in (cls.__mro__[1].__doc__ or "") for name in family.arguments)


def test_arguments_by_position() -> None:
    optimizer = fastopt.Adam(np.ones(2), 0.5, (0.25, 0.5), 0.125, True, backend="numpy")
    assert (optimizer.lr, optimizer.rule.name) == (0.5, "amsgrad")
    with pytest.raises(
        TypeError, match=r"^Adam: expected at most 5 arguments by position \(params, lr, betas, eps, amsgrad\), received 6$"
    ):
        fastopt.Adam(np.ones(2), 0.5, (0.25, 0.5), 0.125, True, 0.0)  # type: ignore[call-arg,misc]
    with pytest.raises(TypeError, match=r"^lr: received by position and by name$"):
        fastopt.Adam(np.ones(2), 0.5, lr=0.5)  # type: ignore[misc]


def test_a_class_of_ones_own() -> None:
    class Mine(fastopt.Adam):
        def __init__(self, params: Any) -> None:
            super().__init__(params, 0.5, backend="numpy")

    class Plain(fastopt.SGD):
        """Takes what SGD takes."""

    assert Mine(np.ones(2)).lr == 0.5
    assert Plain(np.ones(2), momentum=0.5).rule.name == "momentum"
