"""An optimizer's arguments as attributes: read, set, and nothing else taken for one."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import fastopt


class Early(fastopt.Adam):
    """One that begins with what is its own."""

    def __init__(self, params: Any) -> None:
        self.early = "before"
        super().__init__(params)


class Noted(fastopt.Adam):
    """One that somebody keeps a note with."""

    note: str | None = None


def test_an_argument_is_set_by_its_name_as_configure_does() -> None:
    p, beside = [np.ones(5), np.ones(3, np.float32)], [np.ones(5), np.ones(3, np.float32)]
    opt, configured = fastopt.Adam(p), fastopt.Adam(beside)
    changes = {"weight_decay": 0.25, "betas": (0.5, 0.75), "eps": 1e-3, "amsgrad": True, "maximize": True, "lr": 0.5}
    for name, value in changes.items():
        setattr(opt, name, value)
        configured.configure(**{name: value})
        assert getattr(opt, name) == value
        for each, arrays in ((opt, p), (configured, beside)):
            each.step([0.5 * a for a in arrays])
        assert all((a == b).all() for a, b in zip(p, beside, strict=True)), name
    assert opt.rule.name == "amsgrad"
    with pytest.raises(ValueError, match=r"^weight_decay: expected a finite number >= 0, received -1.0$"):
        opt.weight_decay = -1.0
    assert opt.weight_decay == 0.25
    for change in (lambda: setattr(opt, "lr", None), lambda: opt.configure(lr=None), lambda: setattr(opt.groups[0], "lr", None)):
        with pytest.raises(TypeError, match=r"^lr: expected a finite number >= 0, received None$"):
            change()
    assert opt.lr == 0.5


def test_an_argument_of_several_groups() -> None:
    opt = fastopt.SGD([{"params": np.ones(3)}, {"params": np.ones(3), "weight_decay": 0.5}], momentum=0.9)
    assert opt.momentum == 0.9
    with pytest.raises(AttributeError, match=r"^weight_decay: the groups have different ones; see groups\[i\].weight_decay$"):
        _ = opt.weight_decay
    opt.weight_decay = 0.125
    assert [group.weight_decay for group in opt.groups] == [0.125, 0.125]
    assert opt.weight_decay == 0.125


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("learning_rate", r"^learning_rate: Adam has no such hyperparameter; did you mean `lr`\? Expected some of "),
        ("weigth_decay", r"^weigth_decay: Adam has no such hyperparameter; did you mean `weight_decay`\? Expected some of "),
        ("momentum", r"^momentum: Adam has no such hyperparameter; "),
        ("note", r"; attributes of its own are for a subclass, which may declare them$"),
        ("state_dtype", r"^state_dtype: "),
        ("steps", r"has no setter"),
    ],
)
def test_what_is_no_argument_is_refused(name: str, message: str) -> None:
    """It was accepted once, and did nothing."""
    opt = fastopt.Adam(np.ones(3))
    with pytest.raises(AttributeError, match=message):
        setattr(opt, name, 0.5)
    with pytest.raises(AttributeError, match=rf"has no attribute '{name}_'$"):
        getattr(opt, f"{name}_")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda opt: pickle.loads(pickle.dumps(opt))])
def test_a_copy_keeps_what_a_subclass_has_beside(copied: Any) -> None:
    assert copied(Early(np.ones(3))).early == "before"
    opt = Noted(np.ones(3))
    assert opt.note is None
    opt.note = "warm"
    opt.eps = 1e-3
    other = copied(opt)
    assert (other.note, other.eps) == ("warm", 1e-3)
    opt.other = 3  # type: ignore[attr-defined]
    assert opt.other == 3
    with pytest.raises(AttributeError, match=r"did you mean `weight_decay`"):
        opt.weight_decai = 0.5  # type: ignore[attr-defined]
    assert {"note", "eps", "betas", "lr", "step"} <= set(dir(other))


def test_optimizers_of_one_class_have_the_arguments_of_their_rules() -> None:
    adam, sgd = fastopt.Optimizer(np.ones(3), "adam"), fastopt.Optimizer(np.ones(3), "sgd", 0.5)
    assert adam.betas == (0.9, 0.999)
    assert ("betas" in dir(adam), "betas" in dir(sgd)) == (True, False)
    with pytest.raises(AttributeError, match=r"'Optimizer' object has no attribute 'betas'$"):
        _ = sgd.betas
    with pytest.raises(AttributeError, match=r"^betas: rule 'sgd' has no such hyperparameter"):
        sgd.betas = (0.5, 0.5)
    assert not hasattr(type(adam), "__getattr__"), "it would make every access to an attribute dearer, and there are some in each step"


def test_a_copy_takes_what_auto_is_where_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle made where cython is there failed where it is not, though "auto" had been asked for."""
    pickled = pickle.dumps(fastopt.Adam(np.ones(3))), pickle.dumps(fastopt.Adam(np.ones(3), backend="numpy"))
    monkeypatch.setenv("FASTOPT_BACKEND", "numpy")
    assert [pickle.loads(each).backend for each in pickled] == ["numpy", "numpy"]
    monkeypatch.delenv("FASTOPT_BACKEND")
    assert pickle.loads(pickled[0]).backend == fastopt.Adam(np.ones(3)).backend
