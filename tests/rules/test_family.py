"""Families: what arguments come to, and that every way to give them speaks one language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.optimizers import documents
from fastopt.rules.domain import FLAG, Choice, Hyperparameter, Interval
from fastopt.rules.entry import COPY, RULES, Rule
from fastopt.rules.family import COMMON, FAMILIES, Family, forms_of
from fastopt.settings import Settings

# ruff: noqa: ANN202  -- rules are bare formulas
# mypy: disable-error-code="no-untyped-def"

EVERY = [pytest.param(family, id=family.name) for family in FAMILIES.values()]
CONVENTIONS = [pytest.param(f, name, id=f"{f.name}, {name}") for f in FAMILIES.values() for name in f.conventions]


@pytest.mark.parametrize("family", EVERY)
class TestEveryFamily:
    def test_settles_with_nothing_given(self, family: Family) -> None:
        settled = family.settle({})
        assert settled.values == family.defaults()
        assert list(settled.values) == list(family.arguments)
        assert settled.family is family
        assert settled.rule in RULES.values()
        assert settled.settings.lr == family.lr
        assert settled.rule.default_lr == family.lr or settled.rule.name == "momentum", "a class and its rule begin at one learning rate"

    def test_every_argument_has_a_part_in_what_it_settles(self, family: Family) -> None:
        """In some company, another value of it is another step."""
        company: list[dict[str, Any]] = [
            {},
            {"momentum": 0.5},
            {"momentum": 0.5, "form": "velocity"},
            {"amsgrad": True},
            {"weight_decay": 0.5},
        ]
        for name, argument in family.own.items():
            counts = []
            for given in (company_of for company_of in company if set(company_of) <= set(family.arguments)):
                steps = set()
                for value in _values(argument):
                    try:
                        settled = family.settle({**given, name: value})
                    except ValueError:  # the two do not go together
                        continue
                    steps.add((settled.rule.name, repr(settled.settings)))
                counts.append(len(steps))
            assert max(counts) > 1, f"{name} changes nothing"

    def test_settling_the_values_again_changes_nothing(self, family: Family) -> None:
        first = family.settle({"weight_decay": 0.5, "lr": 0.25})
        assert family.settle(first.values) == first
        assert first.changed({}) == first
        decay, *rest = (first.values[n] for n in COMMON)
        if family.decays_itself(first.values):
            assert first.settings.hyperparameters["decay"] == 0.5
            decay = 0.0
        assert first.changed({"lr": 0.5}).settings == Settings(0.5, first.settings.hyperparameters, decay, *rest)

    def test_has_a_class(self, family: Family) -> None:
        assert family in [own for _, own in documents.named()]

    def test_every_hyperparameter_of_its_forms_is_an_argument_with_its_domain(self, family: Family) -> None:
        """What is not is left at the rule's default, of which there is one, or is the weight decay."""
        left = set()
        for rule in map(RULES.__getitem__, forms_of(family)):
            for name, entry in rule.hyperparameters.items():
                if name not in family.own:
                    left.add((family.name, name))
                elif isinstance(entry.domain, Interval):
                    assert isinstance(family.own[name].domain, Interval)
                    assert family.own[name].domain.high >= entry.domain.high  # the form may ask for more
                else:
                    assert family.own[name].domain == entry.domain
        assert left <= {("Momentum", "dampening"), ("Adan", "decay"), ("ScheduleFreeAdamW", "decay")}


def _values(argument: Hyperparameter) -> list[Any]:
    if argument.domain is FLAG:
        return [(False, True), (True, True)] if isinstance(argument.default, tuple) else [False, True]
    if isinstance(argument.domain, Choice):
        return list(argument.domain.words)
    if isinstance(argument.default, tuple):
        return [argument.default, (0.25, 0.5, 0.75)[: len(argument.default)]]
    return [argument.default, 7.5 if 0.125 not in argument.domain else 0.125]


@pytest.mark.parametrize(("family", "name"), CONVENTIONS)
class TestEveryConvention:
    def test_is_data_of_the_family(self, family: Family, name: str) -> None:
        convention = family.conventions[name]
        assert set(convention.defaults) <= set(family.arguments) - {"convention"}
        assert set(convention.names.values()) <= set(family.arguments)
        states = {state for form in forms_of(family) for state in RULES[form].states}
        assert set(convention.states) <= states
        assert set(convention.states) == states or name not in ("torch", "keras"), "another may have fewer forms, and a paper no names"
        assert any(character.isdigit() for character in convention.source)

    def test_its_defaults_are_for_what_is_not_given(self, family: Family, name: str) -> None:
        convention = family.conventions[name]
        given = {"convention": name, "lr": 0.5} if name == "optax" else {"convention": name}
        plain = family.settle(given)
        assert plain.values == {**family.defaults(), **convention.defaults, **given}
        for argument in convention.defaults:
            own = family.arguments[argument].default
            if (family.name, argument) not in {("AdamW", "decoupled_weight_decay"), ("SGD", "momentum"), ("SGD", "form")}:
                assert family.settle({**given, argument: own}).values == {**plain.values, argument: own}

    def test_is_chosen_when_an_optimizer_is_made(self, family: Family, name: str) -> None:
        other = next((n for n in family.conventions if n != name), None)
        if other is None:
            pytest.skip("there is no other")
        with pytest.raises(ValueError, match=rf"^convention: expected '{name}', received '{other}'; it decides what is not given when"):
            family.settle({"convention": name, "lr": 0.5}).changed({"convention": other})

    def test_names_from_there_are_hinted_at(self, family: Family, name: str) -> None:
        for theirs, ours in family.conventions[name].names.items():
            with pytest.raises(
                TypeError, match=rf"^{theirs}: {family.name} has no such hyperparameter; did you mean `{ours}`\? Expected some"
            ):
                family.settle({theirs: 0.5})


def test_an_unknown_convention_lists_those_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"^convention: expected one of 'torch', 'keras', 'optax', 'sklearn', 'textbook'; received 'caffe'$"
    ):
        fastopt.Adam(np.ones(2), convention="caffe")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^convention: Momentum has no such hyperparameter"):
        fastopt.Momentum(np.ones(2), convention="keras")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=r"^convention: expected one of 'textbook', 'keras', 'optax'; received 'torch'$"):
        fastopt.Lion(np.ones(2), convention="torch")  # type: ignore[arg-type]


def test_optax_has_no_default_learning_rate() -> None:
    with pytest.raises(TypeError, match=r"^lr: Adam has no default learning rate; expected a finite number >= 0, received None$"):
        fastopt.Adam(np.ones(2), convention="optax")


# ------------------------------------------------------------------------------------- constructor and configure agree

REFUSED: list[tuple[Callable[..., fastopt.Optimizer], dict[str, Any], dict[str, Any], str]] = [
    (fastopt.SGD, {"momentum": 0.9, "nesterov": True}, {"dampening": 0.5}, r"^nesterov: expected momentum > 0 and dampening 0, received"),
    (fastopt.SGD, {"momentum": 0.9, "nesterov": True}, {"momentum": 0.0}, r"^nesterov: expected momentum > 0 and dampening 0, received"),
    (fastopt.SGD, {}, {"dampening": 0.5}, r"^dampening: expected 0 where momentum is 0"),
    (
        fastopt.SGD,
        {"momentum": 0.9, "dampening": 0.5},
        {"form": "velocity"},
        r"^dampening: expected 0 with form='velocity', which has no such",
    ),
    (fastopt.Momentum, {"nesterov": True}, {"form": "averaged"}, r"^nesterov: expected False with form='averaged'"),
    (fastopt.Momentum, {"form": "averaged"}, {"momentum": 1.0}, r"^momentum: expected a number in \[0, 1\), received 1\.0"),
    (fastopt.RMSProp, {}, {"eps_root": 0.5}, r"^eps_root: RMSProp has no such hyperparameter"),
    (fastopt.Adam, {}, {"amsgrad": 1}, r"^amsgrad: expected True or False, received 1 \(int\)"),
    (fastopt.AdamW, {}, {"decoupled_weight_decay": False}, r"^decoupled_weight_decay: expected True \(AdamW is Adam with decoupled"),
    (fastopt.Adam, {}, {"learning_rate": 0.5}, r"^learning_rate: Adam has no such hyperparameter; did you mean `lr`\?"),
]


@pytest.mark.parametrize(("make", "given", "change", "words"), REFUSED)
def test_configure_refuses_what_the_constructor_refuses_in_the_same_words(
    make: Callable[..., fastopt.Optimizer], given: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=words) as constructed:
        make(np.ones(2), **{**given, **change})
    optimizer = make(np.ones(2), backend="numpy", **given)
    before = optimizer.hyperparameters
    with pytest.raises((TypeError, ValueError), match=words) as configured:
        optimizer.configure(**change)
    assert str(configured.value) == str(constructed.value)
    assert type(configured.value) is type(constructed.value)
    assert optimizer.hyperparameters == before


def test_rmsprop_has_one_eps() -> None:
    optimizer = fastopt.RMSProp(np.ones(2), eps=1e-3, eps_inside_root=True, backend="numpy")
    optimizer.configure(eps=0.5)
    assert (optimizer.hyperparameters["eps"], optimizer.hyperparameters["eps_inside_root"]) == (0.5, True)
    assert optimizer.rule.scalars(1, 0.1, alpha=0.9, eps=0.5, eps_inside_root=True)[4:6] == (0.5, 0.0)


@pytest.mark.parametrize("backend", ["numpy", "cython", "numba"])
def test_configure_goes_over_to_another_form_with_the_states_that_both_keep(backend: str) -> None:
    from tests.conftest import needed

    needed(backend)

    def walk(*changes: dict[str, Any], **options: Any) -> tuple[Any, fastopt.Optimizer]:
        params = [np.array([1.0, 2.0]), np.ones(3, np.float32)]
        optimizer = fastopt.Adam(params, 0.1, backend=backend, **options)
        for i, change in enumerate(changes):
            optimizer.configure(**change)
            optimizer.step([np.array([0.5, 4.0 - 3 * i]), np.full(3, 2.0 - i, np.float32)])
        return [p.tolist() for p in params], optimizer

    plain, before = walk({}, {}, {})
    over, optimizer = walk({}, {"amsgrad": True}, {"amsgrad": True})
    assert optimizer.rule is RULES["amsgrad"]
    state = optimizer.state_dict()["state"]
    assert [m.tolist() for m in state["m"]] == [m.tolist() for m in before.state_dict()["state"]["m"]]
    assert (state["v_max"][0] >= state["v"][0]).all()
    assert optimizer.steps == 3
    assert over != plain, "the largest second moment has a part in the third step"
    back, optimizer = walk({}, {"amsgrad": True}, {"amsgrad": False})
    assert optimizer.rule is RULES["adam"]
    assert set(optimizer.state_dict()["state"]) == {"m", "v"}
    # by hand: AMSGrad's first maximum after a change is the second moment of that step, so its step is Adam's, and so is the next
    assert back == plain


# ------------------------------------------------------------------------------------------------------------------ hints

HINTS: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (fastopt.Adam, {"learning_rate": 0.1}, "`lr`"),
    (fastopt.Adam, {"beta_1": 0.1}, "`betas`"),
    (fastopt.Adam, {"b2": 0.1}, "`betas`"),
    (fastopt.Adam, {"amsgard": True}, "`amsgrad`"),
    (fastopt.Adam, {"weight_deacy": 0.1}, "`weight_decay`"),
    (fastopt.Adam, {"backed": "numpy"}, "`backend`"),
    (fastopt.RMSProp, {"rho": 0.1}, "`alpha`"),
    (fastopt.RMSProp, {"decay": 0.1}, "`alpha`"),
    (fastopt.RMSProp, {"epsilon": 0.1}, "`eps`"),
    (fastopt.SGD, {"decay": 0.1}, "`momentum`"),
    (fastopt.SGD, {"momentun": 0.1}, "`momentum`"),
    (lambda p, **given: fastopt.Optimizer(p, "adam", **given), {"learning_rate": 0.1}, "`lr`"),
    (lambda p, **given: fastopt.Optimizer(p, "adam", **given), {"num_thread": 1}, "`num_threads`"),
    (lambda p, **given: fastopt.Optimizer(p, "rmsprop", **given), {"rho": 0.1}, "`alpha`"),
    (lambda p, **given: fastopt.Optimizer(p, "adam").configure(**given), {"epsilon": 0.1}, "`eps`"),
    (lambda p, **given: fastopt.Adam(p).configure(**given), {"bettas": 0.1}, "`betas`"),
    (lambda p, **given: fastopt.functional.sgd(p, p.copy(), step=1, **given), {"learning_rate": 0.1}, "`lr`"),
    (lambda p, **given: fastopt.functional.sgd(p, p.copy(), step=1, **given), {"grad_scal": 0.1}, "`grad_scale`"),
]


@pytest.mark.parametrize(("call", "given", "hint"), HINTS)
def test_a_name_from_elsewhere_gets_a_hint(call: Callable[..., Any], given: dict[str, Any], hint: str) -> None:
    p = np.ones(2)
    with pytest.raises(TypeError, match=rf"^{next(iter(given))}: .* has no such hyperparameter; did you mean {hint}\? Expected some of lr"):
        call(p, **given)
    assert p.tolist() == [1.0, 1.0]


def test_a_name_like_none_gets_no_hint() -> None:
    with pytest.raises(
        TypeError, match=r"^zzz: Adam has no such hyperparameter; expected some of lr, betas, eps, amsgrad, eps_root, eps_hat,"
    ):
        fastopt.Adam(np.ones(2), zzz=1)  # type: ignore[call-arg]


# ------------------------------------------------------------------------------------------- bare rules, initial states, memory


def test_the_family_of_a_bare_rule() -> None:
    family = Family.of(RULES["adam"])
    assert family is Family.of(RULES["adam"])
    assert list(family.arguments) == ["lr", *RULES["adam"].hyperparameters, *COMMON]
    assert family.settle({"betas": [0, 0.5], "eps": 1}).settings.hyperparameters == {
        "betas": (0.0, 0.5), "eps": 1.0, "eps_root": 0.0, "eps_hat": False, "bias_correction": (True, True),
    }  # fmt: skip
    with pytest.raises(TypeError, match=r"^lr: rule 'bare' has no default learning rate; expected a finite number >= 0, received None$"):
        Family.of(Rule("bare", lambda p, g: (p,))).settle({})


def test_states_that_do_not_begin_at_zero() -> None:
    def with_states(p, g, average, accumulator, constant, lr):
        return p - lr * g, average + p, accumulator + g * g, constant * constant

    states = {"average": COPY, "accumulator": "start", "constant": 2.5}
    with pytest.raises(ValueError, match=r"^rule 'with_states': 'accumulator' begins as 'start', which is no hyperparameter of it"):
        fastopt.rule(states=states, default_lr=0.5)(with_states)
    made = fastopt.rule(states=states, hyperparameters={"start": 0.25}, scalars=lambda step, lr, start: (lr,), default_lr=0.5)(with_states)
    assert made.states == ("average", "accumulator", "constant")
    assert [made.initial(state, {"start": 0.75}) for state in made.states] == [COPY, 0.75, 2.5]
    for backend in ("numpy", "numba"):
        params = [np.array([1.0, -2.0]), np.array([3.0], np.float32)]
        optimizer = fastopt.Optimizer(params, made, start=0.5, backend=backend)
        begun = optimizer.state_dict()["state"]
        assert [[s.tolist() for s in begun[name]] for name in made.states] == [
            [[1.0, -2.0], [3.0]],
            [[0.5, 0.5], [0.5]],
            [[2.5, 2.5], [2.5]],
        ]
        optimizer.step([np.array([2.0, 4.0]), np.array([2.0], np.float32)])
        after = optimizer.state_dict()["state"]
        assert [[s.tolist() for s in after[name]] for name in made.states] == [
            [[2.0, -4.0], [6.0]],
            [[4.5, 16.5], [4.5]],
            [[6.25, 6.25], [6.25]],
        ]


def test_scalars_with_a_memory() -> None:
    def scalars(step: int, lr: float, product: float, momentum: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
        product = product * momentum * step
        return (lr / product,), (product,)

    def remembering(p, g, rate):
        return (p - rate * g,)

    made = fastopt.rule(memory={"product": 1.0}, hyperparameters={"momentum": 0.5}, scalars=scalars, default_lr=1.0)(remembering)
    assert made.memory == {"product": 1.0}
    memory: tuple[float, ...] = tuple(made.memory.values())
    for step, (scalar, product) in enumerate([(2.0, 0.5), (2.0, 0.5), (4 / 3, 0.75)], 1):
        values, after = made.scalars(step, 1.0, *memory, momentum=0.5)
        assert (values, after) == made.scalars_with({"momentum": 0.5})(step, 1.0, *memory)
        assert (values, after) == ((scalar,), (product,))
        memory = after
    with pytest.raises(ValueError, match=r"^rule 'remembering': expected of `scalars` \(the scalars, the new values of product\)"):
        fastopt.rule(memory={"product": 1.0}, scalars=lambda step, lr, product: (lr, product))(remembering)
