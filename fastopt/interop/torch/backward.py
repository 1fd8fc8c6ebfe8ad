"""A step in the backward pass: parameters are updated as their gradients are accumulated, and the gradients freed.

    stepper = step_in_backward(model, AdamW, lr=1e-3)             # was: optimizer = AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(stepper.optimizer, 1000)
    for x, y in batches:
        loss(model(x), y).backward()                              # and that was the step: no step(), no zero_grad()
        schedule.step()

A gradient of a MiB or more is stepped as soon as it is there. Smaller ones wait for each other, a MiB of them together at the most
(`fastopt.interop.torch.passes.BUNCH`), and are stepped in one call: one each costs a small network more time than it saves. So there are
no more gradients at a time than the one that autograd is at work on and those that wait, instead of all of them: a backward pass takes less
memory by nearly the gradients' size, which for Adam in float32 is a quarter of what parameters, gradients and states take together. Below a
MiB of gradients there is nothing to save, and all are stepped when the last one is there. And each gradient is read while it lies in the
cache. What is stepped is the same to the last bit as with `optimizer.step()` after the backward pass.

Which wait for each other is found out by the order in which they first come. Where another pass goes through another graph, gradients may
wait for some that do not come: no more than two MiB of them beside the one that came last, and not beyond the end of the pass.

Less memory is what torch asks its allocator for; what the process then holds is the allocator's matter. With six gradients of 16 MiB and
glibc 2.36 as it is, resident memory was 722 to 740 MiB at most, and 708 to 709 with the classic step: the heap keeps what was freed. With
MALLOC_MMAP_THRESHOLD_=1048576 in the environment it goes back to the system, and they were 631 and 711.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import torch

from fastopt import arguments
from fastopt.interop.torch.dropin import DropIn
from fastopt.interop.torch.kinds import number
from fastopt.interop.torch.passes import Passes, refuse_norm
from fastopt.interop.torch.tensors import stands_for_others

__all__ = ["StepInBackward", "step_in_backward"]


def step_in_backward(
    model: Any,
    optimizer: type[DropIn],
    *,
    accumulate: int = 1,
    clip_value: float | None = None,
    max_norm_of_last_step: float | None = None,
    **options: Any,
) -> StepInBackward:
    """Has parameters stepped, and their gradients freed, within `loss.backward()`.

    Parameters
    ----------
    model
        A module, or what torch's optimizers take as `params`: tensors, named ones, or groups. A module that is wrapped for several
        processes (DistributedDataParallel) is refused: it averages gradients after they were accumulated.
    optimizer
        One of the classes of `fastopt.interop.torch`.
    accumulate
        Step in every so-manieth backward pass; until then gradients add up, as torch has them do, and live: past 1, all of them are there
        before the last pass begins, so the peak is that of the classic step. A parameter that had a gradient in any of the passes is
        stepped at the end of the last one at the latest.
    clip_value
        Limit each element of a gradient to -clip_value ... clip_value, as `torch.nn.utils.clip_grad_value_`.
    max_norm_of_last_step
        Where the global norm of the gradients of the step before was larger, multiply all gradients of this one by
        max_norm_of_last_step / that norm. It is not clipping to a norm, and cannot be: this step's norm is known when its last gradient
        is, and the first is gone by then. A step whose gradients are suddenly large is not made smaller, and the first step never is.
    **options
        The class's own arguments (`lr`, `betas`, ...), but `max_norm`.

    Raises TypeError or ValueError, with nothing changed, for arguments that cannot be used, and for a parameter that another one steps
    already.
    """
    if not (isinstance(optimizer, type) and issubclass(optimizer, DropIn)):
        raise TypeError(f"optimizer: expected a class of fastopt.interop.torch, received {optimizer!r}")
    if isinstance(model, torch.nn.parallel.DistributedDataParallel):
        raise TypeError("model: expected one that no DistributedDataParallel wraps, as it averages gradients after they were accumulated")
    if options.get("max_norm") is not None:
        refuse_norm()
    if accumulate.__class__ is not int or accumulate < 1:
        raise (ValueError if accumulate.__class__ is int else TypeError)(f"accumulate: expected an integer >= 1, received {accumulate!r}")
    limits = _limit(clip_value, "clip_value"), _limit(max_norm_of_last_step, "max_norm_of_last_step")
    params = model.parameters() if isinstance(model, torch.nn.Module) else model
    return StepInBackward(optimizer(params, **options), accumulate, *limits)


def _limit(value: Any, name: str) -> float | None:
    if value is None:
        return None
    try:
        return arguments.max_norm(number(value))
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("max_norm", name, 1)) from None


class StepInBackward:
    """What `step_in_backward` made: an optimizer whose steps are made in backward passes, until `remove` or the end of a `with` block.

    Whoever needs a torch optimizer, a schedule for one, takes `optimizer`: its `param_groups`, `state`, `state_dict` and `load_state_dict`
    are the classic drop-in's, and so are checkpoints. What stands in the groups is looked at once a backward pass, when its first gradient
    comes. `optimizer.step()` steps what gradients there are, those of an accumulation that is not complete or of a pass that failed, frees
    them, and begins to count anew; where there are none it does nothing, so a script may go on calling it. Its hooks are called then only.
    It takes no closure.

    - One backward pass at a time. `create_graph=True` is refused, and a pass within another one, as `torch.utils.checkpoint` begins with
      `use_reentrant=True`: a weight that is used in both would be stepped twice. `torch.autograd.grad` accumulates and steps nothing.
    - A weight that is used several times (tied) is stepped once, when all of its gradient is there. A second pass through one graph
      (`retain_graph=True`) finds weights that were stepped since, and raises torch's own error, unless `accumulate` counts both.
    - A GradScaler cannot be used: whether any gradient is infinite is known at the end, and steps are made before. Its `step(optimizer)`
      raises RuntimeError, but after a backward pass that has made steps on scaled gradients; bfloat16 needs none.
    - An error in a backward pass, here or elsewhere, or an interrupt leaves each parameter either stepped and counted, with no gradient, or
      as it was, with the gradient that was accumulated for it by then, as those that waited for others; those that are stepped in one call
      all are, or none. The next pass adds its gradients to such ones, and steps the sums; where it has none for one, at its end.
      The pass does not count towards `accumulate`; `zero_grad` begins anew.
    - Post-accumulate hooks of others that were registered later find no gradient, or one that waits; what they make of that is stepped.

    Attributes
    ----------
    optimizer
        The drop-in.
    accumulate
        The number of backward passes that make a step.
    """

    def __init__(self, optimizer: DropIn, accumulate: int, clip_value: float | None, max_norm_of_last_step: float | None) -> None:
        self.optimizer, self.accumulate = optimizer, accumulate
        params = _params(optimizer)
        for i, p in enumerate(params):
            if stands_for_others(p):  # FSDP2 gives a DTensor its gradient where no hook of accumulation sees it
                raise TypeError(
                    f"params[{i}]: expected a tensor with memory of its own, received {type(p).__name__}; step after the backward pass"
                )
            hooks = (getattr(hook, "__self__", None) for hook in (getattr(p, "_post_accumulate_grad_hooks", None) or {}).values())
            if any(isinstance(hook, Passes) for hook in hooks):
                raise ValueError(
                    f"params[{i}]: expected a parameter that is not stepped in the backward pass already; `remove` takes its hook off"
                )
        self._passes = Passes(optimizer, accumulate, clip_value, max_norm_of_last_step)
        self._passes.watch(params)
        self._before: Any = optimizer.register_step_pre_hook(self._classic)
        # a GradScaler asks this, and then goes to `step` without looking for gradients
        self._scaling = vars(optimizer).get("_step_supports_amp_scaling")
        optimizer._step_supports_amp_scaling = True

    @property
    def clip_value(self) -> float | None:
        """What elements of gradients are limited to, or None."""
        return self._passes.clip_value

    @clip_value.setter
    def clip_value(self, value: float | None) -> None:
        self._passes.clip_value = _limit(value, "clip_value")

    @property
    def max_norm_of_last_step(self) -> float | None:
        """The norm of the step before from which gradients are made smaller, or None."""
        return self._passes.max_norm

    @max_norm_of_last_step.setter
    def max_norm_of_last_step(self, value: float | None) -> None:
        self._passes.max_norm = _limit(value, "max_norm_of_last_step")

    @property
    def grad_norm(self) -> float | None:
        """The global norm of the last step's gradients before they were multiplied, if it was made with `max_norm_of_last_step`; else None.

        To go on from a checkpoint as if nothing had been, set it to what it was.
        """
        return self._passes.grad_norm

    @grad_norm.setter
    def grad_norm(self, value: float | None) -> None:
        self._passes.grad_norm = None if value is None else float(value)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As the optimizer's; the parameters are stepped in backward passes from now on."""
        self.optimizer.add_param_group(param_group)
        self._passes.watch(_params(self.optimizer))

    def zero_grad(self) -> None:
        """Frees the gradients of an accumulation that is not complete, and begins to count anew."""
        self.optimizer.zero_grad()
        self._passes.begin_anew()

    def remove(self) -> None:
        """Takes the hooks off: from here on `optimizer` is the classic drop-in. Gradients that wait stay where they are, for its `step`."""
        before, self._before = self._before, None
        if before is None:
            return
        before.remove()
        self._passes.stop()
        del self.optimizer._step_supports_amp_scaling
        if self._scaling is not None:
            self.optimizer._step_supports_amp_scaling = self._scaling

    def __enter__(self) -> StepInBackward:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.remove()

    def _classic(self, optimizer: Any, given: tuple[Any, ...], options: dict[str, Any]) -> None:
        """What torch calls before `optimizer.step`."""
        if vars(optimizer).pop("found_inf", None) is not None:
            vars(optimizer).pop("grad_scale", None)
            raise RuntimeError(
                "step: expected no GradScaler, as steps were made in the backward pass, on gradients that were still scaled; "
                "the classic step (`fastopt.interop.torch`) takes one, and bfloat16 needs none"
            )
        if any(value is not None for value in (*given[1:], *options.values())):
            raise ValueError("step: expected no closure, as its backward pass makes the step")
        self._passes.step()


def _params(optimizer: DropIn) -> list[Any]:
    return [p for group in optimizer.param_groups for p in group["params"]]
