"""Schedules: values that change from step to step, for the learning rate or any other argument of an optimizer that is a number.

    opt = fastopt.SGD(w, lr=schedules.Warmup(100, schedules.Cosine(0.1, steps=900)), momentum=0.9)
    opt.groups[1].lr = schedules.ByEpoch(schedules.StepDecay(0.1, every=30), steps_per_epoch=500)
    opt.lr = 0.01  # by hand: a number takes a schedule's place

Each is a function of the number of steps made before (`schedule(0)` is the first step's value), in float64 and in closed form, and is saved
with the optimizer: a run that is stopped and goes on has the same bits. They stand one inside of the other: `Warmup`, `Chain` and `ByEpoch`
take any, and numbers too. `Plateau` alone depends on more, the losses that it is told.

The same function has one name here; what torch, optax and Keras call it stands beside it.
"""

from fastopt.schedules.cycles import OneCycle, Piecewise
from fastopt.schedules.decays import Exponential, InverseSqrt, InverseTime, MultiStep, Staircase, StepDecay
from fastopt.schedules.expressions import parse
from fastopt.schedules.parts import ByEpoch, Chain, Constant, Warmup
from fastopt.schedules.plateau import Plateau
from fastopt.schedules.ramps import Cosine, CosineRestarts, Linear, Polynomial
from fastopt.schedules.schedule import SCHEDULES, Schedule, from_dict

__all__ = [
    "SCHEDULES",
    "ByEpoch",
    "Chain",
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "InverseSqrt",
    "InverseTime",
    "Linear",
    "MultiStep",
    "OneCycle",
    "Piecewise",
    "Plateau",
    "Polynomial",
    "Schedule",
    "Staircase",
    "StepDecay",
    "Warmup",
    "from_dict",
    "parse",
]
