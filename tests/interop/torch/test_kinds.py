"""torch's names and values in fastopt's terms."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import fastopt.interop.torch as dropins
from fastopt.interop.torch import optimizers
from fastopt.interop.torch.kinds import KINDS, number

ELSEWHERE = {"foreach", "fused", "params", "initial_accumulator_value"}
"""Entries that say how, and what is the optimizer's own."""


@pytest.mark.parametrize("name", optimizers.__all__)
def test_no_entry_of_a_group_is_left_out(name: str) -> None:
    optimizer = getattr(dropins, name)([torch.ones(2)])
    kind = optimizer.kind
    assert set(optimizer.param_groups[0]) == {*kind.names, *kind.refused} | (ELSEWHERE & set(optimizer.param_groups[0]))


@pytest.mark.parametrize("name", KINDS)
def test_defaults_come_to_fastopts_own(name: str) -> None:
    """Of the class in torch's convention, where nothing is given."""
    optimizer = getattr(dropins, name)([torch.ones(2)])
    kind = optimizer.kind
    settled = kind.settled(kind.values(kind.read(optimizer.param_groups[0])), optimizer._beside())
    assert settled.rule is kind.family.settle({}).rule
    assert settled.settings == kind.family.settle({}).settings


def test_numbers_of_tensors() -> None:
    assert number(torch.tensor(0.5)) == 0.5
    assert number([torch.tensor([2.0]), 1.0]) == (2.0, 1.0)
    assert number("word") == "word"


def test_dampening_without_momentum_is_never_looked_at() -> None:
    kind = KINDS["SGD"]
    values = kind.values((0.1, False, 0, 0.5, 0.0, False, False))
    assert kind.settled(values, {}).rule.name == "sgd"
