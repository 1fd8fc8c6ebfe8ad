"""Which arguments are schedules, what they come to, and how they are saved; what an optimizer does with them is in `test_following`."""

from __future__ import annotations

from typing import Any

import pytest

from fastopt.optimizers import scheduled
from fastopt.rules.family import FAMILIES
from fastopt.schedules import Constant, Cosine, Linear, Plateau

ADAM, SGD = FAMILIES["Adam"], FAMILIES["SGD"]
LINE = Linear(0.8, 4)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"lr": LINE, "eps": 1e-8, "betas": (0.9, 0.99)}, {"lr": LINE}),
        ({"betas": [LINE, 0.99]}, {"betas": (LINE, 0.99)}),
        ({"betas": (LINE, Cosine(0.9, 3))}, {"betas": (LINE, Cosine(0.9, 3))}),
        ({"betas": LINE}, {}),
        ({"betas": (LINE, 0.9, 0.9)}, {}),
        ({"lr": (LINE,)}, {}),
        ({"amsgrad": LINE, "convention": LINE, "what": LINE}, {}),
    ],
)
def test_which_there_are(given: dict[str, Any], found: dict[str, Any]) -> None:
    """What does not fit is left for the family to refuse."""
    assert scheduled.among(given, ADAM) == found


def test_what_they_come_to() -> None:
    given = {"lr": LINE, "betas": (Linear(0.8, 4, 0.0), 0.99)}
    assert scheduled.values_at(given, 2, ADAM) == {"lr": 0.4, "betas": (0.4, 0.99)}
    assert scheduled.parts(given["betas"]) == [Linear(0.8, 4, 0.0)]
    with pytest.raises(ValueError, match=r"^betas\[1\]: expected a number in \[0, 1\) of its schedule Constant\(1\.0\) after 7 steps \("):
        scheduled.values_at({"betas": (0.9, Constant(1.0))}, 7, ADAM)


def test_what_a_form_is_chosen_by() -> None:
    assert scheduled.standing({"momentum": 0.0, "lr": 0.25}, SGD) == {"momentum": 0.5, "lr": 0.25}
    assert scheduled.standing({"betas": (0.0, 0.99)}, ADAM) == {"betas": (0.5, 0.99)}


def test_what_is_saved() -> None:
    values = {"lr": LINE, "betas": (Cosine(0.9, 3), 0.99), "eps": 1e-8, "amsgrad": False, "state_dtype": None}
    saved = scheduled.saved(values)
    assert saved == {**values, "lr": LINE.to_dict(), "betas": (Cosine(0.9, 3).to_dict(), 0.99)}
    assert scheduled.taken_back(saved, "group") == values
    with pytest.raises(TypeError, match=r"^group\['betas'\]\[1\]: expected a mapping with the 'class'"):
        scheduled.taken_back({"betas": (0.9, {})}, "group")


def test_losses_reach_all() -> None:
    plateau = Plateau(0.5, patience=0)
    told = scheduled.observing({"lr": plateau, "betas": (plateau, 0.9), "eps": LINE}, 1.0)
    assert told == {"lr": plateau.observe(1.0), "betas": (plateau.observe(1.0), 0.9), "eps": LINE}
