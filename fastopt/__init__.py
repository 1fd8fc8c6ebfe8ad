"""fastopt: the optimizer step as in-place fused kernels, the same bits on every backend.

    opt = fastopt.Adam(params, lr=1e-3)      # an array, a sequence, or a mapping name -> array
    opt.step(grads)                          # same structure; parameters change in place

Importing this loads NumPy and nothing heavier; Numba and the compiled kernels are loaded when a step first needs them, and
`fastopt.training` when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastopt import functional, schedules
from fastopt.backends import available_backends
from fastopt.optimizers import (
    ADOPT,
    SGD,
    AdaDelta,
    AdaGrad,
    Adam,
    AdaMax,
    AdamW,
    Adan,
    AdEMAMix,
    Lion,
    Momentum,
    NAdam,
    Optimizer,
    RAdam,
    RMSProp,
    Rprop,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    Signum,
)
from fastopt.rules import COPY, FLAG, NON_NEGATIVE, RULES, UNIT, Form, Hyperparameter, Interval, Rule, rule

__all__ = [
    "ADOPT",
    "COPY",
    "FLAG",
    "NON_NEGATIVE",
    "RULES",
    "SGD",
    "UNIT",
    "AdEMAMix",
    "AdaDelta",
    "AdaGrad",
    "AdaMax",
    "Adam",
    "AdamW",
    "Adan",
    "Form",
    "Hyperparameter",
    "Interval",
    "Lion",
    "Momentum",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSProp",
    "Rprop",
    "Rule",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Signum",
    "__version__",
    "available_backends",
    "functional",
    "rule",
    "schedules",
    "training",
]

if TYPE_CHECKING:
    from fastopt import training
else:

    def __getattr__(name: str) -> Any:
        if name == "training":
            return import_module("fastopt.training")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = "0.1.0"
