"""Optimizer classes: one file a family, as in `fastopt.rules`; `base` holds what they share."""

from fastopt.optimizers.adadelta import AdaDelta
from fastopt.optimizers.adagrad import AdaGrad
from fastopt.optimizers.adam import Adam, AdamW
from fastopt.optimizers.adamax import AdaMax
from fastopt.optimizers.adan import Adan
from fastopt.optimizers.ademamix import AdEMAMix
from fastopt.optimizers.adopt import ADOPT
from fastopt.optimizers.base import Optimizer
from fastopt.optimizers.lion import Lion
from fastopt.optimizers.nadam import NAdam
from fastopt.optimizers.radam import RAdam
from fastopt.optimizers.rmsprop import RMSProp
from fastopt.optimizers.rprop import Rprop
from fastopt.optimizers.schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD
from fastopt.optimizers.sgd import SGD, Momentum
from fastopt.optimizers.signum import Signum

__all__ = [
    "ADOPT",
    "SGD",
    "AdEMAMix",
    "AdaDelta",
    "AdaGrad",
    "AdaMax",
    "Adam",
    "AdamW",
    "Adan",
    "Lion",
    "Momentum",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSProp",
    "Rprop",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Signum",
]
