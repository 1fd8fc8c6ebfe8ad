"""A family: what a user calls RMSProp. Its arguments, and how they choose a form of a rule and that form's hyperparameters.

Frameworks mean different things by one name, by defaults and by options. So a convention is data: the defaults under it, and the
names that things have there. Whatever a convention chooses is an argument too, and may be chosen singly.

`settle` is the one way from arguments to a step: constructors, `configure`, checkpoints and functions go through it, and so accept the
same calls and refuse the same calls in the same words.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fastopt.rules.domain import FLAG, NON_NEGATIVE, Choice, Hyperparameter, NumberOrNone
from fastopt.rules.update import RULES, Rule, find, once_for_each
from fastopt.settings import Settings

__all__ = ["FAMILIES", "Argument", "Convention", "Family", "Settled", "enter"]

NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Argument(Hyperparameter):
    """An argument of a family: its default, where it must lie, and whether it is given by name alone."""

    keyword_only: bool = False


@dataclass(frozen=True)
class Convention:
    """How another framework writes a family.

    `defaults` are those that differ from the family's own; `names` says what that framework calls arguments (theirs -> ours), and
    `states` what it calls states (ours -> theirs); `source` is what the defaults were read from.
    """

    defaults: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


COMMON = {
    "weight_decay": Argument(0.0, NON_NEGATIVE, keyword_only=True),
    "decoupled_weight_decay": Argument(False, FLAG, keyword_only=True),
    "maximize": Argument(False, FLAG, keyword_only=True),
    "clip_value": Argument(None, NumberOrNone(0.0, math.inf), keyword_only=True),
    "ema_decay": Argument(None, NumberOrNone(0.0, 1.0), keyword_only=True),
    "flush_denormals": Argument(False, FLAG, keyword_only=True),
    "zero_grads": Argument(False, FLAG, keyword_only=True),
}
"""What every family takes: what stands around every rule (`fastopt.rules.prologue` and `epilogue`) is made of these."""

ELSEWHERE = (
    ("learning_rate", "lr"),
    ("learning_rate_init", "lr"),
    ("step_size", "lr"),
    ("epsilon", "eps"),
    ("b1", "betas"),
    ("b2", "betas"),
    ("beta1", "betas"),
    ("beta2", "betas"),
    ("decay", "alpha"),
    ("decay", "momentum"),
    ("eps_in_sqrt", "eps_inside_root"),
    ("weight_decay_rate", "weight_decay"),
    ("clipvalue", "clip_value"),
    ("gradient_accumulation_steps", "accumulate"),
    ("every_k_schedule", "accumulate"),
    ("ema_momentum", "ema_decay"),
)
"""Names (theirs, ours) in frameworks that no convention was written for; only hints are made of them."""


@dataclass(frozen=True, eq=False)
class Family:
    """What a user calls by one name.

    Attributes
    ----------
    name
        The class's name; for the family of a bare rule `rule '...'`.
    own
        The arguments besides the learning rate and those that every family takes; those given by position come first, in order.
    form
        The name of the rule; or, of checked arguments, that of the one that they ask for. Its hyperparameters are the arguments of the
        same names, or have their defaults.
        Raises ValueError for arguments that do not go together.
    lr
        The default learning rate; None where one must be given.
    changed_defaults
        Those of `COMMON` that have another default here.
    conventions
        By name; the first is the default.
    decays_itself
        Of checked arguments, whether the weight decay has its place in the rule, as its hyperparameter `decay`, and not before it.
    """

    name: str
    own: Mapping[str, Argument]
    form: str | Callable[[Mapping[str, Any]], str | Rule]
    lr: float | None
    changed_defaults: Mapping[str, Any] = field(default_factory=dict)
    conventions: Mapping[str, Convention] = field(default_factory=dict)
    decays_itself: Callable[[Mapping[str, Any]], bool] = lambda values: False

    @cached_property
    def arguments(self) -> dict[str, Argument]:
        """Every argument in order, with the defaults of the first convention."""
        common = {name: Argument(self.changed_defaults.get(name, a.default), a.domain, True) for name, a in COMMON.items()}
        every = {"lr": Argument(self.lr, NON_NEGATIVE), **self.own, **common}
        if self.conventions:
            every["convention"] = Argument(next(iter(self.conventions)), Choice(tuple(self.conventions)), keyword_only=True)
        return every

    def defaults(self, convention: str | None = None) -> dict[str, Any]:
        """The value of each argument where none is given."""
        return self._defaults[convention].copy()

    @cached_property
    def _defaults(self) -> dict[str | None, dict[str, Any]]:
        plain = {name: argument.default for name, argument in self.arguments.items()}
        every: dict[str | None, dict[str, Any]] = {None: plain}
        for name, convention in self.conventions.items():
            every[name] = {**plain, **convention.defaults, "convention": name}
        return every

    def settle(self, given: Mapping[str, Any], beside: Iterable[str] = (), standing: Mapping[str, Any] = NOTHING) -> Settled:
        """All that a step needs to know besides the arrays, out of the arguments given.

        `beside` names what the caller takes itself: a misspelling of these is hinted at too. `standing` has, for arguments that
        follow schedules, the values that the form is chosen by.

        Raises TypeError or ValueError for an argument that there is not, that cannot be used, or that does not go with others.
        """
        arguments = self.arguments
        convention = given.get("convention") if self.conventions else None
        if convention is not None:
            convention = arguments["convention"].checked(convention, "convention")
        values = self.defaults(convention)
        for name, value in given.items():
            argument = arguments.get(name)
            if argument is None:
                raise TypeError(self.unknown(name, beside))
            if value is not None or name != "lr":  # None is the default learning rate
                values[name] = argument.checked(value, name)
        if values["lr"] is None:
            raise TypeError(f"lr: {self.name} has no default learning rate; expected {NON_NEGATIVE}, received None")
        rule = find(self.form if isinstance(self.form, str) else self.form({**values, **standing} if standing else values))
        decay, decoupled, maximize = values["weight_decay"], values["decoupled_weight_decay"], values["maximize"]
        hyperparameters = {}
        for name, entry in rule.hyperparameters.items():
            if name not in values:
                hyperparameters[name] = entry.default
            elif entry.domain is arguments[name].domain:
                hyperparameters[name] = values[name]
            else:  # a form may take less than the family
                hyperparameters[name] = entry.checked(values[name], name)
        if self.decays_itself(values):
            hyperparameters["decay"], decay = decay, 0.0
        clip_value, ema_decay = values["clip_value"], values["ema_decay"]
        flushes = values["flush_denormals"] and (bool(rule.states) or ema_decay is not None)
        settings = Settings(values["lr"], hyperparameters, decay, decoupled, maximize, clip_value, ema_decay, flushes, values["zero_grads"])
        return Settled(self, rule, values, settings)

    def settings_at(self, lr: Any) -> Settings:
        """What `settle` comes to where nothing but a learning rate is given, at a tenth of its cost. Raises TypeError or ValueError."""
        return Settings(NON_NEGATIVE.checked(lr, "lr"), self._plain)

    @cached_property
    def _plain(self) -> dict[str, Any]:
        return self.settle({"lr": 0.0}).settings.hyperparameters

    def unknown(self, name: str, beside: Iterable[str] = ()) -> str:
        """What to say of an argument that there is not."""
        known = ["lr", *self.own] if self.name.startswith("rule ") else list(self.arguments)
        every = [*self.arguments, *beside]
        foreign = [pair for convention in self.conventions.values() for pair in convention.names.items()]
        foreign += [pair for family in FAMILIES.values() for convention in family.conventions.values() for pair in convention.names.items()]
        meant = [ours for theirs, ours in (*foreign, *ELSEWHERE) if theirs == name and ours in every]
        meant += difflib.get_close_matches(name, every, 1)
        hint = f"did you mean `{meant[0]}`? Expected" if meant else "expected"
        return f"{name}: {self.name} has no such hyperparameter; {hint} some of {', '.join(known)}"

    @staticmethod
    @once_for_each
    def of(rule: Rule) -> Family:
        """The family of a bare rule: its hyperparameters are its arguments."""
        own = {name: Argument(entry.default, entry.domain, keyword_only=True) for name, entry in rule.hyperparameters.items()}
        return Family(f"rule {rule.name!r}", own, lambda values: rule, rule.default_lr)


@dataclass(slots=True)
class Settled:
    """Checked arguments and what follows from them.

    `values` are all arguments by name, in the family's order: to change some is to settle them anew (`changed`).
    """

    family: Family
    rule: Rule
    values: dict[str, Any]
    settings: Settings

    def changed(self, changes: Mapping[str, Any], standing: Mapping[str, Any] = NOTHING) -> Settled:
        """The same with some arguments changed. Raises as `Family.settle`, and ValueError for another convention."""
        if "lr" in changes:  # None is the default where an optimizer is made, and nothing to change one to
            NON_NEGATIVE.checked(changes["lr"], "lr")
        convention = changes.get("convention", self.values.get("convention"))
        if "convention" in self.values and convention != self.values["convention"]:
            raise ValueError(
                f"convention: expected {self.values['convention']!r}, received {convention!r}; it decides what is not given when an "
                "optimizer is made, and by now every argument has a value"
            )
        return self.family.settle({**self.values, **changes}, standing=standing)


FAMILIES: dict[str, Family] = {}
"""The package's families, by name."""


def enter(family: Family) -> Family:
    """Enters a family in the table, where documents, stubs and hints find it."""
    FAMILIES[family.name] = family
    return family


def forms_of(family: Family) -> list[str]:
    """The rules that a family's arguments lead to, in the order of the table: found by trying its flags, words and a few numbers."""
    found: set[str] = set()
    trials: list[dict[str, Any]] = [{}]
    for name, argument in family.own.items():
        domain, values = argument.domain, [argument.default]
        if isinstance(domain, Choice):
            values = list(domain.words)
        elif domain is FLAG and not isinstance(argument.default, tuple):
            values = [False, True]
        elif isinstance(argument.default, float) and 0.0 in domain:
            values = [argument.default, 0.0 if argument.default else 0.5]
        trials = [{**trial, name: value} for trial in trials for value in values]
    for trial in trials:
        try:
            found.add(family.settle(trial).rule.name)
        except ValueError:  # they do not go together
            continue
    return [name for name in RULES if name in found]
