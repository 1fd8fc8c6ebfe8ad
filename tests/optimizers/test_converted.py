"""States by blocks in dictionaries, files, copies and pickles as they are in memory; from one storage into another if somebody says so."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt

pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")

Array = np.ndarray[Any, Any]
SIZES = (5000, 30, 4096)


def params() -> dict[str, Array]:
    rng = np.random.default_rng(0)
    whole = {f"w{k}": rng.standard_normal(size).astype(np.float32) for k, size in enumerate(SIZES)}
    whole["w0"] = whole["w0"].reshape(50, 100)
    return whole


def grads(step: int) -> dict[str, Array]:
    rng = np.random.default_rng(step)
    return {name: rng.standard_normal(p.shape).astype(np.float32) for name, p in params().items()}


def trained(steps: range, optimizer: Any) -> Any:
    for step in steps:
        optimizer.step(grads(step))
    return optimizer


def same(a: Any, b: Any) -> None:
    for name, p in a.params.items():
        np.testing.assert_array_equal(p, b.params[name])
    for name, values in a.state_dict()["state"].items():
        for key, value in values.items():
            np.testing.assert_array_equal(value, b.state_dict()["state"][name][key])


def test_what_a_dictionary_has() -> None:
    state = trained(range(3), fastopt.Adam(params(), state_dtype="int8")).state_dict()["state"]
    assert list(state) == ["m", "v", "m_scale", "v_scale"]
    assert {name: None if a is None else (a.dtype.name, a.shape) for name, a in state["v"].items()} == {
        "w0": ("uint8", (50, 100)),
        "w1": ("float32", (30,)),
        "w2": ("uint8", (4096,)),
    }
    assert state["m"]["w0"].dtype == np.int8
    assert state["m_scale"]["w1"] is None
    assert state["m_scale"]["w0"].shape == (20,)


@pytest.mark.parametrize("options", [{"state_dtype": "int8"}, {"state_dtype": "bfloat16"}, {"state_dtype": "int8", "narrow_from": 10}])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(options: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    whole = trained(range(6), fastopt.Adam(params(), 0.1, **options))
    half = trained(range(3), fastopt.Adam(params(), 0.1, **options))
    half.save(tmp_path / "half.safetensors")
    begun = fastopt.Adam(copy.deepcopy(half.params), 0.5, **options)
    begun.load(tmp_path / "half.safetensors")
    for other in (begun, copy.deepcopy(half), pickle.loads(pickle.dumps(half))):
        same(trained(range(3, 6), other), whole)


def test_another_storage_is_refused_unless_somebody_says_so() -> None:
    wide = trained(range(4), fastopt.Adam(params(), 0.1))
    saved = wide.state_dict()
    narrow = fastopt.Adam(copy.deepcopy(wide.params), 0.1, state_dtype="int8")
    before = narrow.state_dict()
    with pytest.raises(
        ValueError, match=r"\['state_dtype'\]: expected 'int8', received None; convert=True takes states of another storage$"
    ):
        narrow.load_state_dict(saved)
    with pytest.raises(TypeError, match=r"^convert: expected True or False"):
        narrow.load_state_dict(saved, convert=1)
    assert narrow.steps == 0
    np.testing.assert_equal(narrow.state_dict(), before)
    narrow.load_state_dict(saved, convert=True)
    assert narrow.steps == 4
    assert narrow.groups[0].state_dtype == "int8"
    back = fastopt.Adam(copy.deepcopy(wide.params), 0.1)
    back.load_state_dict(narrow.state_dict(), convert=True)
    for name, error in (("m", 0.02), ("v", 0.13)):
        for key, value in saved["state"][name].items():
            found = back.state_dict()["state"][name][key]
            assert found.dtype == np.float32
            assert np.linalg.norm(found - value) < error * np.linalg.norm(value)
            assert (found == value).all() == (key == "w1")
    assert (back.state_dict()["state"]["v"]["w0"] > 0).all()
    # and what was narrow stays what it stands for, to the bit
    again = fastopt.Adam(copy.deepcopy(wide.params), 0.1, state_dtype="int8")
    again.load_state_dict(back.state_dict(), convert=True)
    np.testing.assert_array_equal(again.state_dict()["state"]["m"]["w2"], narrow.state_dict()["state"]["m"]["w2"])


def test_between_bfloat16_and_int8() -> None:
    of_two_bytes = trained(range(4), fastopt.Adam(params(), 0.1, state_dtype="bfloat16"))
    narrow = fastopt.Adam(copy.deepcopy(of_two_bytes.params), 0.1, state_dtype="int8", narrow_from=0)
    narrow.load_state_dict(of_two_bytes.state_dict(), convert=True)
    back = fastopt.Adam(copy.deepcopy(of_two_bytes.params), 0.1, state_dtype="bfloat16")
    back.load_state_dict(narrow.state_dict(), convert=True)
    for key, value in of_two_bytes.state_dict()["state"]["m"].items():
        found = back.state_dict()["state"]["m"][key].astype(np.float32)
        assert np.linalg.norm(found - value.astype(np.float32)) < 0.02 * np.linalg.norm(value.astype(np.float32))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"m_scale": None}, "expected"),
        ({"m": {"w0": np.zeros((50, 100), np.float32)}}, "expected dtype int8"),
        ({"m_scale": {"w0": np.zeros(19, np.float32)}}, "has shape"),
        ({"m_scale": {"w1": np.zeros(1, np.float32)}}, "expected None"),
    ],
)
@pytest.mark.parametrize("convert", [False, True])
def test_codes_and_scales_that_do_not_fit_are_refused(changed: dict[str, Any], words: str, convert: bool) -> None:
    optimizer = trained(range(2), fastopt.Adam(params(), state_dtype="int8"))
    saved = optimizer.state_dict()
    for name, values in changed.items():
        saved["state"][name] = {**saved["state"][name], **values} if values is not None else values
    if convert and "m" in changed:
        saved["state"]["m_scale"]["w0"] = None
        optimizer.load_state_dict(saved, convert=True)  # float32 numbers are what `convert` is for
        return
    before = optimizer.state_dict()
    with pytest.raises((TypeError, ValueError), match=words):
        optimizer.load_state_dict(saved, convert=convert)
    np.testing.assert_equal(optimizer.state_dict(), before)


def test_configure_keeps_what_there_is() -> None:
    """AMSGrad keeps the first two states with their scales, and begins a third one."""
    optimizer = trained(range(3), fastopt.Adam(params(), state_dtype="int8"))
    before = optimizer.state_dict()["state"]
    optimizer.configure(amsgrad=True)
    after = optimizer.state_dict()["state"]
    assert set(after) - set(before) == {"v_max", "v_max_scale"}
    for name, values in before.items():
        np.testing.assert_equal(after[name], values)
    trained(range(3, 5), optimizer)
    with pytest.raises(ValueError, match=r"^state_dtype: expected 'int8', as the states are; received another$"):
        optimizer.configure(state_dtype=None)
    with pytest.raises(ValueError, match=r"^narrow_from: expected None, as the states are; received another$"):
        optimizer.configure(narrow_from=7)


def test_an_initial_value_is_kept_exactly() -> None:
    adagrad = fastopt.AdaGrad(params(), initial_accumulator_value=0.3, state_dtype="int8", narrow_from=0)
    state = adagrad.state_dict()["state"]
    assert set(np.unique(state["h"]["w0"])) == {255}
    back = fastopt.AdaGrad(params())
    back.load_state_dict(adagrad.state_dict(), convert=True)
    np.testing.assert_allclose(back.state_dict()["state"]["h"]["w0"], 0.3, rtol=2e-7)


def test_another_order_of_dimensions_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^state_dtype: expected C-contiguous parameters beside int8, received params of shape \(70, 80\)"
    ):
        fastopt.Adam(np.ones((80, 70), np.float32).T, state_dtype="int8")
    fastopt.Adam(np.ones((80, 70), np.float32).T, state_dtype="int8", narrow_from=6000)


def test_groups_have_storages_of_their_own() -> None:
    own = list(params().values())
    optimizer = fastopt.Adam([{"params": own[:1], "state_dtype": "int8"}, {"params": own[1:], "state_dtype": "bfloat16"}], 0.1)
    for step in range(2):
        every = list(grads(step).values())
        optimizer.step([every[:1], every[1:]])
    optimizer.add_param_group({"params": [np.ones(5000, np.float32)], "state_dtype": None})
    kinds = [[a.dtype.name for a in group if a is not None] for group in optimizer.state_dict()["state"]["m"]]
    assert kinds == [["int8"], ["bfloat16", "bfloat16"], ["float32"]]
    assert [group.state_dtype for group in optimizer.groups] == ["int8", "bfloat16", None]
