"""Changes to an optimizer that stands: attributes, `configure`, `load_state_dict`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastopt.backends import HOST as BACKENDS
from fastopt.optimizers.base import Optimizer
from tests.bad_calls.arrays import swapped
from tests.bad_calls.situation import build
from tests.conftest import needed


def loaded(**changes: Any) -> Callable[[Optimizer], None]:
    return lambda o: o.load_state_dict({**o.state_dict(), **changes})


def loaded_state(change: Callable[[dict[str, Any]], Any]) -> Callable[[Optimizer], None]:
    """Loads a state after a change to it, with everything else at other values: none of it may be taken over."""

    def load(o: Optimizer) -> None:
        other = o.state_dict()
        state = {name: {key: array + 1.0 for key, array in arrays.items()} for name, arrays in other["state"].items()}
        groups = [{**group, "lr": 0.77} for group in other["groups"]]
        o.load_state_dict({**other, "steps": 77, "groups": groups, "state": change(state)})

    return load


def loaded_group(**changes: Any) -> Callable[[Optimizer], None]:
    return lambda o: o.load_state_dict({**o.state_dict(), "groups": [{**o.state_dict()["groups"][0], **changes}]})


def loaded_slot(**changes: Any) -> Callable[[Optimizer], None]:
    return lambda o: o.load_state_dict({**o.state_dict(), "slots": [{**o.state_dict()["slots"][0], **changes}]})


def assign(name: str, value: Any) -> Callable[[Optimizer], None]:
    return lambda o: setattr(o, name, value)


def without(key: str) -> Callable[[Optimizer], None]:
    return lambda o: o.load_state_dict({name: value for name, value in o.state_dict().items() if name != key})


WHOLE_STATE = r"^state_dict: expected a mapping with steps, groups, slots, state; received "
GROUPS = r"^state_dict\['groups'\]: "
STATE_NAMES = r"^state_dict\['state'\]: expected a mapping with \['m', 'v'\]; received "

CHANGES: list[tuple[str, Callable[[Optimizer], None], type[Exception], str]] = [
    ("lr: negative", assign("lr", -1.0), ValueError, r"^lr: expected a finite number >= 0, received -1\.0$"),
    ("lr: NaN", assign("lr", math.nan), ValueError, "^lr: "),
    ("lr: string", assign("lr", "0.1"), TypeError, "^lr: "),
    ("lr: None", assign("lr", None), TypeError, "^lr: .* received None$"),
    ("steps", assign("steps", 3), AttributeError, "steps"),
    ("rule", assign("rule", "sgd"), AttributeError, "rule"),
    ("backend", assign("backend", "numpy"), AttributeError, "backend"),
    (
        "configure: unknown name",
        lambda o: o.configure(lr=0.5, momentum=0.9),
        TypeError,
        "^momentum: rule 'adam' has no such hyperparameter",
    ),
    ("configure: the second bad", lambda o: o.configure(lr=0.5, eps=-1.0), ValueError, "^eps: "),
    ("configure: the first bad", lambda o: o.configure(eps=math.nan, weight_decay=0.5), ValueError, "^eps: "),
    ("configure: betas", lambda o: o.configure(betas=(0.5, 2.0), lr=0.5), ValueError, r"^betas\[1\]: "),
    ("configure: flag", lambda o: o.configure(maximize="yes"), TypeError, "^maximize: "),
    ("configure: what is not configured", lambda o: o.configure(backend="numpy"), TypeError, "^backend: rule 'adam' has no such"),
    ("configure: positional", lambda o: o.configure(0.5), TypeError, "positional"),  # type: ignore[call-arg]
    ("load: None", lambda o: o.load_state_dict(None), ValueError, WHOLE_STATE + "NoneType$"),  # type: ignore[arg-type]
    ("load: empty", lambda o: o.load_state_dict({}), ValueError, WHOLE_STATE + r"\[\]$"),
    ("load: list", lambda o: o.load_state_dict([1]), ValueError, WHOLE_STATE + "list$"),  # type: ignore[arg-type]
    ("load: more", loaded(extra=1), ValueError, WHOLE_STATE + r"\[.*'extra'\]$"),
    *((f"load: without {key}", without(key), ValueError, WHOLE_STATE) for key in ("steps", "groups", "slots", "state")),
    (
        "load: another rule",
        loaded_group(rule="amsgrad"),
        ValueError,
        r"^state_dict\['groups'\]\[0\]\['rule'\]: expected 'adam', received 'amsgrad'$",
    ),
    ("load: negative steps", loaded(steps=-1), ValueError, r"^state_dict\['steps'\]: expected an integer >= 0, received -1$"),
    ("load: steps as a float", loaded(steps=3.0), TypeError, r"^state_dict\['steps'\]: expected an integer >= 0, received 3\.0"),
    ("load: steps as a flag", loaded(steps=True), TypeError, r"^state_dict\['steps'\]"),
    ("load: steps beyond 64 bits", loaded(steps=10**400), ValueError, r"^state_dict\['steps'\]: .* of 64 bits"),
    ("load: negative lr", loaded_group(lr=-1.0), ValueError, "^lr: "),
    ("load: groups as None", loaded(groups=None), ValueError, GROUPS + "expected 1 groups, received NoneType$"),
    ("load: no groups", loaded(groups=[]), ValueError, GROUPS + "expected 1 groups, received 0$"),
    (
        "load: a group as a list",
        loaded(groups=[[1]]),
        ValueError,
        r"^state_dict\['groups'\]\[0\]: expected a mapping with .*; received list$",
    ),
    (
        "load: hyperparameter unknown",
        loaded_group(momentum=0.9),
        ValueError,
        r"^state_dict\['groups'\]\[0\]: expected a mapping with .*'momentum'",
    ),
    ("load: hyperparameter bad", loaded_group(eps=-1.0), ValueError, "^eps: "),
    ("load: other positions", loaded_group(params=[1, 0]), ValueError, r"^state_dict\['groups'\]\[0\]\['params'\]: expected the positions"),
    (
        "load: another storage",
        loaded_group(state_dtype="float64"),
        ValueError,
        r"\['state_dtype'\]: expected None, received 'float64'; convert=True takes states of another storage$",
    ),
    ("load: slots as None", loaded(slots=None), TypeError, r"^state_dict\['slots'\]: expected a sequence, received NoneType$"),
    (
        "load: no slots",
        loaded(slots=[]),
        ValueError,
        r"^state_dict\['slots'\]: expected the steps of every parameter, received none for .* 0$",
    ),
    ("load: a slot without steps", loaded(slots=[{"memory": {}, "params": [0, 1]}]), ValueError, r"^state_dict\['slots'\]\[0\]: expected"),
    (
        "load: a slot's steps",
        loaded_slot(steps=-2),
        ValueError,
        r"^state_dict\['slots'\]\[0\]\['steps'\]: expected an integer >= 0, received -2$",
    ),
    ("load: a slot for no parameter", loaded_slot(params=[0, 2]), ValueError, r"\['params'\]: expected positions .*; received 2$"),
    ("load: a parameter twice", loaded_slot(params=[0, 0]), ValueError, r"\['params'\]: expected positions .*, each once; received 0$"),
    ("load: a parameter without a slot", loaded_slot(params=[1]), ValueError, "received none for the one at 0$"),
    ("load: memory of no rule", loaded_slot(memory={"x": 1.0}), ValueError, r"\['memory'\]: expected \[\], received \['x'\]$"),
    ("load: state as None", loaded(state=None), ValueError, STATE_NAMES + "NoneType$"),
    ("load: state without v", loaded_state(lambda s: {"m": s["m"]}), ValueError, STATE_NAMES + r"\['m'\]$"),
    ("load: state with more", loaded_state(lambda s: {**s, "x": s["m"]}), ValueError, STATE_NAMES + r"\['m', 'v', 'x'\]$"),
    (
        "load: state in another structure",
        loaded_state(lambda s: {**s, "v": list(s["v"].values())}),
        TypeError,
        r"^state_dict\['state'\]\['v'\]: expected a mapping",
    ),
    (
        "load: state with a name missing",
        loaded_state(lambda s: {**s, "v": {"w": s["v"]["w"]}}),
        ValueError,
        r"^state_dict\['state'\]\['v'\]: .*'b' is missing",
    ),
    (
        "load: state of another shape",
        loaded_state(lambda s: {**s, "v": {**s["v"], "b": np.zeros(4)}}),
        ValueError,
        r"^state_dict\['state'\]\['v'\]\['b'\] has shape \(4,\), its parameter params\['b'\] has shape \(3,\)$",
    ),
    (
        "load: state of another dtype",
        loaded_state(lambda s: {**s, "v": {**s["v"], "b": np.zeros(3, np.float32)}}),
        TypeError,
        r"^state_dict\['state'\]\['v'\]\['b'\]: expected dtype float64 like params\['b'\], received float32$",
    ),
    (
        "load: state as numbers",
        loaded_state(lambda s: {**s, "v": {**s["v"], "b": [1.0, 2.0, 3.0]}}),
        TypeError,
        r"\['b'\]: expected a NumPy array",
    ),
    (
        "load: state byte-swapped",
        loaded_state(lambda s: {**s, "v": {**s["v"], "b": swapped(s["v"]["b"])}}),
        TypeError,
        "foreign byte order",
    ),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("change", "error", "words"), [pytest.param(*rest, id=name) for name, *rest in CHANGES])
def test_change(change: Callable[[Optimizer], None], error: type[Exception], words: str, backend: str) -> None:
    needed(backend)
    situation, twin = build("mapping", backend=backend), build("mapping", backend=backend)
    before = situation.bits()
    with pytest.raises(error, match=words):
        change(situation.optimizer)
    assert situation.bits() == before
    for own in (situation, twin):
        own.optimizer.step(own.good(6))
    assert situation.bits() == twin.bits(), "the step after the bad call is another one"
