"""The decorator that enters a rule, or several forms of one, in the table.

A rule is one scalar function and one entry beside it. Every backend, the cross-checks, the benchmarks and the command
line walk `RULES`; nothing else has to be told about a new one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from keyword import iskeyword
from typing import Any

from fastopt.rules.domain import FLAG, NON_NEGATIVE, UNIT, Hyperparameter, HyperparameterValue, Interval
from fastopt.rules.language import parse
from fastopt.rules.options import Decision
from fastopt.rules.update import COPY, RULES, Copy, Rule, bound, find, once_for_each, options_of

__all__ = [
    "COPY",
    "FLAG",
    "MOST_SCALARS",
    "NON_NEGATIVE",
    "PROLOGUE_SCALARS",
    "RULES",
    "UNIT",
    "Form",
    "Hyperparameter",
    "HyperparameterValue",
    "Interval",
    "Rule",
    "find",
    "once_for_each",
    "rule",
]

MOST_SCALARS, PROLOGUE_SCALARS = 62, 2
"""How many a rule may take, and how many come with what precedes every rule; the compiled launcher has room for those of stages too."""

RESERVED = (
    *("step", "lr", "weight_decay", "decoupled_weight_decay", "maximize", "clip_value", "ema_decay", "flush_denormals", "zero_grads"),
    "grad_scale",
    *("nonfinite", "backend", "num_threads"),
)
"""What a hyperparameter cannot be called: every step or optimizer takes these itself."""

Scalars = Callable[..., tuple[Any, ...]]
States = tuple[str, ...] | Mapping[str, float | str | Copy]


class Form:
    """One form of a rule: which of its options are on, and what differs from what the decorator says of all forms.

    An option is a keyword-only parameter of the scalar function, which is folded away, or a parameter of `scalars`, or both.
    """

    def __init__(
        self,
        *options: str,
        equation: str,
        hyperparameters: Mapping[str, Hyperparameter | HyperparameterValue] | None = None,
        source: str | None = None,
        default_lr: float | None = None,
    ) -> None:
        self.options, self.equation = options, equation
        self.hyperparameters, self.source, self.default_lr = hyperparameters, source, default_lr


def rule(
    *,
    states: States = (),
    hyperparameters: Mapping[str, Hyperparameter | HyperparameterValue] | None = None,
    scalars: Scalars | None = None,
    equation: str = "",
    source: str = "",
    default_lr: float | None = None,
    reference: Callable[..., tuple[object, ...]] | None = None,
    memory: Mapping[str, float] | None = None,
    non_negative: tuple[str, ...] = (),
    forms: Mapping[str, Form] | None = None,
) -> Callable[[Callable[..., tuple[float, ...]]], Rule]:
    """Enters a scalar function into the table of rules; used as a decorator, it leaves a `Rule` under the function's name.

        @fastopt.rule(states=("m",), hyperparameters={"beta": 0.9}, scalars=lambda step, lr, beta: (lr, beta, 1 - beta))
        def sign_momentum(p, g, m, lr, beta, one_minus_beta):
            m = beta * m + one_minus_beta * g
            return p - lr * sign(m), m

        fastopt.Optimizer(params, rule=sign_momentum, lr=1e-3)

    Parameters are those of `Rule`; a bare number as a hyperparameter is a default that may be any finite number >= 0, and a bare
    True or False is a flag. Without `scalars`, the function's scalar parameters must be named `lr` or like hyperparameters, and
    get their values. `states` may be a mapping from names to initial values: a number, a hyperparameter's name, or `COPY`.
    `memory` names scalars that the host carries from step to step, and their first values; `non_negative`, states that are never below 0.

    With `forms`, each enters a rule under its own name; the first is named as the function, and is what the decorator leaves. The
    function's keyword-only parameters are their options (see `fastopt.rules.options`).

    Raises ValueError if the function is not in the language of rules, does not return the parameter and each state,
    or disagrees with `states` and `scalars`; also if a rule of the package itself has that name.
    """
    initial = dict(states) if isinstance(states, Mapping) else dict.fromkeys(states, 0.0)
    unknown = [name for name in non_negative if name not in initial]

    def enter(update: Callable[..., tuple[float, ...]]) -> Rule:
        if unknown:
            raise ValueError(f"rule {update.__name__!r}: non_negative: expected states ({', '.join(initial)}), received {unknown[0]!r}")
        own = options_of(update)
        named = _forms(update.__name__, own, forms, equation)
        every = dict.fromkeys((*own, *(option for form in named.values() for option in form.options)))
        met: set[Decision] = set()
        entries = []
        for name, form in named.items():
            options = {option: option in form.options for option in every}
            function = parse(update, {option: options[option] for option in own})
            met |= function.options_met
            kept = tuple(state for state in initial if state in function.parameters or not own)
            declared = _declared(hyperparameters if form.hyperparameters is None else form.hyperparameters)
            made = scalars or _scalars_by_name(name, function.parameters[2 + len(kept) :], tuple(declared))
            entry = Rule(
                name=name,
                update=update,
                states=kept,
                hyperparameters=declared,
                scalars=_with_options(made, options, own, name, 2 + len(memory or {})),
                equation=form.equation,
                source=source if form.source is None else form.source,
                default_lr=default_lr if form.default_lr is None else form.default_lr,
                reference=reference,
                options=options,
                text_states=tuple(initial),
                initial_values={state: value for state, value in initial.items() if state in kept and value != 0.0},
                memory=dict(memory or {}),
                non_negative=tuple(state for state in kept if state in non_negative),
            )
            _check(entry)
            entries.append(entry)
        _check_both_ways(update.__name__, met)
        RULES.update((entry.name, entry) for entry in entries)
        return entries[0]

    return enter


def _forms(name: str, own: tuple[str, ...], forms: Mapping[str, Form] | None, equation: str) -> Mapping[str, Form]:
    if forms is None:
        if own:
            raise ValueError(f"rule {name!r}: expected `forms=`, which settle its options ({', '.join(own)}); received none")
        return {name: Form(equation=equation)}
    if next(iter(forms), None) != name:
        raise ValueError(f"rule {name!r}: expected a first form of the function's name, received forms {list(forms)}")
    return forms


def _declared(given: Mapping[str, Hyperparameter | HyperparameterValue] | None) -> dict[str, Hyperparameter]:
    return {
        name: value if isinstance(value, Hyperparameter) else Hyperparameter(value, FLAG if isinstance(value, bool) else NON_NEGATIVE)
        for name, value in (given or {}).items()
    }


def _with_options(scalars: Scalars, options: Mapping[str, bool], own: tuple[str, ...], name: str, free: int) -> Scalars:
    if not options:
        return scalars
    taken = {option: on for option, on in options.items() if option in inspect.signature(scalars).parameters}
    for option in options:
        if option not in taken and option not in own:
            raise ValueError(f"rule {name!r}: the option {option!r} is no keyword-only parameter of the function and none of `scalars`")
    return bound(scalars, taken, free)


def _scalars_by_name(rule_name: str, names: tuple[str, ...], declared: tuple[str, ...]) -> Scalars:
    unknown = [name for name in names if name != "lr" and name not in declared]
    if unknown:
        raise ValueError(
            f"rule {rule_name!r}: the scalar {unknown[0]!r} is neither `lr` nor a hyperparameter ({', '.join(declared) or 'none'}); "
            "give `scalars=`, the function that computes the scalars of a step"
        )
    for name in declared:
        _check_name(rule_name, name)
    # a function with these very parameters: called in their order it takes a third of the time that names take
    made: Scalars = eval(f"lambda {', '.join(('step', 'lr', *declared))}: ({''.join(name + ', ' for name in names)})")
    return made


def _check_name(rule_name: str, name: str) -> None:
    if not name.isidentifier() or iskeyword(name):
        raise ValueError(f"rule {rule_name!r}: expected a name as the hyperparameter's, received {name!r}")
    if name in RESERVED:
        raise ValueError(f"rule {rule_name!r}: every step or optimizer has an argument {name!r}; call the hyperparameter something else")


def _check_both_ways(name: str, met: set[Decision]) -> None:
    """A test that always comes out one way leaves text that no form has, and nobody has looked at."""
    for line, test, value in sorted(met):
        if (line, test, not value) not in met:
            raise ValueError(
                f"rule {name!r}, line {line}: `{test}` is {value} in every form that comes there; expected one where it is not"
            )


def _check(entry: Rule) -> None:
    function, states = entry.function, entry.states
    if function.parameters[: 2 + len(states)] != ("p", "g", *states):
        raise ValueError(
            f"rule {entry.name!r}: expected the parameters (p, g, {''.join(s + ', ' for s in states)}then scalars), "
            f"received ({', '.join(function.parameters)})"
        )
    if len(function.results) != 1 + len(states):
        raise ValueError(
            f"rule {entry.name!r}: expected {1 + len(states)} results (p{''.join(', ' + s for s in states)}), "
            f"received {len(function.results)}; a single result is written `return (p,)`"
        )
    results = {f"new_{name}" for name in ("p", *states)}
    for name in (*function.parameters, *(name for name, _ in function.assignments)):
        if name in results:
            raise ValueError(f"rule {entry.name!r}: the name {name!r} is what compiled kernels call a result; rename it")
    for name, _ in function.assignments:
        if name in entry.scalar_names:  # kernels read a scalar once, before the first element
            raise ValueError(f"rule {entry.name!r}: the scalar {name!r} is the same for every element; assign to another name")
    if len(entry.scalar_names) > MOST_SCALARS:
        raise ValueError(f"rule {entry.name!r}: expected at most {MOST_SCALARS} scalars, received {len(entry.scalar_names)}")
    for name, hyperparameter in entry.hyperparameters.items():
        _check_name(entry.name, name)
        hyperparameter.checked(hyperparameter.default, f"rule {entry.name!r}: the default of {name!r}")
    for state, value in entry.initial_values.items():
        if isinstance(value, str) and value not in entry.hyperparameters:
            raise ValueError(f"rule {entry.name!r}: {state!r} begins as {value!r}, which is no hyperparameter of it")
    _check_scalars(entry)
    present = RULES.get(entry.name)
    if present is not None and present.update.__module__.startswith("fastopt."):
        raise ValueError(f"rule {entry.name!r}: the package has a rule of this name; give the function another")


def _check_scalars(entry: Rule) -> None:
    values = entry.scalars(1, 1.0, *entry.memory.values(), **entry.defaults)
    if entry.memory:
        if len(values) != 2 or not isinstance(values[0], tuple) or not isinstance(values[1], tuple) or len(values[1]) != len(entry.memory):
            raise ValueError(f"rule {entry.name!r}: expected of `scalars` (the scalars, the new values of {', '.join(entry.memory)})")
        values = values[0]
    if len(values) != len(entry.scalar_names):
        raise ValueError(
            f"rule {entry.name!r}: `scalars` returned {len(values)} values, the scalar function takes "
            f"{len(entry.scalar_names)} ({', '.join(entry.scalar_names)})"
        )
