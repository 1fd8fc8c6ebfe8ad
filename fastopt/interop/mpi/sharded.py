"""`Sharded`: one of fastopt's optimizers over several processes, each of which steps on its own part of the parameters."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fastopt import arguments, layout, memory
from fastopt.apart import refuse_shared
from fastopt.extents import Extents
from fastopt.host import arrays as host_arrays
from fastopt.host.worklist import addresses
from fastopt.interop.mpi.agreement import Ranks
from fastopt.interop.mpi.exchange import Cut, Exchange, Lane, flat
from fastopt.interop.mpi.saving import Saving
from fastopt.optimizers import Optimizer, groups, scheduled, shares
from fastopt.rules.domain import describe
from fastopt.rules.entry import Rule

__all__ = ["Sharded"]

Array = NDArray[Any]


class Sharded(Saving):
    """An optimizer whose states and work are divided among the ranks of a communicator; each has all parameters, and gradients of its own.

    A step adds up the gradients of all ranks, in their order (r0 + r1 + r2 + ..., in the gradients' dtype), steps on each rank's part, and
    gives every rank all parts. One process that is given that sum gets the same bits: parameters, states and norms, for any number of
    ranks. A rank keeps the states of its part, one of so many of all.

    Parameters
    ----------
    optimizer
        One of fastopt's classes, or whatever makes an `Optimizer` of parameters and options. It is given this rank's parts of the
        parameters, in their structure: for each an array of one dimension, perhaps an empty one (of a single rank, the parameters).
    params
        As an `Optimizer` takes them, groups included: NumPy arrays, the same on all ranks in shape, dtype, order of dimensions and value.
        They are changed in place.
    comm
        An intracommunicator of mpi4py; MPI.COMM_WORLD if None.
    bucket_bytes
        How much is exchanged at once. Two buffers of so many bytes are held, and the sum of this rank's part of the gradients.
    **options
        The optimizer's own, the same on all ranks. `max_norm` clips to the norm of all gradients together, and `nonfinite` looks at all
        of them.

    But for attributes, whatever is called here takes all ranks, each of which has to make the same calls in the same order. What is wrong
    on one rank, or not the same on all of them, raises on all, before anything is changed. An exception elsewhere leaves the others
    waiting: run the script by `python -m mpi4py`, or call `abort_on_error` first.

    Attributes
    ----------
    local
        The optimizer of this rank's parts. Its arguments may be set, on all ranks alike, which the next step checks; its `state_dict()` is
        this rank's alone, and taken back by the same rank of as many.

    Raises TypeError, ValueError or RuntimeError on all ranks: where something is wrong its error, elsewhere RuntimeError with its words.
    """

    def __init__(
        self, optimizer: Callable[..., Optimizer], params: Any, comm: Any = None, *, bucket_bytes: int = 1 << 22, **options: Any
    ) -> None:
        self._ranks = ranks = Ranks(MPI.COMM_WORLD if comm is None else comm)
        ranks.together(lambda: self._take(params, options, bucket_bytes))
        ranks.alike(self._described())
        self._flat = [flat(p) for p in self._params]
        self._spans = (cut := Cut([p.size for p in self._params], ranks.size)).own(ranks.rank)
        self._cut, self._exchange = cut, Exchange(ranks.comm, self._most)
        self._parts = self._params if ranks.size == 1 else self._own(self._flat)
        self.local = ranks.together(lambda: self._made(optimizer, options))
        ranks.alike(self._settings())
        self._gradient_dtypes = [storage.dtype for storage in shares.gradients(self.local._shares, self._params)]
        self._present: bytes | None = None
        if ranks.size > 1:
            self.local._others = ranks

    def _take(self, params: Any, options: Mapping[str, Any], bucket_bytes: int) -> None:
        """The parameters, looked at. Raises TypeError or ValueError."""
        self._structure, self._params, self._divided, self._grouped = groups.divided(params, options.get("groups"))
        labels = self._structure.labels("params")
        if memory.of(self._params, labels) is not memory.host:
            raise TypeError("params: expected NumPy arrays, received arrays in device memory")
        memory.host.views(self._params, labels)
        Extents(addresses(self._params), [p.nbytes for p in self._params], labels.__getitem__)
        self._most = arguments.whole_number(bucket_bytes, "bucket_bytes", 1)

    def _described(self) -> dict[str, list[str]]:
        """What the parameters are, in words."""
        labels = self._structure.labels("params")
        return {
            "params": [
                f"{label} of {p.dtype.name} {p.shape} with dimensions in the order {layout.order(layout.of(p))}"
                for label, p in zip(labels, self._params, strict=True)
            ],
            "values of params": [
                f"{label} with checksum {zlib.crc32(flat(p).view(np.uint8).data):#010x}"
                for label, p in zip(labels, self._params, strict=True)
            ],
            "bucket_bytes": [str(self._most)],
        }

    def _made(self, optimizer: Callable[..., Optimizer], options: Mapping[str, Any]) -> Optimizer:
        structure, parts = self._structure, self._parts
        given: Any = structure.restore(parts)
        if self._grouped:
            given = [{"params": own, **divided} for own, (_, divided) in zip(given, self._divided, strict=True)]
        made = optimizer(given, **options)
        if not isinstance(made, Optimizer) or [*map(id, made._params)] != [*map(id, parts)]:
            raise TypeError(
                f"optimizer: expected one that makes a fastopt.Optimizer of the parameters it is given, received {describe(made)}"
            )
        if any(kernel.draws for kernel in made._kernels):
            raise ValueError(
                "state_dtype: expected states and parameters that are not rounded stochastically, as the noise of an element is that of "
                "its place among all, and not in a rank's part; bfloat16 with stochastic_rounding=False, float16 and float32 are not"
            )
        return made

    def _settings(self) -> dict[str, list[str]]:
        """All that decides on a step besides arrays, in words."""
        local = self.local
        own = {"max_norm": local._max_norm, "nonfinite": local._nonfinite, "steps": local.steps, "accumulated": local.accumulated}
        own["accumulate"] = local._accumulate
        return {"optimizer": [*(f"{share.rule.name} with {scheduled.saved(share.values)}" for share in local._shares), str(own)]}

    def _own(self, flats: Sequence[Array]) -> list[Array]:
        return [array[begin:end] for array, (begin, end) in zip(flats, self._spans, strict=True)]

    def step(self, grads: Any, *, grad_scale: float = 1.0, max_norm: float | None = None) -> bool:
        """Updates every parameter in place, once, on all ranks, by the sum of all ranks' gradients.

        Parameters
        ----------
        grads
            This rank's gradients, in the structure of the parameters, and as an `Optimizer` takes them; None in the place of one on all
            ranks leaves its parameter alone.
        grad_scale, max_norm
            As for an `Optimizer`: the sum is divided by `grad_scale`, so the number of ranks makes a mean of it.

        Returns True, or False if the step was skipped (`nonfinite="skip"`) or its gradients were only summed up, on all ranks.

        Raises TypeError, ValueError, RuntimeError or FloatingPointError on all ranks, before anything is written.
        """
        if self._ranks.size == 1:
            return self.local.step(grads, grad_scale=grad_scale, max_norm=max_norm)
        given: list[Any] = []
        numbers, error = [0] * 4, None
        try:
            given = self._checked(grads)
            scale, norm = arguments.grad_scale(grad_scale), 0.0 if max_norm is None else arguments.max_norm(max_norm)
            words = [*map(repr, self._settings().values())]
            numbers = [*(zlib.crc32(text.encode()) for text in words), zlib.crc32(_presence(given)), _bits(scale), _bits(norm)]
        except Exception as raised:
            error = raised
        self._ranks.agreed(error, numbers, lambda: self._meant(given, grad_scale, max_norm))
        self._make_lanes(given)
        parts: list[Any] = [None] * len(given)
        for lane, total, own in self._gradient_lanes:
            self._exchange.reduce(lane, [flat(given[i]) for i in lane.positions], total)
            for i, part in zip(lane.positions, own, strict=True):
                parts[i] = part
        made = self.local.step(self._structure.restore(parts), grad_scale=grad_scale, max_norm=max_norm)
        for g, kernel in zip(given, self.local._kernels, strict=True):
            if g is not None and kernel.stages.zeroed:
                g[...] = 0
        if not made:
            return False
        for lane in self._param_lanes:
            self._exchange.collect(lane, [self._parts[i] for i in lane.positions], [self._flat[i] for i in lane.positions])
        return True

    def _meant(self, given: Sequence[Any], grad_scale: float, max_norm: float | None) -> dict[str, list[str]]:
        """What a step was asked for, in words."""
        labels = self._structure.labels("grads")
        present = [f"{label} {'None' if g is None else 'an array'}" for label, g in zip(labels, given, strict=True)]
        return {**self._settings(), "grads": present, "grad_scale": [repr(grad_scale)], "max_norm": [repr(max_norm)]}

    def _checked(self, grads: Any) -> list[Any]:
        """The gradients in the order of the parameters. Raises TypeError or ValueError for one that cannot be used."""
        given = self._structure.flatten(grads, "grads")
        zeroed = [kernel.stages.zeroed for kernel in self.local._kernels]
        for i, (g, p, dtype) in enumerate(zip(given, self._params, self._gradient_dtypes, strict=True)):
            alike = g.__class__ is np.ndarray and g.dtype == dtype == p.dtype and g.shape == p.shape and g.strides == p.strides
            if g is None or (alike and (not zeroed[i] or g.flags.writeable)):
                continue
            label = self._structure.label
            host_arrays.gradient(g, label(i, "grads"), p, label(i, "params"), dtype, zeroed[i])
        if any(zeroed):  # a gradient that is only read may lie anywhere: it is added up before anything is written
            named = [(g, ("grads", i), zeroed[i]) for i, g in enumerate(given) if g is not None]
            named += [(p, ("params", i), False) for i, p in enumerate(self._params)]
            every, labels, written = zip(*named, strict=True)
            sizes = np.array([array.nbytes for array in every], np.int64)
            refuse_shared(addresses(list(every)), sizes, np.array(written), lambda k: self._structure.label(labels[k][1], labels[k][0]))
        return given

    def _make_lanes(self, given: Sequence[Any]) -> None:
        """Lays out what is exchanged, for the parameters that have a gradient; kept while those are the same."""
        present = _presence(given)
        if present == self._present:
            return
        positions = [i for i, g in enumerate(given) if g is not None]
        self._param_lanes = self._lanes(positions, [self._params[i].dtype for i in positions])
        self._gradient_lanes: list[tuple[Lane, Array, list[Array]]] = []
        for lane in self._lanes(positions, [self._gradient_dtypes[i] for i in positions]):
            sizes = [end - begin for begin, end in (self._spans[i] for i in lane.positions)]
            total = np.empty(sum(sizes), lane.dtype)
            self._gradient_lanes.append((lane, total, np.split(total, np.cumsum(sizes)[:-1])))
        self._present = present

    def configure(self, **changes: Any) -> None:
        """As `Optimizer.configure`; it has to be called on all ranks alike, which the next step checks."""
        self.local.configure(**changes)

    @property
    def lr(self) -> float:
        """The learning rate, as `Optimizer.lr`; it has to be set on all ranks alike, which the next step checks."""
        found: float = self.local.lr
        return found

    @lr.setter
    def lr(self, value: Any) -> None:
        self.local.configure(lr=value)

    @property
    def params(self) -> Any:
        """The parameters, as they were given (a list for any sequence): the arrays themselves, not copies."""
        return self._structure.restore(self._params)

    @property
    def rule(self) -> Rule:
        """The update rule (of the first group)."""
        return self.local.rule

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return self.local.steps

    @property
    def grad_norm(self) -> float | None:
        """The norm of all gradients together that the last step with `max_norm` found, before it clipped; None before the first."""
        return self.local.grad_norm

    def __reduce__(self) -> NoReturn:
        raise TypeError("Sharded: expected no copy, as a communicator is of this process; state_dict() can be copied and pickled")

    def __repr__(self) -> str:
        own, every = sum(end - begin for begin, end in self._spans), sum(p.size for p in self._params)
        return f"<Sharded: rank {self._ranks.rank} of {self._ranks.size} with {own} of {every} parameters, {self.local!r}>"


def _presence(gradients: Sequence[Any]) -> bytes:
    """Which gradients there are."""
    return bytes(g is not None for g in gradients)


def _bits(value: float) -> int:
    """A number >= 0 as one of 63 bits."""
    found: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return found
