"""torch's optimizers by fastopt's kernels: one line of a training script changes.

    import fastopt.interop.torch as optim                    # was: import torch.optim as optim

    optimizer = optim.AdamW(model.parameters(), lr=1e-3)     # torch's own arguments, groups, schedulers, hooks and checkpoints

Tensors in host memory are updated in place, in one compiled call for each kind of kernel, whatever groups they belong to. Or each in the
backward pass, as soon as its gradient is there, which is freed then (`step_in_backward`).
"""

try:
    import torch
except ModuleNotFoundError as error:  # only torch itself: what it lacks is for it to say
    if error.name != "torch":
        raise
    raise ModuleNotFoundError("fastopt.interop.torch takes PyTorch: pip install 'fastopt[torch]'", name="torch") from error

from fastopt.interop.torch.backward import StepInBackward, step_in_backward
from fastopt.interop.torch.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, NAdam, RAdam, RMSprop, Rprop

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "StepInBackward",
    "step_in_backward",
]

del torch
