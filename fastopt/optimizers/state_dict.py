"""Everything a run needs to go on, as a dictionary: taken from an optimizer, and checked as a whole before one takes it over.

steps    how many were made
groups   of each group its rule, all its arguments (a schedule as `Schedule.to_dict` gives it), and the positions of its parameters
slots    for the parameters at these positions: how many steps they made, and what the scalars of their rule remember
state    each state by name, in the structure of the parameters (None where a parameter's rule has none of that name)

and, in the middle of gradients that are summed up (`fastopt.optimizers.accumulation`), `accumulated`: how many there were, what they are
multiplied by; their sums are the state `grad_sum`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fastopt import arguments
from fastopt.host import arrays
from fastopt.kernel import Kernel
from fastopt.memory import Memory
from fastopt.optimizers import converted, scheduled
from fastopt.optimizers.shares import STORAGE, Share
from fastopt.slots import Slot
from fastopt.structure import Structure

__all__ = ["Checked", "checked", "export", "names"]

KEYS = ("steps", "groups", "slots", "state")
LATER = {"clip_value": None, "ema_decay": None, "flush_denormals": False, "zero_grads": False}
"""Arguments that every group has, and what those come to that were saved before there were any."""

ADDED = ("stochastic_rounding", "narrow_from", "master_bits")
"""Arguments of storage that came later: what was saved before has those of whoever takes it over."""

MOST_STEPS = 2**62
"""More than anybody can make; from there on as many again can be counted in 64 bits."""


@dataclass(frozen=True)
class Checked:
    """A dictionary that fits: steps, of each group its arguments, of each parameter its steps and memory, and each state by name."""

    steps: int
    values: list[dict[str, Any]]
    steps_of: list[int]
    memory_of: list[tuple[float, ...]]
    states: dict[str, list[Any]]


def _steps(value: Any, label: str) -> int:
    """A number of steps that can be counted on."""
    steps = arguments.whole_number(value, label, 0)
    if steps > MOST_STEPS:
        raise ValueError(f"{label}: expected at most 2^62 steps, received {steps}")
    return steps


def names(kernels: Sequence[Kernel]) -> list[str]:
    """The states that there are of any parameter, and then the scales."""
    every = dict.fromkeys(kernels)
    return list(dict.fromkeys([*(name for kernel in every for name in kernel.states), *(name for kernel in every for name in kernel.held)]))


def flat(kernels: Sequence[Kernel], states: Sequence[Sequence[Any]], memory: Memory) -> dict[str, list[NDArray[Any] | None]]:
    """Each state by name as copies in host memory, one for each parameter."""
    found: dict[str, list[NDArray[Any] | None]] = {name: [None] * len(states) for name in names(kernels)}
    for i, kernel in enumerate(kernels):
        for name, state in zip(kernel.held, states[i], strict=True):
            found[name][i] = memory.to_host(state)
    return found


def export(steps: int, shares: Sequence[Share], slots: Sequence[Slot]) -> dict[str, Any]:
    """All but the states."""
    groups = [{"rule": share.rule.name, **scheduled.saved(share.values), "params": list(share.positions)} for share in shares]
    by_slot: dict[tuple[Any, ...], list[int]] = {}
    for i, slot in enumerate(slots):
        by_slot.setdefault((slot.steps, tuple(slot.rule.memory), slot.memory), []).append(i)
    kept = [
        {"steps": made, "memory": dict(zip(remembered, values, strict=True)), "params": positions}
        for (made, remembered, values), positions in by_slot.items()
    ]
    return {"steps": steps, "groups": groups, "slots": kept}


def checked(
    given: Any, shares: Sequence[Share], kernels: Sequence[Kernel], states: Sequence[Sequence[Any]], structure: Structure, convert: bool
) -> Checked:
    """What a dictionary holds. Raises TypeError or ValueError for one of another rule, structure, shape or dtype."""
    if not isinstance(given, Mapping) or set(given) != set(KEYS):
        raise ValueError(f"state_dict: expected a mapping with {', '.join(KEYS)}; received {_keys(given)}")
    steps = _steps(given["steps"], "state_dict['steps']")
    values = _groups(given["groups"], shares, convert)
    steps_of, memory_of = _slots(given["slots"], shares, len(states))
    return Checked(steps, values, steps_of, memory_of, _states(given["state"], kernels, states, structure, convert))


def _groups(given: Any, shares: Sequence[Share], convert: bool) -> list[dict[str, Any]]:
    if not isinstance(given, Sequence) or len(given) != len(shares):
        raise ValueError(f"state_dict['groups']: expected {len(shares)} groups, received {_count(given)}")
    found = []
    for k, (group, share) in enumerate(zip(given, shares, strict=True)):
        label = f"state_dict['groups'][{k}]"
        expected = {"rule", "params", *share.values}
        if isinstance(group, Mapping):
            group = {**LATER, **{name: share.values[name] for name in ADDED}, **group}
        if isinstance(group, Mapping) and group.get("rule", share.rule.name) != share.rule.name:
            raise ValueError(f"{label}['rule']: expected {share.rule.name!r}, received {group['rule']!r}")
        if not isinstance(group, Mapping) or set(group) != expected:
            raise ValueError(f"{label}: expected a mapping with {', '.join(sorted(expected))}; received {_keys(group)}")
        if list(group["params"]) != share.positions:
            raise ValueError(f"{label}['params']: expected the positions of its {len(share.positions)} parameters, received others")
        own = {name: share.values[name] for name in STORAGE}
        for name in () if convert else STORAGE:
            if group[name] != own[name]:
                hint = "" if name == "grad_dtype" else "; convert=True takes states of another storage"
                raise ValueError(f"{label}[{name!r}]: expected {own[name]!r}, received {group[name]!r}{hint}")
        found.append(scheduled.taken_back({name: group[name] for name in share.values} | own, label))
    return found


def _slots(given: Any, shares: Sequence[Share], count: int) -> tuple[list[int], list[tuple[float, ...]]]:
    label = "state_dict['slots']"
    remembered: list[tuple[str, ...]] = [()] * count
    for share in shares:
        for i in share.positions:
            remembered[i] = tuple(share.rule.memory)
    steps_of, memory_of = [-1] * count, [()] * count  # type: tuple[list[int], list[tuple[float, ...]]]
    if not isinstance(given, Sequence):
        raise TypeError(f"{label}: expected a sequence, received {type(given).__name__}")
    for k, slot in enumerate(given):
        if not isinstance(slot, Mapping) or set(slot) != {"steps", "memory", "params"} or not isinstance(slot["memory"], Mapping):
            raise ValueError(f"{label}[{k}]: expected a mapping with steps, memory, params; received {_keys(slot)}")
        made = _steps(slot["steps"], f"{label}[{k}]['steps']")
        for i in slot["params"]:
            if not isinstance(i, int) or not 0 <= i < count or steps_of[i] >= 0:
                raise ValueError(f"{label}[{k}]['params']: expected positions of parameters, each once; received {i!r}")
            if set(slot["memory"]) != set(remembered[i]):
                raise ValueError(f"{label}[{k}]['memory']: expected {list(remembered[i])}, received {list(slot['memory'])}")
            steps_of[i] = made
            memory_of[i] = tuple(arguments.real(slot["memory"][name], f"{label}[{k}]['memory'][{name!r}]") for name in remembered[i])
    if -1 in steps_of:
        raise ValueError(f"{label}: expected the steps of every parameter, received none for the one at {steps_of.index(-1)}")
    return steps_of, memory_of


def _states(
    given: Any, kernels: Sequence[Kernel], states: Sequence[Sequence[Any]], structure: Structure, convert: bool
) -> dict[str, list[Any]]:
    expected = names(kernels)
    if convert and isinstance(given, Mapping):
        given = converted.states(given, kernels, states, structure)
    if not isinstance(given, Mapping) or set(given) != set(expected):
        raise ValueError(f"state_dict['state']: expected a mapping with {expected}; received {_keys(given)}")
    found = {name: structure.flatten(given[name], f"state_dict['state'][{name!r}]") for name in expected}
    for i, kernel in enumerate(kernels):
        for name in expected:
            label = structure.label(i, f"state_dict['state'][{name!r}]")
            value = found[name][i]
            if name not in kernel.held:
                if value is not None:
                    raise ValueError(f"{label}: expected None, as rule {kernel.rule.name!r} has no such state; received an array")
                continue
            own = states[i][kernel.held.index(name)]
            arrays.copied_from(value, label, own, structure.label(i, "params"))
    return found


def _keys(value: Any) -> str:
    return str(list(value)) if isinstance(value, Mapping) else type(value).__name__


def _count(value: Any) -> str:
    return str(len(value)) if isinstance(value, Sequence) else type(value).__name__
