"""What an optimizer holds, saved and taken over: as a dictionary, in a file, in copies and pickles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from fastopt import checkpoint
from fastopt.optimizers import masters, shares, state_dict
from fastopt.optimizers.accumulation import split_off
from fastopt.optimizers.holding import Holding
from fastopt.optimizers.turns import in_turn
from fastopt.rules.entry import FLAG
from fastopt.rules.family import Family
from fastopt.slots import Slot
from fastopt.stages import AVERAGE

__all__ = ["Saving"]


class Saving(Holding):
    """States, counts and arguments, out of an optimizer and into one; as a whole, or not at all where it raises."""

    @in_turn
    def state_dict(self) -> dict[str, Any]:
        """Everything a run needs to go on, as a dictionary (`fastopt.optimizers.state_dict`): states are copies in NumPy arrays.

        On a device this waits for it. What it returns is the same for host and device, and either takes the other's.
        """
        return {**self._exported(), "state": {name: self._structure.restore(values) for name, values in self._copied().items()}}

    @in_turn
    def flat_state(self) -> dict[str, list[Any]]:
        """Each state by name, as copies in NumPy arrays, one for each parameter in their order (None where its rule has no such state)."""
        return self._copied()

    @in_turn
    def averages(self) -> Any:
        """The moving averages of the parameters, to evaluate a model with, as new NumPy arrays in the structure and dtypes of `params`.

        On a device this waits for them. Raises ValueError where a group keeps none (`ema_decay`).
        """
        found: list[Any] = [None] * len(self._params)
        for k, share in enumerate(self._shares):
            if not share.settings.stages.averaged:
                raise ValueError(f"averages: expected an ema_decay, received None in group {k}")
            for i in share.positions:
                average = self._memory.to_host(self._states[i][share.states.index(AVERAGE)])
                found[i] = average.astype(self._views[i].dtype)
        self._plan.settle()
        return self._structure.restore(found)

    @in_turn
    def master_params(self) -> Any:
        """The parameters as steps compute with them, as new NumPy arrays in the structure of `params`: of float32 beside narrow ones.

        Parameters of bfloat16 with their corrections (`master_bits`), of float16 and bfloat16 without any as they are. On a device this
        waits for them.
        """
        found = [masters.whole(*of, self._memory) for of in zip(self._kernels, self._views, self._states, strict=True)]
        self._plan.settle()
        return self._structure.restore(found)

    @in_turn
    def load_master_params(self, values: Any) -> None:
        """Takes over parameters of the dtype that steps are computed in, or of their own, in the structure of `params`; all or none.

        Where there are corrections they are written too, and nothing is lost of what they keep; other narrow parameters are rounded to
        nearest. States and counts stay as they are.

        Raises TypeError or ValueError for what is of another structure, shape or dtype.
        """
        copies = []
        for i, array in enumerate(self._structure.flatten(values, "values")):
            label = self._structure.label(i, "values")
            copies += masters.written(array, label, self._kernels[i], self._views[i], self._states[i])
        self._plan.make(self._memory.assigning(copies))
        self._plan.settle()

    def _copied(self) -> dict[str, list[Any]]:
        copies = state_dict.flat(self._kernels, self._states, self._memory)
        if self._accumulation is not None:
            copies |= self._accumulation.copied()
        self._plan.settle()
        return copies

    def _exported(self) -> dict[str, Any]:
        accumulated = {} if self._accumulation is None else self._accumulation.exported()
        return {**state_dict.export(self._turn.steps, self._shares, self._plan.slot_of), **accumulated}

    @in_turn
    def load_state_dict(self, state_dict: Mapping[str, Any], *, convert: bool = False) -> None:
        """Takes over what `state_dict` gave; checked as a whole before anything is written.

        With `convert`, states of another storage are taken over as the numbers that they stand for, in this optimizer's (`state_dtype` and
        what goes with it stay as they are); without, they are refused. Corrections of parameters begin at 0 where none were saved, and are
        left out where none are kept: the parameters are as they are then (`load_master_params` writes both).

        Arguments are part of it: schedules that were saved go on, and a number that was saved takes a schedule's place.

        Raises TypeError or ValueError for a state of another rule, structure, shape or dtype, and for a count of more than 2^62 steps.
        Structures, shapes and dtypes are those of the states: of a rule that keeps none, only the number of parameters can be compared
        here (a file knows their names, shapes and dtypes too).
        """
        self._take(state_dict, FLAG.checked(convert, "convert"))

    def _take(self, given: Any, convert: bool = False) -> None:
        given, saved = split_off(given, self._accumulation, self._structure)
        found = state_dict.checked(given, self._shares, self._kernels, self._states, self._structure, convert)
        changed = [share.changed(values, found.steps) for share, values in zip(self._shares, found.values, strict=True)]
        for k, (share, new) in enumerate(zip(self._shares, changed, strict=True)):
            if new.rule is not share.rule:
                raise ValueError(f"state_dict['groups'][{k}]: expected arguments of rule {share.rule.name!r}, received {new.rule.name!r}'s")
            if new.states != share.states:
                there = "None", "a number"
                raise ValueError(
                    f"state_dict['groups'][{k}]['ema_decay']: expected {there[share.settings.stages.averaged]}, "
                    f"received {there[new.settings.stages.averaged]}; configure(ema_decay=...) comes before"
                )
        of = shares.share_of(changed, len(self._params))
        made: dict[tuple[Any, ...], Slot] = {}
        keys = list(zip(of, found.steps_of, found.memory_of, strict=True))
        for k, steps, remembered in dict.fromkeys(keys):
            made[k, steps, remembered] = Slot(changed[k].rule, changed[k].settings, steps, remembered)
        slots = [made[key] for key in keys]
        copies = [
            (own, found.states[name][i])
            for i, kernel in enumerate(self._kernels)
            for name, own in zip(kernel.held, self._states[i], strict=True)
        ]
        with self._unless_it_fails() as stays:
            kernels = self._kernels_of(changed)
            self.__dict__.update(self._holds(changed))
            if kernels != self._kernels:  # another weight decay may ask for another one
                self._kernels = kernels
                self._lay_out(slots)
            count = partial(setattr, self._turn, "steps", found.steps)
            copying = self._memory.assigning(copies)
            if self._accumulation is not None:
                copying += self._accumulation.restarting() if saved is None else self._accumulation.taking(saved)
            self._plan.make([*self._plan.replacing(slots), *copying, count, partial(stays.append, None)])
            self._plan.settle()

    @in_turn
    def _snapshot(self) -> tuple[dict[str, list[Any]], dict[str, Any], list[str], list[str]]:
        """Copies of the states, all else, and what the parameters are called and are."""
        return self._copied(), self._exported(), list(self._structure.labels("params")), self._kinds()

    def _kinds(self) -> list[str]:
        return [f"{view.dtype.name} {tuple(view.shape)}" for view in self._views]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes `state_dict()` to a safetensors file, whole or not at all; parameters are not in it.

        What is written is copied before: another thread may step meanwhile.
        """
        checkpoint.save(*self._snapshot(), path)

    def load(self, path: str | os.PathLike[str], *, convert: bool = False) -> None:
        """Takes over what `save` wrote; `convert` as in `load_state_dict`.

        Raises TypeError or ValueError, with nothing changed, for a file that does not fit.
        """
        found = checkpoint.load(path, list(self._structure.labels("params")), self._kinds(), FLAG.checked(convert, "convert"))
        restored = {name: self._structure.restore(values) for name, values in found["state"].items()}
        self.load_state_dict({**found, "state": restored}, convert=convert)

    @in_turn
    def __getstate__(self) -> dict[str, Any]:
        # addresses are of this process and of these arrays: a copy is laid out anew
        return {
            "params": self._params,
            "structure": self._structure,
            "grouped": self._grouped,
            "rule": self._shares[0].rule,
            "given": self._given,
            "groups": [(share.positions, share.values) for share in self._shares],
            "options": {
                "max_norm": self._max_norm,
                "accumulate": self._accumulate,
                "nonfinite": self._nonfinite,
                "backend": self._asked_for,  # what "auto" takes is for the process to say that the copy lives in
                "num_threads": self._num_threads,
            },
            "added": {name: value for name, value in self.__dict__.items() if not name.startswith("_")},
            "state_dict": {**self._exported(), "state": self._copied()},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._family, self._given = type(self).family or Family.of(state["rule"]), state["given"]
        self._build(state["structure"], state["params"], state["groups"], state["grouped"], **state["options"])
        self.__dict__.update(state["added"])
        flat = state["state_dict"]["state"]
        self._take({**state["state_dict"], "state": {name: self._structure.restore(values) for name, values in flat.items()}})
