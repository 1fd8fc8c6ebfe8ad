"""The states of a drop-in: arrays that fastopt lays out, and torch's tensors of the same memory, under torch's names in `optimizer.state`.

torch's dictionary is the truth. Whoever writes into its tensors writes into the states; whoever puts others in their place, removes some
or sets a step count is noticed at the next step (`unchanged`), and everything is laid out anew from what stands there then. A state
appears there with its parameter's first gradient, as torch's do. Step counts are one array, which a step adds to in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastopt import layout
from fastopt.interop.torch import looks
from fastopt.interop.torch.kinds import Kind
from fastopt.interop.torch.tensors import part_of, published, tensor_of, view
from fastopt.kernel import Kernel
from fastopt.memory import host
from fastopt.optimizers import shares
from fastopt.optimizers.shares import Share
from fastopt.slots import Slot

__all__ = ["States"]

Array = NDArray[Any]


class States:
    """Arrays and tensors of the states of all parameters.

    Parameters
    ----------
    kind
        torch's names.
    params, views
        The tensors, and their arrays.
    groups, kernels
        Of the parameters, with the rule and the storage of each; and of each parameter its kernel.
    state
        The optimizer's `state`, which is taken over, and where tensors are published.
    labels
        What to call the parameters.
    before
        Those of an earlier layout, whose arrays are kept where they still fit.

    Attributes
    ----------
    arrays
        For each parameter, in the order of its rule.
    steps, memory
        Of each parameter: how many steps were made, and what its rule's scalars remember.

    Raises TypeError or ValueError for a state that cannot be taken over; nothing was changed then.
    """

    def __init__(
        self,
        kind: Kind,
        params: Sequence[Any],
        views: Sequence[Array],
        groups: Sequence[Share],
        kernels: Sequence[Kernel],
        state: MutableMapping[Any, Any],
        labels: Sequence[str],
        before: States | None,
    ) -> None:
        for key, entry in state.items():
            if not isinstance(entry, dict):
                raise TypeError(f"state: expected a dictionary for each parameter, received {type(entry).__name__} for {key!r}")
        self.kind, self.params, self.state, count = kind, params, state, len(params)
        self.arrays: list[tuple[Array, ...]] = [()] * count
        self.rules = [groups[k].rule for k in shares.share_of(groups, count)]
        owned: dict[int, tuple[Any, Array]] = {} if before is None else before.owned
        for share in groups:
            made = shares.states(share, [views[i] for i in share.positions], [kernels[i] for i in share.positions], host)
            for i, own in zip(share.positions, made, strict=True):
                self.arrays[i] = own
        # torch's own choice of a dtype for what it counts with
        counter = np.float64 if torch.get_default_dtype() is torch.float64 else np.float32
        self.counts: Array = np.zeros(count, counter)
        self.remembered: Array = np.ones((len(kind.memory), count))
        self.steps = [0] * count
        self.memory: list[tuple[float, ...]] = [tuple(rule.memory.values()) for rule in self.rules]
        self.published = np.zeros(count, bool)
        copies: list[tuple[Array, Array]] = []
        for i, param in enumerate(params):
            entry = state.get(param)
            if entry:
                copies += self._adopt(i, entry, labels[i], owned)
        for array, values in copies:
            array[...] = values
        self.owned: dict[int, tuple[Any, Array]] = {}
        for i in np.flatnonzero(self.published).tolist():
            entry = self._tensors(i)
            if entry:
                state[params[i]].update(entry)
        self.held = list(chain.from_iterable(map(dict.values, state.values())))
        self.sum = self.counts.tobytes(), self.remembered.tobytes()
        self.arrival: list[Callable[[], Any]] = []

    def _adopt(self, i: int, entry: Mapping[str, Any], label: str, owned: Mapping[int, tuple[Any, Array]]) -> list[tuple[Array, Array]]:
        """Takes over what stands in the dictionary for a parameter; what is to be copied where, once all is known to fit."""
        kind, rule = self.kind, self.rules[i]
        names = [kind.states[name] for name in rule.states]
        needed = [*(["step"] if kind.counted else []), *kind.memory, *names]
        missing = [name for name in needed if entry.get(name) is None]
        if missing and not kind.counted:  # torch begins a momentum where it finds none
            return []
        if missing:
            raise ValueError(f"state[{label}]: expected {', '.join(needed)}, received {', '.join(entry) or 'nothing'}")
        copies: list[tuple[Array, Array]] = []
        arrays = list(self.arrays[i])
        for k, name in enumerate(names):
            value, array = entry[name], arrays[k]
            part = part_of(value, self.params[i], f"state[{label}][{name!r}]") if isinstance(value, torch.Tensor) else None
            if part is None or tuple(part.shape) != array.shape:
                shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
                raise ValueError(f"state[{label}][{name!r}]: expected a tensor of shape {array.shape}, received {shape}")
            tensor, own = owned.get(id(value), (None, array))
            if tensor is value and own.dtype == array.dtype and layout.same(own.shape, own.strides, array.strides):
                arrays[k] = own
            else:
                copies.append((array, view(part.detach().to("cpu", getattr(torch, array.dtype.name)).resolve_neg())))
        self.arrays[i] = tuple(arrays)
        steps = float(entry["step"]) if kind.counted else 1.0
        if not (steps >= 0.0 and steps.is_integer()):
            raise ValueError(f"state[{label}]['step']: expected a whole number >= 0, received {steps}")
        self.steps[i], self.counts[i] = int(steps), steps
        if kind.memory:
            self.memory[i] = tuple(float(entry[name]) for name in kind.memory)
            self.remembered[:, i] = self.memory[i]
        self.published[i] = True
        return copies

    def arriving(self, present: Array) -> None:
        """Has the states of parameters that have their first gradient appear in the dictionary with the coming step."""
        first = np.flatnonzero((present > 0) & ~self.published).tolist()
        entries = {i: self._tensors(i) for i in first}
        self.arrival = []
        added: dict[int, dict[str, Any]] = {}
        for i, entry in entries.items():
            if entry:
                own = self.state.setdefault(self.params[i], {})
                added[id(own)] = entry
                self.arrival.append(partial(own.update, entry))
        if first:
            published = self.published.copy()
            published[first] = True
            held = [value for own in self.state.values() for value in ({**own, **added[id(own)]} if id(own) in added else own).values()]
            self.arrival.append(partial(np.copyto, self.published, published))
            self.arrival.append(partial(self.__dict__.update, held=held, arrival=[]))

    def _tensors(self, i: int) -> dict[str, Any]:
        """What torch's dictionary has for a parameter."""
        kind, entry = self.kind, {}
        if kind.counted:
            entry["step"] = tensor_of(self.counts[i, ...])
        for k, name in enumerate(kind.memory):
            entry[name] = tensor_of(self.remembered[k, i, ...])
        for name, array in zip(self.rules[i].states, self.arrays[i], strict=True):
            tensor = entry[kind.states[name]] = published(array, self.params[i])
            self.owned[id(tensor)] = tensor, array
        return entry

    def unchanged(self, state: Any) -> bool:
        """Whether the dictionary has the tensors that it had at the last look, and the step counts are those that were counted."""
        if state is not self.state or (self.counts.tobytes(), self.remembered.tobytes()) != self.sum:
            return False
        found: bool = looks.unchanged(state, self.held)
        return found

    def counting(self, present: Array, slot_of: Sequence[Slot]) -> list[Callable[[], Any]]:
        """The calls that count a step of the parameters that have a gradient (1, else 0); what rules remember is known by now."""
        if not self.kind.counted:
            return self.arrival
        counts, remembered = self.counts + present, self.sum[1]
        calls: list[Callable[[], Any]] = [*self.arrival, partial(np.copyto, self.counts, counts)]
        if self.kind.memory:
            ahead = np.where(present, np.array([slot.coming for slot in slot_of]).T, self.remembered)
            calls.append(partial(np.copyto, self.remembered, ahead))
            remembered = ahead.tobytes()
        return [*calls, partial(setattr, self, "sum", (counts.tobytes(), remembered))]
