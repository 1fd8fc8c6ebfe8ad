"""What a rule is, and the table of them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property, partial, wraps
from importlib import import_module
from types import FunctionType
from typing import Any, Concatenate, Final, Literal, ParamSpec, Protocol, TypeVar, cast

from fastopt.rules.domain import Hyperparameter, HyperparameterValue
from fastopt.rules.language import ScalarFunction, parse

__all__ = ["COPY", "RULES", "Copy", "Rule", "bound", "find", "once_for_each", "options_of"]


class Copy(Enum):
    """The type of `COPY`."""

    COPY = "a copy of the parameter"


COPY: Final = Copy.COPY
"""The initial value of a state that begins as a copy of its parameter."""


@dataclass(frozen=True, eq=False)  # a rule equals itself alone, and so can be the key of a cache
class Rule:
    """An update rule: the scalar function, and all that the backends and the tools around them need to know of it.

    Attributes
    ----------
    name
        Under which it stands in `RULES`; the scalar function's name, or that of one of its forms.
    update
        The scalar function `(p, g, *states, *scalars) -> (p, *states)`, in the language of `fastopt.rules.language`; with
        static options as keyword-only parameters where the rule is one of several forms.
    states
        Names of the state arrays that the rule keeps, each of the parameter's shape and dtype.
    hyperparameters
        What the user sets besides the learning rate.
    scalars
        `(step, lr, **hyperparameters) -> tuple of float64`, in the order of the scalar function's last parameters.
        `step` counts from 1. Runs once a step on the host; each value is cast once to the compute dtype. For a rule with `memory`
        `(step, lr, *memory, **hyperparameters) -> (tuple of float64, new memory)`.
    equation, source
        The formula as a person writes it, and where it comes from.
    default_lr
        The learning rate when the user gives none; None where one must be given.
    reference
        For a rule outside the package: the same formula as vectorized NumPy,
        `(p, g, *states, *, step, lr, **hyperparameters, **memory, **options) -> (p, *states)`; of a rule with options it takes
        every state of the text, None where the form keeps none, and answers so. The package's own stand in
        `fastopt.reference` and know nothing of this table.
    options
        The options that make this form of the scalar function, each on or off. Those that the function takes as keywords are
        folded into its text; `scalars` has got those that it takes; the reference takes all.
    text_states
        All states of the scalar function, in order, also those that this form does not keep.
    initial_values
        What a state is before the first step, where it is not 0: a number, a hyperparameter by name, or `COPY`.
    memory
        The host's scalars that last from step to step, and what they are before the first.
    non_negative
        The states that are never below zero, as sums and averages of squares are: in 8 bits they have a code of their own, in which no
        number above zero becomes zero, since it would be divided by (`fastopt.storage.blocks`).
    derived
        What others have worked out of the rule and keep with it (see `once_for_each`).
    """

    name: str
    update: Callable[..., tuple[float, ...]]
    states: tuple[str, ...] = ()
    hyperparameters: Mapping[str, Hyperparameter] = field(default_factory=dict)
    scalars: Callable[..., tuple[Any, ...]] = lambda step, lr: (lr,)
    equation: str = ""
    source: str = ""
    default_lr: float | None = None
    reference: Callable[..., tuple[object, ...]] | None = None
    options: Mapping[str, bool] = field(default_factory=dict)
    text_states: tuple[str, ...] = ()
    initial_values: Mapping[str, float | str | Copy] = field(default_factory=dict)
    memory: Mapping[str, float] = field(default_factory=dict)
    non_negative: tuple[str, ...] = ()
    derived: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, *values: float) -> tuple[float, ...]:
        """Applies the scalar function to Python floats."""
        return cast("tuple[float, ...]", self.of_its_states(self.update, self.folded)(*values))

    @property
    def is_first_form(self) -> bool:
        """Whether it is the one that its text is named after: Adam, and not AMSGrad."""
        return self.update.__name__ == self.name

    @cached_property
    def folded(self) -> dict[str, bool]:
        """The options that the scalar function itself takes."""
        return {name: self.options[name] for name in options_of(self.update)}

    @cached_property
    def function(self) -> ScalarFunction:
        """The scalar function's text with its options folded away, parsed and checked."""
        return parse(self.update, self.folded)

    def of_its_states(self, formula: Callable[..., tuple[Any, ...]], options: Mapping[str, bool]) -> Callable[..., tuple[Any, ...]]:
        """A formula that takes and answers all states of the text, as one of those alone that this form keeps."""
        if not self.options:
            return formula
        kept = [name in self.states for name in self.text_states]

        def formula_of_the_form(p: Any, g: Any, *rest: Any, **keywords: Any) -> tuple[Any, ...]:
            own = iter(rest)
            states = [next(own) if is_kept else None for is_kept in kept]
            new_p, *results = formula(p, g, *states, *own, **keywords, **options)
            return (new_p, *(result for result, is_kept in zip(results, kept, strict=True) if is_kept))

        return formula_of_the_form

    def initial(self, state: str, hyperparameters: Mapping[str, HyperparameterValue]) -> float | Literal[Copy.COPY]:
        """What a state is before the first step: a number, or `COPY`."""
        value = self.initial_values.get(state, 0.0)
        if isinstance(value, str):
            return cast("float", hyperparameters[value])
        return value

    def scalars_with(self, hyperparameters: Mapping[str, HyperparameterValue]) -> Callable[..., tuple[Any, ...]]:
        """`scalars` of `(step, lr, *memory)` alone: the hyperparameters have become defaults of its parameters.

        To hand them over by name at each step takes a tenth of a small step's time.
        """
        return bound(self.scalars, hyperparameters, 2 + len(self.memory))

    @cached_property
    def formula(self) -> str:
        """The text, in short: what tells it from another one of the same name."""
        body = [f"{name} = {ast.unparse(value)}" for name, value in self.function.assignments]
        results = f"return {', '.join(map(ast.unparse, self.function.results))}"
        return f"({', '.join(self.function.parameters)}) -> {'; '.join([*body, results])}"

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
        return _found_again, (self.update.__module__, self.name, self.formula)

    def __copy__(self) -> Rule:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Rule:
        return self


def options_of(update: Callable[..., object]) -> tuple[str, ...]:
    """The static options of a scalar function: its keyword-only parameters."""
    parameters = inspect.signature(update).parameters.values()
    return tuple(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)


def bound(function: Callable[..., tuple[Any, ...]], values: Mapping[str, Any], free: int) -> Callable[..., tuple[Any, ...]]:
    """A function with values for parameters after its first `free` ones; as defaults, which is fastest, where it is a plain one."""
    if isinstance(function, FunctionType) and not function.__kwdefaults__:
        code, defaults = function.__code__, function.__defaults__ or ()
        names = code.co_varnames[: code.co_argcount]
        given = {**dict(zip(names[len(names) - len(defaults) :], defaults, strict=True)), **values}
        if set(values) <= set(names[free:]) and not code.co_kwonlyargcount:
            first = next((i for i in range(free, len(names)) if names[i] in given), len(names))
            if all(name in given for name in names[first:]):
                now = tuple(given[name] for name in names[first:])
                return FunctionType(code, function.__globals__, function.__name__, now, function.__closure__)
    return partial(function, **values)


UNKNOWN = object()


class _Keeper(Protocol):
    @property
    def derived(self) -> dict[Any, Any]: ...


K = TypeVar("K", bound=_Keeper)
P = ParamSpec("P")
T = TypeVar("T")


def once_for_each(derive: Callable[Concatenate[K, P], T]) -> Callable[Concatenate[K, P], T]:
    """Derives something of a rule or a kernel and other arguments once, and keeps it there: those made in a loop do not pile up."""

    @wraps(derive)
    def derived(keeper: K, *arguments: P.args, **options: P.kwargs) -> T:
        key = (derive, *arguments, *options.items()) if arguments or options else derive
        found: Any = keeper.derived.get(key, UNKNOWN)
        if found is UNKNOWN:
            found = keeper.derived[key] = derive(keeper, *arguments, **options)
        kept: T = found
        return kept

    return cast("Callable[Concatenate[K, P], T]", derived)


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


def _found_again(module: str, name: str, formula: str | None = None) -> Rule:
    """The rule that another process pickled; importing the module that defines it enters it in the table.

    Raises ValueError if it computes something else by now.
    """
    if name not in RULES:
        import_module(module)
    found = find(name)
    if formula is not None and found.formula != formula:
        raise ValueError(f"rule {name!r}: expected the one that was pickled, {formula}; received {found.formula}")
    return found
