"""Calls that are to be refused, in a documented exception, with everything left as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import fastopt
from tests.attack.arrays import filled, like

if TYPE_CHECKING:
    from tests.attack.calls import Calls

__all__ = ["CALLS", "DOCUMENTED"]

DOCUMENTED = (TypeError, ValueError, AttributeError)

Attempt = Callable[[], Any] | None
Call = Callable[["Calls", str, np.random.Generator], Attempt]


def _grads(machine: Calls) -> list[Any]:
    return [filled(like(t.p), np.ones(t.p.shape)) for t in machine.model.tensors]


def _one(machine: Calls, rng: np.random.Generator, wanted: Callable[[Any], bool] = lambda p: True) -> int | None:
    """The position of a parameter that is as wanted."""
    fits = [i for i, t in enumerate(machine.model.tensors) if wanted(t.p)]
    return fits[int(rng.integers(len(fits)))] if fits else None


def _instead(change: Callable[[Any, Any], Any], wanted: Callable[[Any], bool] = lambda p: True) -> Call:
    """A step in which the gradient of one parameter is another thing: `change(gradient, parameter)`."""

    def call(machine: Calls, backend: str, rng: np.random.Generator) -> Attempt:
        i = _one(machine, rng, wanted)
        if i is None:
            return None
        grads = _grads(machine)
        grads[i] = change(grads[i], machine.params[backend][i])
        opt = machine.opts[backend]
        return lambda: opt.step(machine._structured(grads))

    return call


def _wide(p: Any) -> bool:
    return p.ndim > 1 and min(p.shape) > 1


def _other_dtype(g: Any, p: Any) -> Any:
    return g.astype(np.float64 if g.dtype == np.float32 else np.float32)


def _strided(g: Any, p: Any) -> Any:
    return np.zeros((*g.shape, 2), g.dtype)[..., 0]


STRANGE: dict[str, Call] = {
    "a shape": _instead(lambda g, p: np.ones((*g.shape, 2), g.dtype)),
    "a dtype": _instead(_other_dtype),
    "integers": _instead(lambda g, p: g.astype(np.int64)),
    "the other byte order": _instead(lambda g, p: g.astype(g.dtype.newbyteorder()), lambda p: p.dtype in (np.float32, np.float64)),
    "a list": _instead(lambda g, p: g.tolist(), lambda p: p.ndim > 0),
    "a word": _instead(lambda g, p: "gradient"),
    "a number": _instead(lambda g, p: 1.0),
    "strides": _instead(_strided, lambda p: p.size > 1),
    "another layout": _instead(lambda g, p: np.ascontiguousarray(g.T).T if p.flags.c_contiguous else np.ascontiguousarray(g), _wide),
    "the parameter itself": _instead(lambda g, p: p, lambda p: p.size > 0),
    "a part of the parameter": _instead(lambda g, p: p[...], lambda p: p.size > 0),
}


def _whole(change: Callable[[Calls, list[Any]], Any]) -> Call:
    """A step with gradients in another structure: `change(machine, gradients)`."""

    def call(machine: Calls, backend: str, rng: np.random.Generator) -> Attempt:
        given = change(machine, _grads(machine))
        return None if given is _DOES_NOT_APPLY else lambda: machine.opts[backend].step(given)

    return call


_DOES_NOT_APPLY = object()


def _without_a_name(machine: Calls, grads: list[Any]) -> Any:
    whole = machine._structured(grads)
    if not isinstance(whole, dict):
        return _DOES_NOT_APPLY
    whole.popitem()
    return whole


STRUCTURES: dict[str, Call] = {
    "one too many": _whole(lambda m, g: [*m._structured(g), g[0]] if isinstance(m._structured(g), list) else _DOES_NOT_APPLY),
    "one too few": _whole(lambda m, g: m._structured(g)[:-1] if isinstance(m._structured(g), list) else _DOES_NOT_APPLY),
    "a name less": _whole(_without_a_name),
    "a name more": _whole(lambda m, g: {**m._structured(g), "more": g[0]} if isinstance(m._structured(g), dict) else _DOES_NOT_APPLY),
    "no structure": _whole(lambda m, g: None if m.kinds != ["array"] else _DOES_NOT_APPLY),
    "another structure": _whole(lambda m, g: {"x": g} if isinstance(m._structured(g), list | np.ndarray) else [g]),
}


def _of_opt(work: Callable[[Any], Any]) -> Call:
    return lambda machine, backend, rng: lambda: work(machine.opts[backend])


def _set(name: str, value: Any) -> Call:
    return _of_opt(lambda opt: setattr(opt, name, value))


ARGUMENTS: dict[str, Call] = {
    **{f"lr {value!r}": _of_opt(lambda opt, v=value: opt.configure(lr=v)) for value in (-1.0, float("nan"), float("inf"), "x", None, True)},
    **{f"weight_decay {value!r}": _set("weight_decay", value) for value in (-1.0, float("nan"), [1.0])},
    "no such argument": _of_opt(lambda opt: opt.configure(learning_speed=1.0)),
    "no such attribute": _set("learning_rate", 0.5),
    "a truthy flag": _set("maximize", 1),
    "one bad among good": _of_opt(lambda opt: opt.configure(lr=0.125, weight_decay=-1.0)),
    "a group's": _of_opt(lambda opt: opt.groups[0].configure(lr=-1.0)),
    "a group's unknown": _of_opt(lambda opt: setattr(opt.groups[0], "speed", 1.0)),
    "lr set to nan": _set("lr", float("nan")),
}


def _step_with(**options: Any) -> Call:
    return lambda machine, backend, rng: lambda: machine.opts[backend].step(machine._structured(_grads(machine)), **options)


SCALES: dict[str, Call] = {
    **{f"grad_scale {v!r}": _step_with(grad_scale=v) for v in (0.0, -1.0, float("nan"), float("inf"), "x")},
    **{f"step's max_norm {v!r}": _step_with(max_norm=v) for v in (0.0, -1.0, float("nan"), "x")},
    "a stream": _step_with(stream=1),
}


def _loads(change: Callable[[dict[str, Any]], Any]) -> Call:
    """A state that was changed: `change(state_dict)` in place, or what it answers."""

    def call(machine: Calls, backend: str, rng: np.random.Generator) -> Attempt:
        opt = machine.opts[backend]
        kept = opt.state_dict()
        try:
            other = change(kept)
        except (KeyError, IndexError):
            return None
        return lambda: opt.load_state_dict(kept if other is None else other)

    return call


def _without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda kept: kept.__delitem__(key)


def _first_state(kept: dict[str, Any], change: Callable[[Any], Any]) -> None:
    name = next(iter(kept["state"]), None)
    if name is None:
        raise KeyError
    kept["state"][name] = change(kept["state"][name])


STATES: dict[str, Call] = {
    **{f"a state without {key}": _loads(_without(key)) for key in ("steps", "groups", "slots", "state")},
    "a state of words": _loads(lambda kept: "state"),
    "steps before the first": _loads(lambda kept: kept.update(steps=-1)),
    "half a step": _loads(lambda kept: kept.update(steps=0.5)),
    "steps beyond counting": _loads(lambda kept: kept.update(steps=2**62 + 1)),
    "another rule's": _loads(lambda kept: kept["groups"][0].update(rule="nosuch")),
    "a group too many": _loads(lambda kept: kept["groups"].append(kept["groups"][0])),
    "no slots": _loads(lambda kept: kept.update(slots=[])),
    "an argument less": _loads(lambda kept: kept["groups"][0].__delitem__("lr")),
    "an argument of nothing": _loads(lambda kept: kept["groups"][0].update(lr=None)),
    "states of another structure": _loads(lambda kept: _first_state(kept, lambda own: {"x": own})),
    "a state of integers": _loads(lambda kept: _first_state(kept, lambda own: 7)),
    "a file that is not there": _of_opt(lambda opt: opt.load_state_dict(None)),
}


def _group(change: Callable[[Calls, str], Any]) -> Call:
    return lambda machine, backend, rng: lambda: machine.opts[backend].add_param_group(change(machine, backend))


GROUPS: dict[str, Call] = {
    "a group without params": _group(lambda m, b: {"lr": 0.5}),
    "a group of words": _group(lambda m, b: {"params": "words"}),
    "a group with a bad lr": _group(lambda m, b: {"params": np.ones(3), "lr": -1.0}),
    "a group with what there is not": _group(lambda m, b: {"params": np.ones(3), "speed": 1.0}),
    "integers as parameters": _group(lambda m, b: {"params": np.arange(3)}),
    "parameters that are read-only": _group(lambda m, b: {"params": np.frombuffer(bytes(24))}),
    "parameters that are there": lambda machine, backend, rng: (
        None if not machine.params[backend][0].size else _group(lambda m, b: {"params": m.params[b][0]})(machine, backend, rng)
    ),
}


def _built(**options: Any) -> Call:
    return lambda machine, backend, rng: lambda: fastopt.Optimizer(np.ones(3), machine.rule_name, **{"backend": backend, **options})


OTHERS: dict[str, Call] = {
    "a backend": _built(backend="abacus"),
    "threads": _built(num_threads=0),
    "a policy": _built(nonfinite="ignore"),
    "a max_norm": _built(max_norm=-1.0),
    "patterns for a list": _built(groups={"*": {}}),
    "too few arrays": lambda m, b, rng: lambda: getattr(fastopt.functional, m.rule_name)(np.ones(3), step=1, backend=b),
    "step 0": lambda m, b, rng: (
        lambda: getattr(fastopt.functional, m.rule_name)(
            *(np.ones(3) for _ in range(2 + len(fastopt.RULES[m.rule_name].states))), step=0, backend=b
        )
    ),
    "advance": _of_opt(lambda opt: opt.advance()),
}

CALLS: list[tuple[str, Call]] = [
    (name, call) for calls in (STRANGE, STRUCTURES, ARGUMENTS, SCALES, STATES, GROUPS, OTHERS) for name, call in calls.items()
]
