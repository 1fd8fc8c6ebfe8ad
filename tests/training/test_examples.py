"""The examples in the docstrings, run."""

from __future__ import annotations

import doctest
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import pytest

import fastopt
from fastopt import training

WITH_EXAMPLES = {"average", "batches", "divergence", "range_test", "search", "stopping"}


@pytest.mark.parametrize("name", sorted(module.name for module in iter_modules(training.__path__)))
def test_examples(name: str) -> None:
    module = import_module(f"fastopt.training.{name}")
    found = doctest.testmod(module, extraglobs={"fastopt": fastopt, "np": np})
    assert found.failed == 0
    assert (found.attempted > 0) == (name in WITH_EXAMPLES)


def test_the_public_names_are_what_the_package_has() -> None:
    assert training.__all__ == sorted(training.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert all(getattr(training, name).__doc__ for name in training.__all__ if not name.isupper())
    assert fastopt.training is training
    with pytest.raises(AttributeError, match=r"^module 'fastopt' has no attribute 'trainings'$"):
        _ = fastopt.trainings  # type: ignore[attr-defined]
