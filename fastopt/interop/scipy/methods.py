"""A function for each optimizer, made of its family: what `minimize` calls as a method."""

from __future__ import annotations

import inspect
from typing import Any, Protocol

from fastopt import optimizers
from fastopt.interop.scipy.minimizing import OPTIONS, minimized
from fastopt.optimizers import Optimizer
from fastopt.rules.entry import RULES, Rule, find, once_for_each
from fastopt.rules.family import FAMILIES, Family

__all__ = ["METHODS", "Method", "method"]

HANDED = {"args": (), "jac": None, "hess": None, "hessp": None, "bounds": None, "constraints": (), "callback": None}
"""What `minimize` hands every method besides fun, x0 and the options, and what each is where it is not given."""


class Method(Protocol):
    """`(fun, x0, args=(), jac=None, ..., callback=None, **options) -> OptimizeResult`; called by `minimize`, or by itself."""

    __name__: str

    def __call__(self, fun: Any, x0: Any, *handed: Any, **options: Any) -> Any:
        """Minimizes fun from x0 on. Raises TypeError or ValueError before fun is called for arguments that cannot be used."""


def method(rule: str | Rule) -> Method:
    """The method of a bare rule, by its name in `fastopt.RULES` or as `fastopt.rule` made it; its hyperparameters are options.

    Raises TypeError or ValueError for what is no rule.
    """
    return _of_rule(find(rule))


@once_for_each
def _of_rule(rule: Rule) -> Method:
    return _method(rule.name, _class(Family.of(rule)), rule.equation)


def _class(family: Family) -> type[Optimizer]:
    """The class of a family; one is made where the package has none."""
    for name in optimizers.__all__:
        found: type[Optimizer] = getattr(optimizers, name)
        if found.family is family:
            return found
    return type("OfFamily", (Optimizer,), {"family": family, "__module__": __name__})


def _method(name: str, cls: type[Optimizer], first: str) -> Method:
    family = cls.family
    assert family is not None

    def step_method(fun: Any, x0: Any, *handed: Any, **options: Any) -> Any:
        given = {**HANDED, **dict(zip(HANDED, handed, strict=False)), **{key: options.pop(key) for key in HANDED if key in options}}
        return minimized(name, cls, fun, x0, options, **given)

    kinds = inspect.Parameter
    own = [kinds(key, kinds.POSITIONAL_OR_KEYWORD) for key in ("fun", "x0")]
    own += [kinds(key, kinds.POSITIONAL_OR_KEYWORD, default=default) for key, default in HANDED.items()]
    named = {key: argument.default for key, argument in family.arguments.items()} | OPTIONS
    own += [kinds(key, kinds.KEYWORD_ONLY, default=default) for key, default in named.items()]
    step_method.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]  # what help() and IDEs read
    step_method.__name__ = step_method.__qualname__ = name
    step_method.__module__ = "fastopt.interop.scipy"  # where pickle finds it
    step_method.__doc__ = f"{first}\n\nA method of `scipy.optimize.minimize`. Options: `help(fastopt.interop.scipy)`."
    return step_method


def _name(family: Family) -> str:
    """The class's name in small letters, with the underscores of the rule that is called so."""
    plain = family.name.lower()
    return next((rule for rule in RULES if rule.replace("_", "") == plain), plain)


def _first_line(family: Family) -> str:
    return (inspect.getdoc(_class(family)) or family.name).partition("\n")[0]


METHODS = {_name(family): _method(_name(family), _class(family), _first_line(family)) for family in FAMILIES.values()}
"""By name, one for each family of the package."""
