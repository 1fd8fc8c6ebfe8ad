"""The states of all ranks together, as a single process has them: as a dictionary, and in a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import arguments, checkpoint
from fastopt.host import arrays as host_arrays
from fastopt.interop.mpi.agreement import Ranks
from fastopt.interop.mpi.exchange import Cut, Exchange, Lane, Span, flat
from fastopt.optimizers import Optimizer
from fastopt.rules.domain import describe
from fastopt.structure import Structure

__all__ = ["Saving"]


class Saving:
    """What `Sharded` holds, saved and taken over; every call here takes all ranks."""

    local: Optimizer
    _ranks: Ranks
    _exchange: Exchange
    _structure: Structure
    _params: list[NDArray[Any]]
    _cut: Cut
    _spans: list[Span]

    def _lanes(self, positions: Iterable[int], dtypes: Sequence[np.dtype[Any]]) -> list[Lane]:
        """The arrays at these positions by dtype."""
        by_dtype: dict[np.dtype[Any], list[int]] = {}
        for i, dtype in zip(positions, dtypes, strict=True):
            by_dtype.setdefault(dtype, []).append(i)
        return [Lane(self._cut, own, dtype, self._ranks.size) for dtype, own in by_dtype.items()]

    def state_dict(self, root: int | None = None) -> dict[str, Any] | None:
        """What `Optimizer.state_dict` of a single process would give: on all ranks, or on the `root` and None on the others."""
        self._ranks.alike({"root": [repr(root)]})
        if root is not None and arguments.whole_number(root, "root", 0) >= self._ranks.size:
            raise ValueError(f"root: expected a rank below {self._ranks.size}, received {root}")
        found = self.local.state_dict()
        if self._ranks.size == 1:
            return found
        here = root is None or root == self._ranks.rank
        states = {name: self._whole(values, here, root) for name, values in self.local.flat_state().items()}
        return {**found, "state": {name: self._structure.restore(values) for name, values in states.items()}} if here else None

    def _whole(self, parts: Sequence[Any], here: bool, root: int | None) -> list[Any]:
        """A state of all parameters, of all ranks' parts of it; None where a parameter has none of that name."""
        positions = [i for i, part in enumerate(parts) if part is not None]
        found: list[Any] = [None] * len(parts)
        for lane in self._lanes(positions, [parts[i].dtype for i in positions]):
            if here:
                for i in lane.positions:
                    found[i] = np.empty_like(self._params[i], lane.dtype)
            into = [flat(found[i]) for i in lane.positions] if here else None
            self._exchange.collect(lane, [parts[i] for i in lane.positions], into, root)
        return found

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave, here or in a single process: each rank is given all of it, and takes its part.

        Raises TypeError or ValueError, with nothing changed, for one that does not fit or is not the same on all ranks.
        """
        part = self._ranks.together(lambda: self._part_of(state_dict))
        self._ranks.alike({"state_dict": [repr({name: value for name, value in state_dict.items() if name != "state"})]})
        before, error = self.local.state_dict(), None
        try:
            self.local.load_state_dict(part)
        except Exception as raised:
            error = raised
        try:
            self._ranks.raise_together(error)
        except BaseException:
            if error is None:
                self.local.load_state_dict(before)
            raise

    def _part_of(self, given: Any) -> dict[str, Any]:
        """A dictionary of a single process, with this rank's parts of its states."""
        if not isinstance(given, Mapping) or not isinstance(given.get("state"), Mapping):
            raise ValueError(f"state_dict: expected what Optimizer.state_dict gives, received {describe(given)}")
        if self._ranks.size == 1:
            return dict(given)
        states = {}
        for name, values in given["state"].items():
            argument = f"state_dict['state'][{name!r}]"
            whole = self._structure.flatten(values, argument)
            for i, value in enumerate(whole):
                if value is None:
                    continue
                label, p = self._structure.label(i, argument), self._params[i]
                host_arrays.parameter(value, label, writeable=False)
                arguments.alike(value, label, p, self._structure.label(i, "params"), value.dtype)
                lying = np.empty_like(p, value.dtype)
                lying[...] = value
                begin, end = self._spans[i]
                whole[i] = flat(lying)[begin:end].copy()
            states[name] = self._structure.restore(whole)
        return {**given, "state": states}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes `state_dict()` to a file as `Optimizer.save` of a single process does, by rank 0. Takes the memory of all states there."""
        found = self.state_dict(root=0)

        def write() -> None:
            if found is not None:
                states = {name: self._structure.flatten(values, name) for name, values in found["state"].items()}
                rest = {name: value for name, value in found.items() if name != "state"}
                checkpoint.save(states, rest, list(self._structure.labels("params")), self._kinds(), path)

        self._ranks.together(write)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Takes over what `save` wrote, here or of an `Optimizer`; all ranks read the file.

        Raises TypeError or ValueError, with nothing changed, for a file that does not fit.
        """
        found = self._ranks.together(lambda: checkpoint.load(path, list(self._structure.labels("params")), self._kinds()))
        self.load_state_dict({**found, "state": {name: self._structure.restore(values) for name, values in found["state"].items()}})

    def _kinds(self) -> list[str]:
        return [f"{p.dtype.name} {tuple(p.shape)}" for p in self._params]
