"""What all drop-ins share: torch's own constructor, groups, hooks and checkpoints around fastopt's step.

Each class is a subclass of torch's, so its arguments, their checks, `param_groups`, `add_param_group`, `zero_grad`, hooks and the layout of
`state_dict` are torch's, and `isinstance` says so. Only the step is another one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import chain
from typing import Any, ClassVar

import torch
from torch.optim import optimizer

from fastopt import arguments, storage
from fastopt.backends import HOST
from fastopt.host import threads
from fastopt.interop.torch import looks
from fastopt.interop.torch.kinds import Kind, number
from fastopt.interop.torch.laid import Laid, Own, check
from fastopt.interop.torch.tensors import MovedError
from fastopt.optimizers.turns import in_turn, new_turn

__all__ = ["DropIn"]


class DropIn(torch.optim.Optimizer):
    """torch's optimizer with fastopt's step; named classes have one of torch's beside this one.

    Parameters
    ----------
    params, *args, **kwargs
        torch's own. Parameters are dense tensors of float32, float64, float16 or bfloat16 in host memory, in any order of dimensions;
        `differentiable=True` and `capturable=True` are refused, `foreach` and `fused` accepted: they say how torch makes a step.
    max_norm
        Clip the gradients of each step to this global norm, of all groups together, as `torch.nn.utils.clip_grad_norm_` before it would;
        within the step, so `p.grad` stays as it is. A norm up to `max_norm` is left alone: there is no 1e-6 beside it.
    state_dtype
        How states lie in memory, a torch dtype. As the step is computed, if None: float64 for float64 parameters, else float32
        (torch keeps those of bfloat16 parameters in bfloat16).
    backend, num_threads
        As in `fastopt.Optimizer`; the most threads, if None, are torch's own number, unless FASTOPT_NUM_THREADS says another one.

    Whatever is wrong raises TypeError, ValueError or RuntimeError before anything is changed.
    """

    kind: ClassVar[Kind]
    state: Any
    param_groups: list[dict[str, Any]]

    def __init__(
        self,
        params: Any,
        *args: Any,
        max_norm: float | None = None,
        state_dtype: Any = None,
        backend: str = "auto",
        num_threads: int | None = None,
        **kwargs: Any,
    ) -> None:
        self._own = Own(
            None if max_norm is None else arguments.max_norm(number(max_norm)),
            None if state_dtype is None else storage.find(str(state_dtype).removeprefix("torch."), "state_dtype").name,
            arguments.choice(backend, "backend", ("auto", *HOST)),
            None if num_threads is None else threads.resolve(num_threads),
        )
        self._begin()
        super().__init__(params, *args, **kwargs)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        torchs = next((base for base in cls.__mro__[1:] if not issubclass(base, DropIn) and base is not object), None)
        if torchs is not None and "__init__" in vars(torchs):  # what `help` and editors show
            own = [p for p in inspect.signature(DropIn.__init__).parameters.values() if p.kind is p.KEYWORD_ONLY]
            cls.__signature__ = inspect.Signature([*list(inspect.signature(torchs.__init__).parameters.values())[1:], *own])

    def _begin(self) -> None:
        self._laid: Laid | None = None
        self._grad_norm: float | None = None
        self._turn = new_turn()

    @property
    def max_norm(self) -> float | None:
        """The global norm that the gradients of a step are clipped to, or None."""
        return self._own.max_norm

    @max_norm.setter
    def max_norm(self, value: float | None) -> None:
        self._own.max_norm = None if value is None else arguments.max_norm(number(value))

    @property
    def grad_norm(self) -> float | None:
        """The global norm that the last step with `max_norm` found, before it clipped; None before the first."""
        return self._grad_norm

    @torch._disable_dynamo
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Makes a step on the parameters' `grad`, after a closure that evaluates the model anew, where one is given; returns its loss.

        A parameter without a gradient is left alone, with its own step count. Raises TypeError, ValueError or RuntimeError, with nothing
        changed, for sparse gradients, and for settings in `param_groups` that cannot be used.
        """
        if self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks or optimizer._global_optimizer_pre_hooks:
            return self._seen(closure)
        if optimizer._global_optimizer_post_hooks or torch.autograd._profiler_enabled():
            return self._seen(closure)
        return self._unseen(closure)

    vars(step)["hooked"] = True  # torch would put its hooks and a name for its profiler around each step: 10 us, wanted or not

    def _unseen(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._step()
        return loss

    _seen = torch.optim.Optimizer.profile_hook_step(_unseen)

    @in_turn
    def _step(self) -> None:
        # a GradScaler hands these over to classes that were built with fused=True
        found_inf, grad_scale = getattr(self, "found_inf", None), getattr(self, "grad_scale", None)
        if found_inf is not None and number(found_inf):
            return
        scale = 1.0 if grad_scale is None else arguments.grad_scale(number(grad_scale))
        laid = self._laid
        if laid is None or not laid.stands(self.param_groups, self.state):
            laid = self._lay_out()
        gradients = looks.gradients(laid.params)
        try:
            norm = laid.step(gradients, scale, self._own.max_norm)
        except MovedError:
            norm = self._lay_out().step(gradients, scale, self._own.max_norm)
        if norm is not None:
            self._grad_norm = norm

    def _lay_out(self) -> Laid:
        before = None if self._laid is None else self._laid.states
        self._laid = Laid(self.kind, self.param_groups, self.state, self._own, self._beside(), self._turn, before)
        return self._laid

    def _beside(self) -> dict[str, Any]:
        """Arguments of the family that are the optimizer's, and no group's."""
        name = "initial_accumulator_value"
        return {name: number(self.defaults[name])} if name in self.defaults else {}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's.

        Raises TypeError or ValueError, with nothing changed, also for parameters and settings that no step can be made of.
        """
        super().add_param_group(param_group)
        try:
            check(self.kind, param_group, self._own, self._beside(), f"params[{len(self.param_groups) - 1}]")
        except BaseException:
            self.param_groups.pop()
            raise
        self._laid = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's, from torch's own class too; values are copied. All of it is taken over or, where this raises, none.

        Raises ValueError for a state of another class, form or shape.
        """
        before = self.state, self.param_groups
        given: dict[str, Any] = {}

        def take(_: Any) -> None:
            self._restore_dtypes(given)
            self._lay_out()

        handles = [
            self.register_load_state_dict_pre_hook(lambda _, final: given.update(final)),
            self.register_load_state_dict_post_hook(take, prepend=True),
        ]
        try:
            super().load_state_dict(state_dict)
        except BaseException:
            self.state, self.param_groups = before
            self._laid = None
            raise
        finally:
            for handle in handles:
                handle.remove()

    def _restore_dtypes(self, given: dict[str, Any]) -> None:
        """What torch has cast to its parameter's dtype, as it was saved: states of narrow parameters lie here in a wider one."""
        saved = chain.from_iterable(group["params"] for group in given["param_groups"])
        own = chain.from_iterable(group["params"] for group in self.param_groups)
        for index, param in zip(saved, own, strict=True):
            for name, value in given["state"].get(index, {}).items():
                if isinstance(value, torch.Tensor) and value.dtype is not self.state[param][name].dtype:
                    self.state[param][name] = value

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_own": self._own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.setdefault("_own", Own())
        if "_turn" not in self.__dict__:
            self._begin()
        super().__setstate__(state)
        self._laid = None
