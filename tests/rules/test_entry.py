"""The table of rules: what every entry owes the rest of the package, and what `fastopt.rule` refuses."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import math
import pickle
from typing import Any

import pytest

import fastopt
from fastopt import crosscheck, reference
from fastopt.backends import numpy_backend
from fastopt.rules.entry import FLAG, NON_NEGATIVE, RULES, UNIT, Hyperparameter, Interval, Rule, find, once_for_each

# ruff: noqa: ANN201, ANN202  -- rules are bare formulas
# mypy: disable-error-code="no-untyped-def"

EVERY = [pytest.param(rule, id=rule.name) for rule in RULES.values()]


@pytest.mark.parametrize("rule", EVERY)
class TestEveryEntry:
    """A rule that is stated once, and so has no cross-check, fails here."""

    def test_has_an_oracle_of_its_name(self, rule: Rule) -> None:
        assert numpy_backend.has_reference(rule)
        oracle = reference.FORMULAS[rule.update.__name__]
        assert oracle.__module__ == rule.update.__module__.replace("fastopt.rules.", "fastopt.reference."), "a family's file has its name"
        positional = [p.name for p in inspect.signature(oracle).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        keywords = [p for p in inspect.signature(oracle).parameters.values() if p.kind is p.KEYWORD_ONLY]
        assert positional == ["p", "g", *rule.text_states]
        given = {"step", "lr", *rule.hyperparameters, *rule.memory, *rule.options}
        assert {p.name for p in keywords if p.default is p.empty} <= given <= {p.name for p in keywords}

    def test_has_cross_check_cases_with_nothing_zero_or_default(self, rule: Rule) -> None:
        plain, *others = crosscheck.cases(rule)
        assert plain.options == {}
        assert len(others) >= 3
        for case in others:
            for name, entry in rule.hyperparameters.items():
                values, defaults = case.options[name], entry.default
                pairs = zip(values, defaults, strict=True) if isinstance(defaults, tuple) else [(values, defaults)]
                assert all(value != default and value in entry.domain and (value or entry.domain is FLAG) for value, default in pairs)
        assert any(case.options.get("maximize") for case in others)
        assert {bool(case.options.get("decoupled_weight_decay")) for case in others} == {True, False}
        assert all(case.options["weight_decay"] > 0 for case in others)

    def test_says_what_it_is_and_where_from(self, rule: Rule) -> None:
        assert "<-" in rule.equation
        assert any(character.isdigit() for character in rule.source)
        assert rule.default_lr is not None
        assert rule.default_lr > 0

    def test_scalars_are_floats_in_the_order_of_the_function(self, rule: Rule) -> None:
        values = rule.scalars(3, 0.1, *rule.memory.values(), **rule.defaults)
        values = values[0] if rule.memory else values
        assert len(values) == len(rule.scalar_names)
        assert all(type(value) is float for value in values)
        for name, value in zip(rule.scalar_names, values, strict=True):
            if name == "lr":
                assert value == 0.1  # AdaGrad's falls with the steps only if it is told to
            elif name in rule.hyperparameters and name not in ("eps", "eps_root"):  # Adam's carry a bias correction
                assert value == rule.defaults[name]

    def test_every_hyperparameter_has_a_part_in_the_step(self, rule: Rule) -> None:
        """Or it would be accepted and ignored. At some step, from some numbers: a rectification comes late, and a limit holds few."""
        others = crosscheck.cases(rule)[1].options
        company = [{name: others[name] for name in rule.hyperparameters}, rule.defaults]
        flags = [name for name, entry in rule.hyperparameters.items() if entry.default is False]

        def steps(values: dict[str, Any]) -> list[tuple[Any, ...]]:
            found = []
            for number in (1, 2, 50):
                for size, of_states in ((1.0, 1.0), (1e-3, 1.0), (-1.0, 1.0), (-40.0, 1.0), (1.0, 1e-4), (1.0, 100.0)):
                    p, g, *states = (0.75 + 0.5 * i for i in range(2 + len(rule.states)))
                    states = [of_states * state for state in states]
                    scalars = rule.scalars(number, 0.1, *((0.25,) * len(rule.memory)), **values)
                    after = rule(p, size * g, *states, *(scalars[0] if rule.memory else scalars))
                    found.append((*after, scalars[1:] if rule.memory else (), *(rule.initial(s, values) for s in rule.states)))
            return found

        for name, default in rule.defaults.items():
            others_of_it = [others[name], 60.0 if 60.0 in rule.hyperparameters[name].domain else default]
            if isinstance(default, tuple):  # each of its members
                others_of_it = [
                    tuple(o if k == i else d for k, (d, o) in enumerate(zip(default, others[name], strict=True)))
                    for i in range(len(default))
                ]
            for other in others_of_it if isinstance(default, tuple) else [others_of_it]:
                tried = other if isinstance(other, list) else [other]
                assert any(
                    steps({**values, flag: on, name: value}) != steps({**values, flag: on, name: default})
                    for values in company
                    for value in tried
                    for flag, on in [(name, default), *((flag, on) for flag in flags if flag != name for on in (False, True))]
                ), name

    def test_counts_its_traffic(self, rule: Rule) -> None:
        # read p, g and the states; write p and the states
        assert rule.bytes_per_parameter(4) == 4 * (3 + 2 * len(rule.states))

    def test_defaults_lie_in_their_intervals(self, rule: Rule) -> None:
        for entry in rule.hyperparameters.values():
            values = entry.default if isinstance(entry.default, tuple) else (entry.default,)
            assert all(value in entry.domain for value in values)

    def test_is_itself_when_copied_or_pickled(self, rule: Rule) -> None:
        assert copy.copy(rule) is rule
        assert copy.deepcopy(rule) is rule
        assert pickle.loads(pickle.dumps(rule)) is rule
        assert {rule: 1}[rule] == 1

    def test_is_frozen(self, rule: Rule) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            rule.name = "another"  # type: ignore[misc]


def test_the_rules_that_the_package_has() -> None:
    """None went missing. (More may come; they are tested by being in the table.)"""
    assert set(RULES) >= {
        "sgd", "momentum", "nesterov", "velocity", "nesterov_velocity", "averaged_momentum",
        "rmsprop", "rmsprop_centered", "rmsprop_momentum", "rmsprop_centered_momentum", "rmsprop_velocity", "rmsprop_centered_velocity",
        "adam", "amsgrad", "adagrad",
    }  # fmt: skip


def test_interval() -> None:
    assert 0.0 in UNIT
    assert 0.999 in UNIT
    assert 1.0 not in UNIT
    assert -1e-9 not in UNIT
    assert math.nan not in UNIT
    assert 1.0 in Interval(0.0, 1.0, high_included=True)
    assert 1e300 in NON_NEGATIVE
    assert math.inf not in NON_NEGATIVE
    assert math.nan not in NON_NEGATIVE
    assert math.inf in Interval(0.0, math.inf, high_included=True)
    assert math.nan not in Interval(0.0, math.inf, high_included=True)
    assert str(Interval(0.0, math.inf, high_included=True)) == "a number >= 0, or an infinity"
    assert str(NON_NEGATIVE) == "a finite number >= 0"
    assert str(UNIT) == "a number in [0, 1)"
    assert str(Interval(0.5, 2.0, high_included=True)) == "a number in [0.5, 2]"


def test_find() -> None:
    adam = RULES["adam"]
    assert find("adam") is adam
    assert find(adam) is adam
    with pytest.raises(ValueError, match=r"^rule: expected one of .*adam, amsgrad, .*; received 'adem'$"):
        find("adem")
    with pytest.raises(TypeError, match=r"^rule: expected a name or the result of fastopt\.rule, received NoneType$"):
        find(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"received function"):
        find(adam.update)  # type: ignore[arg-type]


def test_decorator_leaves_a_rule_that_can_be_called() -> None:
    @fastopt.rule(states=("m",), hyperparameters={"beta": 0.9}, equation="e", source="s", default_lr=0.5)
    def outside(p, g, m, lr, beta):
        m = beta * m + g
        return p - lr * m, m

    assert isinstance(outside, Rule)
    assert RULES["outside"] is outside
    assert outside(1.0, 2.0, 3.0, 0.5, 0.25) == (1.0 - 0.5 * 2.75, 2.75)
    assert outside.scalars(1, 0.1, beta=0.7) == (0.1, 0.7)  # by name
    assert outside.hyperparameters["beta"] == Hyperparameter(0.9, NON_NEGATIVE)
    assert (outside.equation, outside.source, outside.default_lr) == ("e", "s", 0.5)
    assert outside.function.parameters == ("p", "g", "m", "lr", "beta")


def test_decorator_takes_hyperparameters_as_they_are_declared() -> None:
    bounds = Interval(-1.0, 1.0, high_included=True)

    @fastopt.rule(hyperparameters={"shift": Hyperparameter(0.5, bounds)}, scalars=lambda step, lr, shift: (lr + shift * step,))
    def shifted(p, g, rate):
        return (p - rate * g,)

    assert shifted.hyperparameters["shift"].domain is bounds
    assert shifted.scalars(3, 1.0, shift=-0.5) == (-0.5,)
    assert shifted.default_lr is None


def test_a_rule_from_outside_may_be_written_anew() -> None:
    """As happens in a notebook, cell after cell."""

    def write(sign: int) -> Rule:
        if sign > 0:

            @fastopt.rule()
            def again(p, g, lr):
                return (p + lr * g,)

        else:

            @fastopt.rule()
            def again(p, g, lr):
                return (p - lr * g,)

        return again

    first = write(1)
    second = write(-1)
    assert RULES["again"] is second is not first


def one(p, g, lr):
    return (p - lr * g,)


def adam(p, g, lr):
    return (p - lr * g,)


def with_state(p, g, m, lr):
    return p - lr * m, g


def without_g(p, m, lr):
    return (p - lr * m,)


def two_results(p, g, lr):
    return p, g


def free_scalar(p, g, rate):
    return (p - rate * g,)


def literal(p, g, lr):
    return (p - 2 * g,)


def assigned_scalar(p, g, lr):
    lr = lr * g
    return (p - lr,)


def named_like_a_result(p, g, lr):
    new_p = p - lr * g
    return (new_p,)


REFUSED = [
    pytest.param(assigned_scalar, {}, r"the scalar 'lr' is the same for every element; assign to another name", id="assigned scalar"),
    pytest.param(named_like_a_result, {}, r"the name 'new_p' is what compiled kernels call a result; rename it", id="name of a result"),
    pytest.param(adam, {}, r"rule 'adam': the package has a rule of this name; give the function another", id="name of the package"),
    pytest.param(
        one, {"states": ("m",)}, r"rule 'one': expected the parameters \(p, g, m, then scalars\), received \(p, g, lr\)", id="state missing"
    ),
    pytest.param(without_g, {}, r"rule 'without_g'", id="no gradient"),
    pytest.param(with_state, {"states": ("m", "v")}, r"expected the parameters \(p, g, m, v, then scalars\)", id="one state too many"),
    pytest.param(
        two_results, {}, r"expected 1 results \(p\), received 2; a single result is written `return \(p,\)`", id="too many results"
    ),
    pytest.param(one, {"states": ("lr",)}, r"rule 'one': expected 2 results \(p, lr\), received 1", id="too few results"),
    pytest.param(free_scalar, {}, r"the scalar 'rate' is neither `lr` nor a hyperparameter \(none\); give `scalars=`", id="unknown scalar"),
    pytest.param(free_scalar, {"hyperparameters": {"beta": 0.1}}, r"neither `lr` nor a hyperparameter \(beta\)", id="other hyperparameter"),
    pytest.param(
        one,
        {"scalars": lambda step, lr: (lr, lr)},
        r"`scalars` returned 2 values, the scalar function takes 1 \(lr\)",
        id="count of scalars",
    ),
    pytest.param(literal, {}, r"rule 'literal', line 2: the literal 2", id="not in the language"),
    pytest.param(lambda p, g: (p,), {}, r"expected a function written with `def`|line 1", id="lambda"),
]


@pytest.mark.parametrize(("function", "options", "words"), REFUSED)
def test_refused(function: Any, options: dict[str, Any], words: str) -> None:
    before = dict(RULES)
    with pytest.raises(ValueError, match=words):
        fastopt.rule(**options)(function)
    assert before == RULES, "a refused rule was entered all the same"


def test_scalars_with_hyperparameters_are_the_scalars() -> None:
    """However the function takes them: as parameters in order, in another order, by keyword alone, by any name."""

    def in_order(step: int, lr: float, a: float, b: tuple[float, float]) -> tuple[float, ...]:
        return (step * lr, a, *b)

    def in_another_order(step: int, lr: float, b: tuple[float, float], a: float) -> tuple[float, ...]:
        return (step * lr, a, *b)

    def by_keyword(step: int, lr: float, a: float, *, b: tuple[float, float]) -> tuple[float, ...]:
        return (step * lr, a, *b)

    def with_a_default(step: int, lr: float, *, b: tuple[float, float], a: float, c: float = 1.0) -> tuple[float, ...]:
        return (step * lr, a, b[0], c * b[1])

    def by_any_name(step: int, lr: float, **values: Any) -> tuple[float, ...]:
        return (step * lr, values["a"], *values["b"])

    class AnyCallable:
        def __call__(self, step: int, lr: float, a: float, b: tuple[float, float]) -> tuple[float, ...]:
            return (step * lr, a, *b)

    values = {"a": 0.5, "b": (2.0, 3.0)}
    for function in (in_order, in_another_order, by_keyword, with_a_default, by_any_name, AnyCallable()):
        bound = Rule("r", adam, scalars=function).scalars_with(values)
        assert bound(4, 0.25) == bound(4, 0.25) == (1.0, 0.5, 2.0, 3.0)
        assert function(4, 0.25, **values) == (1.0, 0.5, 2.0, 3.0)


def test_every_rules_scalars_take_their_hyperparameters_in_order() -> None:
    """Or each step takes longer, for the sake of a name."""
    for entry in RULES.values():
        bound = entry.scalars_with(entry.defaults)
        before = tuple(entry.memory.values())
        assert bound(3, 0.1, *before) == entry.scalars(3, 0.1, *before, **entry.defaults)
        assert not isinstance(bound, functools.partial), entry.name


def test_once_for_each() -> None:
    made: list[tuple[str, int]] = []

    @once_for_each
    def derived(rule: Rule, number: int) -> int:
        made.append((rule.name, number))
        return 10 * number

    first, second = Rule("first", adam), Rule("second", adam)
    assert [derived(first, 1), derived(first, 2), derived(first, 1), derived(second, 1)] == [10, 20, 10, 10]
    assert made == [("first", 1), ("first", 2), ("second", 1)]


def test_a_hyperparameter_is_a_name() -> None:
    with pytest.raises(ValueError, match=r"^rule 'one': expected a name as the hyperparameter's, received 'a b'"):
        fastopt.rule(hyperparameters={"a b": 1.0})(one)
