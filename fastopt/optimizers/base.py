"""`Optimizer`: parameters, their state, and a step; every named optimizer is this class with a rule chosen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from fastopt import arguments, backends, checkpoint, memory
from fastopt.extents import Extents
from fastopt.rules.entry import HyperparameterValue, Rule, find
from fastopt.settings import Settings
from fastopt.structure import Structure

__all__ = ["CommonOptions", "Optimizer"]

NONFINITE = ("propagate", "skip", "raise")
UNSCALED = 1.0
"""The default of `grad_scale`, known by its identity: a small step takes a microsecond, and each look at an argument a share of it."""


class CommonOptions(TypedDict, total=False):
    """What every optimizer takes besides its own arguments; see `Optimizer`."""

    weight_decay: float
    maximize: bool
    nonfinite: str
    backend: str
    num_threads: int | None


@dataclass(slots=True)
class _Group:
    """The arrays of one dtype: where they stand among all, their work list in their memory, and what runs it."""

    positions: list[int]
    work: Any
    runner: backends.Runner


class Optimizer:
    """An update rule applied in place to arrays.

    Parameters
    ----------
    params
        The parameters: one array, a sequence of arrays, or a mapping from names to arrays. All NumPy arrays, or all arrays on
        one CUDA device (PyTorch's, CuPy's, Numba's, or any with `__cuda_array_interface__` or DLPack); of float32 or float64
        (also mixed), C-contiguous, writeable, no two sharing memory; any shape, 0-d and empty ones too. They are changed in
        place and never copied.
    rule
        A name out of `fastopt.RULES`, or what `fastopt.rule` made.
    lr
        Learning rate, finite and >= 0; None for the rule's default.
    weight_decay
        Coefficient of the decay, finite and >= 0. Coupled (L2) by default: g <- g + weight_decay p.
    decoupled_weight_decay
        Decay the parameter instead, before the update: p <- (1 - lr weight_decay) p.
    maximize
        Follow the gradient up instead of down.
    nonfinite
        What to do when a gradient has an infinity or a NaN: "propagate" it (no check, no cost); "skip" the step, or
        "raise" FloatingPointError, both with parameters, state and step count untouched. On a device only "propagate": the
        other two would wait for it.
    backend
        "auto", "numpy", "numba" or "cython" for NumPy arrays, "auto" or "cuda" for device arrays. "auto" is FASTOPT_BACKEND
        where set, else the cheapest one that is there. Results are the same bits in all of them.
    num_threads
        The most threads that a step may use; None is FASTOPT_NUM_THREADS where set, else every core. Small steps run in one
        thread, and none in more than there are CPUs that the calling thread may use. Results do not depend on it.
    **hyperparameters
        The rule's own, by name.

    Raises
    ------
    TypeError, ValueError
        For an argument that cannot be used; nothing has been written then.
    RuntimeError
        For a backend that cannot be used here.

    Examples
    --------
    >>> w = np.array([1.0, 2.0])
    >>> opt = fastopt.Optimizer(w, rule="momentum", lr=0.1, momentum=0.9)
    >>> opt.step(np.array([1.0, -1.0]))
    True
    >>> w
    array([0.9, 2.1])
    """

    def __init__(
        self,
        params: Any,
        rule: str | Rule,
        lr: float | None = None,
        *,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
        nonfinite: str = "propagate",
        backend: str = "auto",
        num_threads: int | None = None,
        **hyperparameters: Any,
    ) -> None:
        self._rule = find(rule)
        self._settings = arguments.settings(self._rule, lr, weight_decay, decoupled_weight_decay, maximize, hyperparameters)
        self._nonfinite = arguments.choice(nonfinite, "nonfinite", NONFINITE)
        self._num_threads = num_threads
        self._steps = 0
        self._structure, self._params = Structure.of(params)
        self._list_of = self._structure.length if self._structure.kind == "sequence" else None
        labels = self._structure.labels("params")
        self._memory = memory.of(self._params, labels)
        self._views = self._memory.views(self._params, labels)
        if nonfinite != "propagate" and self._memory is not memory.host:
            raise ValueError(f"nonfinite: expected 'propagate' for arrays in {self._memory.name}, received {nonfinite!r}")
        self._backend_name, self._backend = backends.choose(backend, self._rule, self._memory)
        threads = self._backend.thread_count(num_threads)
        self._states = [tuple(self._memory.zeros_beside(view) for _ in self._rule.states) for view in self._views]
        self._works = [self._lay_out(positions, threads) for positions in self._positions_by_dtype()]
        if len(self._works) > 1:
            written = Extents.together([work.extents for _, work in self._works])
            for _, work in self._works:
                work.guard(written)
        self._prepare(self._settings.coupled)

    def _positions_by_dtype(self) -> list[list[int]]:
        by_dtype: dict[np.dtype[Any], list[int]] = {}
        for i, view in enumerate(self._views):
            by_dtype.setdefault(view.dtype, []).append(i)
        return list(by_dtype.values())

    def _lay_out(self, positions: list[int], threads: int) -> tuple[list[int], Any]:
        labels, gradients = (self._structure.labels(name, positions) for name in ("params", "grads"))
        params, states = [self._views[i] for i in positions], [self._states[i] for i in positions]
        return positions, self._memory.work_list(params, states, labels, gradients, threads)

    def _prepare(self, coupled: bool) -> None:
        """Gets the kernels, with the weight decay in the gradient or without."""
        self._groups = [_Group(positions, work, self._backend.prepare(self._rule, coupled, work)) for positions, work in self._works]
        self._coupled = coupled
        self._only = self._groups[0] if len(self._groups) == 1 else None

    def step(self, grads: Any, *, grad_scale: float = UNSCALED, stream: Any = None) -> bool:
        """Updates every parameter in place, once.

        Parameters
        ----------
        grads
            The gradients, in the structure of `params`: each of its parameter's shape and dtype, C-contiguous, sharing
            no memory with parameters or state. They are only read, and may be new arrays at every step.
        grad_scale
            What the gradients were multiplied by (loss scaling); they are divided by it. Finite and > 0.
        stream
            For device arrays, the CUDA stream to run on: PyTorch's, CuPy's, Numba's or cuda.core's, or its handle. None is the
            one that the parameters' framework works on at present. The step is launched, and not waited for; on a stream that the
            arrays were not made on, they and the optimizer have to live until it is done. If the stream is being captured into a
            CUDA graph, the step is recorded and not made: see `advance`.

        Returns True, or False if the step was skipped (`nonfinite="skip"`).

        Raises TypeError, ValueError or FloatingPointError before anything is written.
        """
        # a list beside a list is the most common, and known as such without a call
        gradients = grads if grads.__class__ is list and len(grads) == self._list_of else self._structure.flatten(grads, "grads")
        if grad_scale is not UNSCALED:
            grad_scale = arguments.grad_scale(grad_scale)
        only = self._only
        if only is not None:
            work = only.work
            if stream is not None or not work.gather(gradients):
                work.refresh(gradients, stream)
            if self._nonfinite != "propagate" and not only.runner.all_finite(gradients):
                return self._refuse_nonfinite(gradients)
            only.runner.run(gradients, self._steps + 1, self._settings, grad_scale)
            recording = work.recording
        else:
            shares = [[gradients[i] for i in group.positions] for group in self._groups]
            for group, share in zip(self._groups, shares, strict=True):
                group.work.refresh(share, stream)
            if self._nonfinite != "propagate":
                for group, share in zip(self._groups, shares, strict=True):
                    if not group.runner.all_finite(share):
                        return self._refuse_nonfinite(gradients)
            for group, share in zip(self._groups, shares, strict=True):
                group.runner.run(share, self._steps + 1, self._settings, grad_scale)
            recording = self._groups[0].work.recording
        if not recording:
            self._steps += 1
        return True

    def advance(self, *, grad_scale: float = 1.0, stream: Any = None) -> None:
        """Counts a step that the next replay of a captured CUDA graph will make, and hands it the scalars of that step.

        A graph replays what it was captured with; learning rate, step count and the rest would stand still. So a step that is
        captured reads them from device memory, and this writes them there, in the stream's order and without waiting:

            with torch.cuda.graph(graph):
                opt.step(grads)
            for batch in batches:
                opt.advance()
                graph.replay()

        Call it once before each replay, on the stream of the replay. Until the first call a replay would write NaN. Each
        graph may hold one step of an optimizer; several graphs may hold one each.

        Raises TypeError for arrays in host memory, RuntimeError if no step was captured or one is being captured now.
        """
        if self._memory is memory.host:
            raise TypeError("advance: expected an optimizer of device arrays, received one of arrays in host memory")
        grad_scale = arguments.grad_scale(grad_scale)
        for group in self._groups:
            group.work.choose_stream(stream)
        for group in self._groups:
            cast(Any, group.runner).advance(self._steps + 1, self._settings, grad_scale)
        self._steps += 1

    def _refuse_nonfinite(self, gradients: list[Any]) -> bool:
        if self._nonfinite == "skip":
            return False
        bad = next(i for i, g in enumerate(gradients) if not np.isfinite(g).all())
        raise FloatingPointError(f"{self._structure.label(bad, 'grads')}: expected finite values, received an infinity or a NaN")

    @property
    def lr(self) -> float:
        """The learning rate of the next step; may be set between steps."""
        return self._settings.lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._settings.learn_at(arguments.number(value, "lr"))

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return self._rule

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return self._steps

    @property
    def backend(self) -> str:
        """The name of the backend that runs the steps."""
        return self._backend_name

    @property
    def params(self) -> Any:
        """The parameters, as they were given (a list for any sequence): the arrays themselves, not copies."""
        return self._structure.restore(list(self._params))

    @property
    def hyperparameters(self) -> dict[str, HyperparameterValue | bool]:
        """What the next step will use besides the learning rate; `configure` changes it."""
        common = {"weight_decay": self._settings.weight_decay, "decoupled_weight_decay": self._settings.decoupled}
        return {**self._settings.hyperparameters, **common, "maximize": self._settings.maximize}

    def configure(self, **changes: Any) -> None:
        """Changes the learning rate or hyperparameters from the next step on; all of them or, on an error, none."""
        self._apply(self._checked({"lr": self.lr, **self.hyperparameters, **changes}))

    def _checked(self, values: Mapping[str, Any]) -> Settings:
        own = dict(values)
        lr, decay, decoupled, maximize = (own.pop(name) for name in ("lr", "weight_decay", "decoupled_weight_decay", "maximize"))
        return arguments.settings(self._rule, lr, decay, decoupled, maximize, own)

    def _apply(self, settings: Settings) -> None:
        if settings.coupled != self._coupled:
            self._prepare(settings.coupled)
        self._settings = settings

    def state_dict(self) -> dict[str, Any]:
        """Everything a run needs to go on: rule, steps, lr, hyperparameters, and the states by name, as copies in NumPy arrays.

        On a device this waits for it. What it returns is the same for host and device, and either takes the other's.
        """
        state = {
            name: self._structure.restore([self._memory.to_host(own[k]) for own in self._states])
            for k, name in enumerate(self._rule.states)
        }
        return {"rule": self._rule.name, "steps": self._steps, "lr": self.lr, "hyperparameters": self.hyperparameters, "state": state}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave; checked as a whole before anything is written.

        Raises TypeError or ValueError for a state of another rule, structure, shape or dtype.
        """
        expected = ("rule", "steps", "lr", "hyperparameters", "state")
        if not isinstance(state_dict, Mapping) or set(state_dict) != set(expected):
            raise ValueError(f"state_dict: expected a mapping with {', '.join(expected)}; received {_keys(state_dict)}")
        if state_dict["rule"] != self._rule.name:
            raise ValueError(f"state_dict['rule']: expected {self._rule.name!r}, received {state_dict['rule']!r}")
        steps = arguments.whole_number(state_dict["steps"], "state_dict['steps']", 0)
        if not isinstance(state_dict["hyperparameters"], Mapping):
            raise TypeError(f"state_dict['hyperparameters']: expected a mapping, received {type(state_dict['hyperparameters']).__name__}")
        settings = self._checked({**self.hyperparameters, **state_dict["hyperparameters"], "lr": state_dict["lr"]})
        arrays = self._checked_state(state_dict["state"])
        self._apply(settings)  # the last that can fail: another weight decay may ask for another kernel
        for name, values in arrays.items():
            k = self._rule.states.index(name)
            for own, value in zip(self._states, values, strict=True):
                self._memory.assign(own[k], value)
        self._steps = steps

    def _checked_state(self, state: Any) -> dict[str, list[NDArray[Any]]]:
        if not isinstance(state, Mapping) or set(state) != set(self._rule.states):
            raise ValueError(f"state_dict['state']: expected a mapping with {list(self._rule.states)}; received {_keys(state)}")
        arrays = {name: self._structure.flatten(state[name], f"state_dict['state'][{name!r}]") for name in self._rule.states}
        for name, values in arrays.items():
            for i, (value, p) in enumerate(zip(values, self._views, strict=True)):
                label = self._structure.label(i, f"state_dict['state'][{name!r}]")
                arguments.gradient(value, label, p, self._structure.label(i, "params"))
        return arrays

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes `state_dict()` to a safetensors file, whole or not at all; parameters are not in it."""
        checkpoint.save(self.state_dict(), path)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Takes over what `save` wrote. Raises TypeError or ValueError, with nothing changed, for a file that does not fit."""
        self.load_state_dict(checkpoint.load(path, self._structure.kind))

    def __getstate__(self) -> dict[str, Any]:
        # addresses are of this process and of these arrays: a copy is laid out anew
        return {
            "params": self._structure.restore(self._params),
            "rule": self._rule,
            "options": {"nonfinite": self._nonfinite, "backend": self._backend_name, "num_threads": self._num_threads},
            "state_dict": self.state_dict(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        Optimizer.__init__(self, state["params"], state["rule"], state["state_dict"]["lr"], **state["options"])
        self.load_state_dict(state["state_dict"])

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in {"lr": self.lr, **self.hyperparameters}.items())
        elements = sum(view.size for view in self._views)
        return (
            f"<{type(self).__name__}: rule {self._rule.name!r}, {settings}, backend {self._backend_name!r}, "
            f"{elements} parameters in {len(self._params)} arrays, {self._steps} steps>"
        )


def _keys(value: Any) -> str:
    return str(list(value)) if isinstance(value, Mapping) else type(value).__name__
