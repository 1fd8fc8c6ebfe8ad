"""`Optimizer`: parameters, their state, and a step; every named optimizer is this class with a rule chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastopt import arguments, memory
from fastopt.optimizers.construction import constructor
from fastopt.optimizers.groups import Group
from fastopt.optimizers.shares import STORAGE
from fastopt.optimizers.stepping import Stepping
from fastopt.optimizers.turns import in_turn
from fastopt.rules.entry import Rule, find
from fastopt.rules.family import Family
from fastopt.schedules.schedule import Schedule

__all__ = ["Optimizer"]

UNSCALED = 1.0
"""The default of `grad_scale`, known by its identity: a small step takes a microsecond, and each look at an argument a share of it."""


class Optimizer(Stepping):
    """An update rule applied in place to arrays.

    Parameters
    ----------
    params
        The parameters: one array, a sequence of arrays, or a mapping from names to arrays; sequences and mappings may nest. All NumPy
        arrays, or all arrays on one CUDA device (PyTorch's, CuPy's, Numba's, or any with `__cuda_array_interface__` or DLPack); of float32,
        float64, float16 or bfloat16 (also mixed), dense (C-contiguous, or with dimensions in another order), writeable, no two sharing
        memory; any shape, 0-d and empty ones too. They are changed in place and never copied.
        Or groups, as in PyTorch: a list of mappings `{"params": ..., **options}`, whose options take the place of those given here.
        Gradients then come as a list with an entry for each group.
    rule
        A name out of `fastopt.RULES`, or what `fastopt.rule` made.
    lr
        Learning rate, finite and >= 0; None for the rule's default. This and every other argument that is a number, or one of a tuple of
        numbers, may be a schedule instead (`fastopt.schedules`): each step takes what it comes to after `steps` steps.
    weight_decay
        Coefficient of the decay, finite and >= 0. Coupled (L2) by default: g <- g + weight_decay p.
    decoupled_weight_decay
        Decay the parameter instead, before the update: p <- (1 - lr weight_decay) p.
    maximize
        Follow the gradient up instead of down.
    clip_value
        Limit every element of the gradients to [-clip_value, clip_value], as `torch.nn.utils.clip_grad_value_` before the step: after
        `grad_scale`, before the weight decay; finite and >= 0, and a NaN stays one. With `max_norm` too, the norm is that of the
        gradients as they came, and the elements are limited after what it comes to.
    ema_decay
        Keep a moving average of the parameters, one more array for each (`averages()`): ema <- ema_decay ema + (1 - ema_decay) p after
        each step that a parameter makes, in the same pass; a number in [0, 1). It begins as a copy of the parameter, and is kept in the
        dtype that steps are computed in whatever `state_dtype` says. The formula is that of `torch.optim.swa_utils.get_ema_avg_fn`.
    flush_denormals
        Have every number that a step would leave in a state with a magnitude below the smallest normal one of the dtype it computes in
        (1.2e-38 in float32, 2.2e-308 in float64), and every -0, become +0. A moving average of gradients that have become 0 gets there (at
        0.9, after some 800 steps in float32), and stays, since 0.9 of four of the smallest numbers is rounded to four again. On some CPUs
        a step on such states is slow: 17 to 26 times at 10,000 parameters and 7 to 15 times at 4,000,000 (momentum and Adam, one thread
        of an Intel Xeon); flushed, it is not. On other states the option costs up to a fifth of a step of 1,000 parameters, where the call
        is most of it, 0 to 10 % at 10,000, and 0 to 5 % beyond the caches. No mode of the CPU is changed.
    zero_grads
        Leave every gradient as 0, for the next one to be added to, in the pass that reads it: what `zero_grad(set_to_none=False)` does
        after a step of PyTorch's, for the bytes that it writes. A step that is skipped leaves them as 0 too, one that raises as they came.
        Gradients have to be arrays that can be written to, and no two may share memory.
    max_norm
        Clip the gradients' global norm: where it is larger, all of them are multiplied by max_norm / norm (Pascanu et al., ICML 2013);
        where it is not, the step is the same to the last bit. > 0; an infinity measures and never clips; None does neither.
        If the norm is infinite the factor is 0, and if it is a NaN the factor is one too, as in PyTorch: both spoil the parameters, which
        `nonfinite="skip"` or `"raise"` prevents. On a device the norm is computed and used there, and not waited for.
    accumulate
        How many gradients make a step: so many calls of `step` sum them up, and the last one steps on their mean, as one call on the
        gradients of a batch so many times as large would. The sums take one more array of the dtype that steps are computed in for each
        parameter. All gradients of a step have one `grad_scale`; a parameter that had one in some of the calls only is stepped on the sum
        of those over `accumulate`, too. Norms are of the mean, and `max_norm` is that of the call that makes the step. `zero_grads` leaves
        each call's gradients as 0. Where an interrupt comes between the last sum and the step, the next call makes that step first.
        As `gradient_accumulation_steps` of Keras and of DeepSpeed.
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
    state_dtype
        How states are kept: "float32", "bfloat16", "int8" or "float16", for parameters that are not float64. None is the dtype that steps
        are computed in: float64 for float64 parameters, else float32. In "int8" an element takes a byte, and each 256 have a float32
        scale (`fastopt.storage.blocks`). In float16, which is rounded to nearest, a second moment rounds to 0 below 3e-8 (gradients
        below 5e-3, at beta2 = 0.999) while the first does not, and a step may be as large as lr / eps: for Adam and RMSProp take another.
    stochastic_rounding
        Round states in bfloat16 and int8 up or down so that they are right on the average (`fastopt.storage.noise`): the noise comes of the
        element and the step, not of a generator, so results are the same bits on every backend, and a run that is resumed goes on as if it
        had not stopped. True rounds parameters of bfloat16 so too, or what `master_bits=24` keeps of them; None states alone. False has
        bfloat16 states round to nearest, and a second moment with beta2 near 1 stands still then: it follows gradients that become
        smaller no more.
    narrow_from
        The elements from which a tensor's states are kept in `state_dtype`; those of smaller tensors stay in the compute dtype. None is
        4096 for int8 and 0 for others.
    master_bits
        For parameters of bfloat16: how many bits are kept of each, in it and a correction beside it (`fastopt.storage.split`). 32
        is float32, in two halves; 24 rounds that to 16 significant bits. None keeps no correction, and updates below 1/256 of a parameter
        are lost, unless they are rounded stochastically. See `master_params`, and `load_master_params`: whoever writes to the arrays
        instead leaves the corrections as they are, up to half a unit in the parameter's last place.
    grad_dtype
        What gradients come in; None is the dtype of their parameter.
    groups
        For parameters given by name: options for those whose name fits a pattern, such as `{"*.bias": {"weight_decay": 0.0}}`. The first
        pattern that fits counts; names within nested mappings are joined by dots.
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

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        family = vars(cls).get("family")
        if family is not None and "__init__" not in vars(cls):
            cls.__init__ = constructor(family, cls.__name__)  # type: ignore[method-assign]

    def __init__(
        self,
        params: Any,
        rule: str | Rule,
        lr: float | Schedule | None = None,
        *,
        weight_decay: float | Schedule = 0.0,
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
        clip_value: float | Schedule | None = None,
        ema_decay: float | Schedule | None = None,
        flush_denormals: bool = False,
        zero_grads: bool = False,
        max_norm: float | None = None,
        accumulate: int = 1,
        nonfinite: str = "propagate",
        backend: str = "auto",
        num_threads: int | None = None,
        state_dtype: Any = None,
        stochastic_rounding: bool | None = None,
        narrow_from: int | None = None,
        master_bits: int | None = None,
        grad_dtype: Any = None,
        groups: Mapping[str, Mapping[str, Any]] | None = None,
        **hyperparameters: Any,
    ) -> None:
        given = {"lr": lr, "weight_decay": weight_decay, "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize}
        given |= {"clip_value": clip_value, "ema_decay": ema_decay, "flush_denormals": flush_denormals}
        given["zero_grads"] = zero_grads
        options: dict[str, Any] = {
            "max_norm": max_norm,
            "accumulate": accumulate,
            "nonfinite": nonfinite,
            "backend": backend,
            "num_threads": num_threads,
        }
        options |= {"state_dtype": state_dtype, "stochastic_rounding": stochastic_rounding, "narrow_from": narrow_from}
        options |= {"master_bits": master_bits, "grad_dtype": grad_dtype, "groups": groups}
        self._begin(params, Family.of(find(rule)), {**given, **hyperparameters}, options)

    def step(self, grads: Any, *, grad_scale: float = UNSCALED, max_norm: float | None = None, stream: Any = None) -> bool:
        """Updates every parameter in place, once.

        Parameters
        ----------
        grads
            The gradients, in the structure of `params`: each of its parameter's shape, layout and dtype (or `grad_dtype`), sharing
            no memory with parameters or state. They are only read, and may be new arrays at every step. None in the place of one
            leaves its parameter, the states and the parameter's own step count alone.
        grad_scale
            What the gradients were multiplied by (loss scaling); they are divided by it. Finite and > 0.
        max_norm
            Clip this step's gradients to a global norm (after `grad_scale`), instead of the optimizer's own `max_norm`.
        stream
            For device arrays, the CUDA stream to run on: PyTorch's, CuPy's, Numba's or cuda.core's, or its handle. None is the
            one that the parameters' framework works on at present. The step is launched, and not waited for. The gradients are held
            until the stream is done, and let go of at the next step, `advance` or `state_dict` after that, so of a host that runs ahead
            each step's are; except for PyTorch's and CuPy's on the stream that they work on, who see to that themselves. An optimizer
            that goes away waits for its steps. If the stream is being captured into a CUDA graph, the step is recorded and not made,
            and the gradients are the caller's to keep: see `advance`.

        Returns True, or False if the step was skipped (`nonfinite="skip"`) or its gradients were only summed up (`accumulate`).

        Raises TypeError, ValueError (also for what a schedule comes to) or FloatingPointError before anything is written. A signal
        handler that raises (Ctrl-C) finds the step made and counted, or neither. Of several threads that step one optimizer, each waits
        for the others; RuntimeError where a step is asked for in the middle of one by the thread that makes it (in a signal handler).
        """
        # a list of its own, which nobody else takes arrays out of before they have been read; one beside a list is known without a call
        gradients = [*grads] if grads.__class__ is list else grads
        if gradients is grads or len(gradients) != self._list_of:
            gradients = self._structure.flatten(gradients, "grads")
        if grad_scale is not UNSCALED:
            grad_scale = arguments.grad_scale(grad_scale)
        turn = self._turn
        at_once = turn.at_once
        if at_once is not None and self._plain and max_norm is None and stream is None:
            run, _, slot = at_once
            settings, before = slot.settings, slot.steps
            step = before + 1
            if settings is slot.bound_for:  # as in `Slot.scalars`, without a call
                scalars, remembered = slot.bound(step, settings.lr), ()
            else:
                scalars, remembered = slot.ahead()
            if run(turn, at_once, gradients, scalars, settings.direction / grad_scale, settings.decay, before, step, remembered):
                return True
        if self._scheduled and max_norm is None and stream is None and self._step_at_rate(gradients, grad_scale):
            return True
        return self._step(gradients, grad_scale, max_norm, stream)

    @in_turn
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
        graph may hold one step of an optimizer; several graphs may hold one each, with gradients for the same parameters. A step with
        `max_norm` clips at each replay by the norm of that moment, and to the `max_norm` that it was captured with.

        Raises TypeError for arrays in host memory, RuntimeError if no step was captured or one is being captured now, or if a schedule of
        the weight decay asks for another kernel.
        """
        if self._memory is memory.host:
            raise TypeError("advance: expected an optimizer of device arrays, received one of arrays in host memory")
        if self._scheduled:
            self._follow(captured=True)
        self._plan.advance(arguments.grad_scale(grad_scale), stream)

    @property
    def groups(self) -> list[Group]:
        """The parameter groups, one where none were asked for; their arguments may be set between steps."""
        return [Group(self, k) for k in range(len(self._shares))]

    @property
    def grad_norm(self) -> float | None:
        """The global norm that the last step with `max_norm` found, before it clipped and after `grad_scale`; None before the first.

        On a device this waits for it.
        """
        found = self._grad_norm
        return found if found is None or isinstance(found, float) else float(found.read())

    @property
    def rule(self) -> Rule:
        """The update rule (of the first group)."""
        return self._shares[0].rule

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return int(self._turn.steps)

    @property
    def accumulated(self) -> int:
        """How many gradients were summed up since the last step, where it takes several (`accumulate`)."""
        return 0 if self._accumulation is None else self._accumulation.count

    @property
    def backend(self) -> str:
        """The name of the backend that runs the steps."""
        return self._backend_name

    @property
    def params(self) -> Any:
        """The parameters, as they were given (a list for any sequence): the arrays themselves, not copies."""
        return self._structure.restore(self._params)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Every argument besides the learning rate, as the next step will use it (in the first group); `configure` changes it."""
        share = self._shares[0]
        return {name: self._value_of(share, name) for name in share.values if name not in ("lr", *STORAGE)}

    def __repr__(self) -> str:
        groups = self.groups if len(self._shares) > 1 else ()
        settings = ", ".join(f"{name}={value!r}" for name, value in self._shares[0].values.items() if value is not None)
        elements = sum(view.size for view in self._views)
        return (
            f"<{type(self).__name__}: rule {self.rule.name!r}, {f'{len(groups)} groups' if groups else settings}, "
            f"backend {self._backend_name!r}, {elements} parameters in {len(self._params)} arrays, {self.steps} steps>"
        )
