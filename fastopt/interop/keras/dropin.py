"""What all drop-ins share: Keras's own constructor, variables, options and files around fastopt's step.

Each class is a subclass of Keras's, so its arguments, their checks, `variables`, schedules, `get_config` and what is saved are Keras's, and
`isinstance` says so. Only the step is another one: clipping by the global norm, weight decay and the update in one pass over the variables.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, ClassVar

import keras
from keras.src.backend import in_stateless_scope  # not public, and the only way to know

from fastopt import arguments
from fastopt.interop.keras.kinds import Kind, number
from fastopt.interop.keras.laid import Laid, room, same, structure
from fastopt.optimizers.turns import in_turn, new_turn

__all__ = ["DropIn"]

CONSTRAINT = attrgetter("constraint")


class DropIn(keras.optimizers.Optimizer):
    """Keras's optimizer with fastopt's step; named classes have one of Keras's beside this one.

    Parameters
    ----------
    *args, **kwargs
        Keras's own. `clipnorm`, `clipvalue`, `use_ema`, `gradient_accumulation_steps` and the constraints of variables are Keras's code
        around the step; `global_clipnorm`, `weight_decay` and `loss_scale_factor` are within it.

    The backend and the number of threads are those of FASTOPT_BACKEND and FASTOPT_NUM_THREADS; on PyTorch, at most torch's own number.
    Model variables are float32, float64, float16 or bfloat16, in host memory. Narrow ones are computed with in float32.
    Within `stateless_apply`, which hands in arrays and takes others back, the step is Keras's own too.
    """

    kind: ClassVar[Kind]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._laid: Laid | None = None
        self._turn = new_turn()
        self._overwrites = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        theirs = next((base for base in cls.__mro__[1:] if not issubclass(base, DropIn) and "__init__" in vars(base)), None)
        if theirs is not None:  # what `help` and editors show
            cls.__signature__ = inspect.Signature(list(inspect.signature(theirs.__init__).parameters.values())[1:])

    def build(self, variables: Sequence[Any]) -> None:
        """As Keras's. Raises TypeError or ValueError, with nothing made, for variables that cannot be stepped."""
        if not self.built and not in_stateless_scope():
            stepped = [v for v in variables if not v.overwrite_with_gradient]
            room.arrays(stepped, structure(stepped).labels("variables"))
            self._overwrites = len(stepped) != len(variables)
        super().build(variables)

    @room.apart
    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Makes a step on gradients, one for each variable, or None, of which Keras warns; the variables are those it was built with.

        Raises TypeError, ValueError or RuntimeError, with nothing changed, for gradients and arguments that cannot be used.
        """
        if in_stateless_scope():
            super().apply(grads, trainable_variables)
        else:
            self._apply(list(grads), None if trainable_variables is None else list(trainable_variables))

    @in_turn
    def _apply(self, grads: list[Any], variables: list[Any] | None) -> None:
        if variables is None:
            if not self.built or len(grads) != len(self._trainable_variables):
                super().apply(grads)  # which has words for that, and for no gradients at all
                return
            variables = self._trainable_variables
        if len(grads) != len(variables):
            raise ValueError(f"grads: expected one for each of {len(variables)} variables, received {len(grads)}")
        if not self.built:
            with keras.name_scope(self.name, caller=self):
                self.build(variables)
        if self._around(variables):
            super().apply(grads, variables)
            return
        if not grads:
            return
        if not same(variables, self._trainable_variables):
            self._check_variables_are_known(variables)
        if any(g is None for g in grads):
            grads, variables = self._filter_empty_gradients(grads, variables)
        scale = 1.0 if self.loss_scale_factor is None else arguments.grad_scale(number(self.loss_scale_factor))
        self._step(grads, variables, number(self._get_current_learning_rate()), scale, counts=True)

    def _around(self, variables: Sequence[Any]) -> bool:
        """Whether there is something to do around the step, which Keras does."""
        options = self.use_ema or self.gradient_accumulation_steps or self.clipnorm or self.clipvalue
        return bool(options) or self._overwrites or not all(v is None for v in map(CONSTRAINT, variables))

    def _step(self, grads: list[Any], variables: list[Any], lr: Any, scale: float, counts: bool) -> None:
        max_norm = arguments.max_norm(number(self.global_clipnorm)) if self._clips_within() else None
        laid = self._laid
        if laid is None or not laid.stands():
            laid = self._lay_out(lr)
        try:
            laid.step(laid.in_order(grads, variables), lr, scale, max_norm, counts)
        except room.MovedError:
            laid = self._lay_out(lr)
            laid.step(laid.in_order(grads, variables), lr, scale, max_norm, counts)

    def _lay_out(self, lr: Any) -> Laid:
        self._laid = None  # and its plan's arrays with it
        self._laid = Laid(self.kind, self, lr, self._turn)
        return self._laid

    def _clips_within(self) -> bool:
        return not (self.clipnorm and self.clipnorm > 0) and bool(self.global_clipnorm and self.global_clipnorm > 0)

    # What Keras's own `apply` calls, where there is something around the step.

    def _backend_update_step(self, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
        if in_stateless_scope():
            super()._backend_update_step(grads, trainable_variables, learning_rate)
        else:
            self._step(list(grads), list(trainable_variables), number(learning_rate), 1.0, counts=False)

    def _clip_gradients(self, grads: Any) -> Any:
        return grads if self._clips_within() and not in_stateless_scope() else super()._clip_gradients(grads)

    def _apply_weight_decay(self, variables: Any) -> None:
        if in_stateless_scope():
            super()._apply_weight_decay(variables)

    def _backend_reset_gradient_accumulators(self) -> None:
        if in_stateless_scope():
            super()._backend_reset_gradient_accumulators()
        else:
            room.clear(self._accumulated_gradients)

    def _backend_increment_gradient_accumulators(self, grads: Any, acc_grads: Any) -> None:
        if in_stateless_scope():
            super()._backend_increment_gradient_accumulators(grads, acc_grads)
        else:
            room.accumulate(acc_grads, grads)

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """As Keras's."""
        super().exclude_from_weight_decay(var_list, var_names)
        self._laid = None
