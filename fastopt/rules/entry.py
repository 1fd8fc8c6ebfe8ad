"""The table of rules: what a rule is, and the decorator that enters one.

A rule is one scalar function and one entry beside it. Every backend, the cross-checks, the benchmarks and the command
line walk `RULES`; nothing else has to be told about a new one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial, wraps
from importlib import import_module
from keyword import iskeyword
from types import FunctionType
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from fastopt.rules.language import ScalarFunction, parse

__all__ = [
    "NON_NEGATIVE",
    "RULES",
    "UNIT",
    "Hyperparameter",
    "HyperparameterValue",
    "Interval",
    "Rule",
    "find",
    "once_for_each_rule",
    "rule",
]

HyperparameterValue = float | tuple[float, ...]


@dataclass(frozen=True)
class Interval:
    """The values that a hyperparameter may take, from `low` on, up to `high`, which is included or not."""

    low: float
    high: float
    high_included: bool = False

    def __contains__(self, value: float) -> bool:
        return math.isfinite(value) and self.low <= value and (value < self.high or (self.high_included and value == self.high))

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"a finite number >= {self.low:g}"
        return f"a number in [{self.low:g}, {self.high:g}{']' if self.high_included else ')'}"


MOST_SCALARS, PROLOGUE_SCALARS = 62, 2
"""How many a rule may take, and how many come with what precedes every rule: the compiled launcher has room for both, 64."""

UNIT = Interval(0.0, 1.0)
NON_NEGATIVE = Interval(0.0, math.inf)


@dataclass(frozen=True)
class Hyperparameter:
    """A default value (one number, or a fixed number of them) and where each number must lie."""

    default: HyperparameterValue
    interval: Interval = NON_NEGATIVE


@dataclass(frozen=True, eq=False)  # a rule equals itself alone, and so can be the key of a cache
class Rule:
    """An update rule: the scalar function, and all that the backends and the tools around them need to know of it.

    Attributes
    ----------
    name
        Under which it stands in `RULES`; the scalar function's name.
    update
        The scalar function `(p, g, *states, *scalars) -> (p, *states)`, in the language of `fastopt.rules.language`.
    states
        Names of the state arrays, each of the parameter's shape and dtype, zero before the first step.
    hyperparameters
        What the user sets besides the learning rate.
    scalars
        `(step, lr, **hyperparameters) -> tuple of float64`, in the order of the scalar function's last parameters.
        `step` counts from 1. Runs once a step on the host; each value is cast once to the compute dtype.
    equation, source
        The formula as a person writes it, and where it comes from.
    default_lr
        The learning rate when the user gives none; None where one must be given.
    reference
        For a rule outside the package: the same formula as vectorized NumPy,
        `(p, g, *states, *, step, lr, **hyperparameters) -> (p, *states)`. The package's own stand in
        `fastopt.reference` and know nothing of this table.
    derived
        What others have worked out of the rule and keep with it (see `once_for_each_rule`).
    """

    name: str
    update: Callable[..., tuple[float, ...]]
    states: tuple[str, ...] = ()
    hyperparameters: Mapping[str, Hyperparameter] = field(default_factory=dict)
    scalars: Callable[..., tuple[float, ...]] = lambda step, lr: (lr,)
    equation: str = ""
    source: str = ""
    default_lr: float | None = None
    reference: Callable[..., tuple[object, ...]] | None = None
    derived: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, *values: float) -> tuple[float, ...]:
        """Applies the scalar function to Python floats."""
        return self.update(*values)

    @cached_property
    def function(self) -> ScalarFunction:
        """The scalar function's text, parsed and checked."""
        return parse(self.update)

    def scalars_with(self, hyperparameters: Mapping[str, HyperparameterValue]) -> Callable[[int, float], tuple[float, ...]]:
        """`scalars` of `(step, lr)` alone: the hyperparameters have become defaults of its parameters.

        To hand them over by name at each step takes a tenth of a small step's time.
        """
        function, values = self.scalars, tuple(hyperparameters.values())
        if isinstance(function, FunctionType) and not function.__kwdefaults__:
            code = function.__code__
            names = code.co_varnames[2 : code.co_argcount]
            if code.co_argcount == 2 + len(values) and names == tuple(hyperparameters) and not code.co_kwonlyargcount:
                return FunctionType(code, function.__globals__, function.__name__, values, function.__closure__)
        return partial(function, **hyperparameters)

    @property
    def scalar_names(self) -> tuple[str, ...]:
        """The scalar function's parameters after p, g and the states."""
        return self.function.parameters[2 + len(self.states) :]

    @cached_property
    def defaults(self) -> dict[str, HyperparameterValue]:
        """The default value of each hyperparameter."""
        return {name: hyperparameter.default for name, hyperparameter in self.hyperparameters.items()}

    def bytes_per_parameter(self, itemsize: int) -> int:
        """The least memory traffic of a step: p, g and the states read once; p and the states written once."""
        return (3 + 2 * len(self.states)) * itemsize

    def __reduce__(self) -> tuple[Any, ...]:
        # by name: a rule holds functions, and the module that holds them has the rule under the scalar function's name
        return _found_again, (self.update.__module__, self.name)

    def __copy__(self) -> Rule:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Rule:
        return self


P = ParamSpec("P")
T = TypeVar("T")


def once_for_each_rule(derive: Callable[Concatenate[Rule, P], T]) -> Callable[Concatenate[Rule, P], T]:
    """Derives something of a rule and other arguments once, and keeps it with the rule: those made in a loop do not pile up."""

    @wraps(derive)
    def derived(rule: Rule, *arguments: P.args, **options: P.kwargs) -> T:
        key = (derive, *arguments, *options.items())
        if key not in rule.derived:
            rule.derived[key] = derive(rule, *arguments, **options)
        return cast("T", rule.derived[key])

    return cast("Callable[Concatenate[Rule, P], T]", derived)


RULES: dict[str, Rule] = {}
"""Every rule known, by name: the package's own, and those that the user added with `fastopt.rule`."""


def find(name: str | Rule) -> Rule:
    """The rule of that name; a Rule is its own answer. Raises ValueError listing the names there are."""
    if isinstance(name, Rule):
        return name
    if not isinstance(name, str):
        raise TypeError(f"rule: expected a name or the result of fastopt.rule, received {type(name).__name__}")
    if name not in RULES:
        raise ValueError(f"rule: expected one of {', '.join(RULES)}; received {name!r}")
    return RULES[name]


def _found_again(module: str, name: str) -> Rule:
    """The rule that another process pickled; importing the module that defines it enters it in the table."""
    if name not in RULES:
        import_module(module)
    return find(name)


def rule(
    *,
    states: tuple[str, ...] = (),
    hyperparameters: Mapping[str, Hyperparameter | HyperparameterValue] | None = None,
    scalars: Callable[..., tuple[float, ...]] | None = None,
    equation: str = "",
    source: str = "",
    default_lr: float | None = None,
    reference: Callable[..., tuple[object, ...]] | None = None,
) -> Callable[[Callable[..., tuple[float, ...]]], Rule]:
    """Enters a scalar function into the table of rules; used as a decorator, it leaves a `Rule` under the function's name.

        @fastopt.rule(states=("m",), hyperparameters={"beta": 0.9}, scalars=lambda step, lr, beta: (lr, beta, 1 - beta))
        def sign_momentum(p, g, m, lr, beta, one_minus_beta):
            m = beta * m + one_minus_beta * g
            return p - lr * sign(m), m

        fastopt.Optimizer(params, rule=sign_momentum, lr=1e-3)

    Parameters are those of `Rule`; a bare number as a hyperparameter is a default that may be any finite number >= 0.
    Without `scalars`, the function's scalar parameters must be named `lr` or like hyperparameters, and get their values.

    Raises ValueError if the function is not in the language of rules, does not return the parameter and each state,
    or disagrees with `states` and `scalars`; also if a rule of the package itself has that name.
    """
    declared = {
        name: value if isinstance(value, Hyperparameter) else Hyperparameter(value) for name, value in (hyperparameters or {}).items()
    }

    def enter(update: Callable[..., tuple[float, ...]]) -> Rule:
        function = parse(update)
        names = function.parameters[2 + len(states) :]
        entry = Rule(
            name=update.__name__,
            update=update,
            states=tuple(states),
            hyperparameters=declared,
            scalars=scalars or _scalars_by_name(update.__name__, names, tuple(declared)),
            equation=equation,
            source=source,
            default_lr=default_lr,
            reference=reference,
        )
        _check(entry)
        present = RULES.get(entry.name)
        if present is not None and present.update.__module__.startswith("fastopt."):
            raise ValueError(f"rule {entry.name!r}: the package has a rule of this name; give the function another")
        RULES[entry.name] = entry
        return entry

    return enter


def _scalars_by_name(rule_name: str, names: tuple[str, ...], declared: tuple[str, ...]) -> Callable[..., tuple[float, ...]]:
    unknown = [name for name in names if name != "lr" and name not in declared]
    if unknown:
        raise ValueError(
            f"rule {rule_name!r}: the scalar {unknown[0]!r} is neither `lr` nor a hyperparameter ({', '.join(declared) or 'none'}); "
            "give `scalars=`, the function that computes the scalars of a step"
        )

    for name in declared:
        if not name.isidentifier() or iskeyword(name):
            raise ValueError(f"rule {rule_name!r}: expected a name as the hyperparameter's, received {name!r}")
    # a function with these very parameters: called in their order it takes a third of the time that names take
    made: Callable[..., tuple[float, ...]] = eval(
        f"lambda {', '.join(('step', 'lr', *declared))}: ({''.join(name + ', ' for name in names)})"
    )
    return made


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
    values = entry.scalars(1, 1.0, **entry.defaults)
    if len(values) != len(entry.scalar_names):
        raise ValueError(
            f"rule {entry.name!r}: `scalars` returned {len(values)} values, the scalar function takes "
            f"{len(entry.scalar_names)} ({', '.join(entry.scalar_names)})"
        )
