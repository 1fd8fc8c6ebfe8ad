"""Optimizer classes: one file a family, as in `fastopt.rules`; `base` holds what they share."""

from fastopt.optimizers.adagrad import AdaGrad
from fastopt.optimizers.adam import Adam, AdamW
from fastopt.optimizers.base import Optimizer
from fastopt.optimizers.nadam import NAdam
from fastopt.optimizers.rmsprop import RMSProp
from fastopt.optimizers.sgd import SGD, Momentum

__all__ = ["SGD", "AdaGrad", "Adam", "AdamW", "Momentum", "NAdam", "Optimizer", "RMSProp"]
