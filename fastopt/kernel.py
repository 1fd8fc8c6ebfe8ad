"""A kernel as a thing: all that decides what is compiled, before any backend sees it.

The text of a rule, the stages around it (`fastopt.stages`), the dtype that it computes in, and how each of its arrays lies in memory
(`fastopt.storage`). What the backends derive of a kernel is kept with it (`once_for_each`): source, fingerprint, address.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from fastopt.rules.entry import PROLOGUE_SCALARS, Rule, once_for_each
from fastopt.stages import COUPLED, PLAIN, Stages
from fastopt.storage import EVERY, Storage, noise
from fastopt.storage.blocks import BLOCK
from fastopt.storage.split import Split
from fastopt.transcribe import LoopBody, loop_body

__all__ = ["AHEAD", "CORRECTION", "Array", "Kernel", "kernel_of"]

CORRECTION = "correction"
"""What the array beside a split parameter is called among those that are kept."""

AHEAD = (
    ("float32", "float32", "float32"),
    ("float64", "float64", "float64"),
    ("bfloat16", "bfloat16", "float32"),
    ("float32", "float32", "bfloat16"),
    ("float32", "float32", "int8"),
)
"""Storage of parameters and gradients, and `state_dtype`, that kernels are compiled for when fastopt is installed; others later."""


class Array(NamedTuple):
    """An array of a kernel. Its place among all is that of its address in the tables that compiled kernels are given.

    Attributes
    ----------
    stream
        What the body calls it whose elements, scales or corrections these are.
    part
        Which of them: "at", "scales" or "corrections"; generated sources put it behind the stream's name.
    storage
        The stream's.
    dtype
        NumPy's name of what lies there.
    """

    stream: str
    part: str
    storage: Storage
    dtype: str

    @property
    def name(self) -> str:
        """What it is called where it is kept between steps."""
        return {"at": self.stream, "scales": f"{self.stream}_scale", "corrections": CORRECTION}[self.part]

    @property
    def of_blocks(self) -> bool:
        """Whether there is one for each block, and not for each element."""
        return self.part == "scales"

    @property
    def itemsize(self) -> int:
        """Bytes of what lies there for an element, or for a block."""
        return self.storage.itemsize if self.part == "at" else np.dtype(self.dtype).itemsize


@dataclass(frozen=True, eq=False)  # made once for a rule and its storages, and so equal to itself alone
class Kernel:
    """One step of one rule on arrays that lie in memory in one way.

    Attributes
    ----------
    rule, stages
        The update, and what there is around it.
    storages
        Of each stream of the body: p, g, then the states.
    derived
        What others have worked out of it and keep with it.
    """

    rule: Rule
    stages: Stages
    storages: tuple[Storage, ...]
    derived: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def with_decay(self, coupled: bool) -> Kernel:
        """The same with the weight decay in the gradient, or without."""
        return _kernel(self.rule, self.stages._replace(coupled=coupled), *(storage.name for storage in self.storages))

    @cached_property
    def body(self) -> LoopBody:
        """The arithmetic of one element; its scalars say which step it is where something is rounded stochastically."""
        body = loop_body(self.rule, self.stages)
        if not self.draws:
            return body
        return replace(body, scalars=(*body.scalars[:-PROLOGUE_SCALARS], *noise.SCALARS, *body.scalars[-PROLOGUE_SCALARS:]))

    @cached_property
    def draws(self) -> bool:
        """Whether something is rounded stochastically."""
        return bool(self.drawn)

    @cached_property
    def drawn(self) -> dict[str, tuple[int, int]]:
        """The streams that are rounded stochastically, with the factors of their noise: the parameter has the first."""
        every = enumerate(zip(self.streams, self.storages, strict=True))
        return {stream: noise.factors(max(k - 1, 0)) for k, (stream, storage) in every if storage.draws}

    @property
    def streams(self) -> tuple[str, ...]:
        """The arrays that the body reads: p, g, and the states."""
        return ("p", "g", *self.states)

    @property
    def states(self) -> tuple[str, ...]:
        """The states: those of the rule, then those of the stages."""
        return (*self.rule.states, *self.stages.states)

    @cached_property
    def blocked(self) -> tuple[int, ...]:
        """The streams that are stored by blocks, with scales: their places among all."""
        return tuple(k for k, storage in enumerate(self.storages) if storage.code is not None)

    @property
    def split(self) -> Split | None:
        """How the parameter is split, where it has a correction."""
        return self.storages[0].split

    @cached_property
    def arrays(self) -> tuple[Array, ...]:
        """All of them: p, g and the states, the scales of those that have some, and a correction."""
        streams = zip(self.streams, self.storages, strict=True)
        found = [Array(stream, "at", storage, storage.kind or storage.name) for stream, storage in streams]
        found += [Array(self.streams[k], "scales", self.storages[k], "float32") for k in self.blocked]
        if self.split is not None:
            found.append(Array("p", "corrections", self.storages[0], self.split.dtype))
        return tuple(found)

    @cached_property
    def held(self) -> tuple[str, ...]:
        """What the arrays that are kept between steps are called: the states, the scales of those that have some, and a correction."""
        return tuple(array.name for array in self.arrays[2:])

    @cached_property
    def compute(self) -> str:
        """The dtype that it computes in."""
        return self.storages[0].compute

    @property
    def gradient(self) -> Storage:
        """How gradients lie in memory."""
        return self.storages[1]

    @cached_property
    def name(self) -> str:
        """The body's name and, joined, the storages: one where all are alike, else those of p, g and each state."""
        names = [storage.name for storage in self.storages]
        return "_".join([self.body.name, *(names[:1] if len(set(names)) == 1 else names)])

    @cached_property
    def type_numbers(self) -> list[int]:
        """NumPy's numbers of the dtypes of p, g and each state."""
        return [storage.dtype.num for storage in self.storages]

    @cached_property
    def scalar_count(self) -> int:
        """How many scalars it takes, those of the stages and the prologue's two included."""
        return len(self.body.scalars)

    @cached_property
    def bytes_per_parameter(self) -> float:
        """The least memory traffic of a step: every array read once; all that it changes written once."""
        only_read = () if self.stages.zeroed else ("g",)
        return sum((1 if own.name in only_read else 2) * own.itemsize / (BLOCK if own.of_blocks else 1) for own in self.arrays)


@once_for_each
def kernel_of(rule: Rule, stages: Stages, parameter: str, gradient: str, state: str | tuple[str, ...]) -> Kernel:
    """The kernel of a rule and stages for parameters, gradients and the rule's states of these storages, by name: all alike, or one each.

    Raises ValueError for a rule with a name that the stages take.
    """
    states = (state,) * len(rule.states) if isinstance(state, str) else state
    beside = EVERY[parameter].compute
    return _kernel(rule, stages, parameter, gradient, *states, *(beside for _ in stages.states))


@once_for_each
def _kernel(rule: Rule, stages: Stages, *storages: str) -> Kernel:
    found = Kernel(rule, stages, tuple(EVERY[name] for name in storages))
    if found.split is not None and CORRECTION in found.states:
        raise ValueError(f"rule {rule.name!r}: the name {CORRECTION!r} belongs to what is kept beside parameters; rename it")
    if stages not in (PLAIN, COUPLED):
        _ = found.body  # of a backend that has no need of it the names are refused too
    return found
