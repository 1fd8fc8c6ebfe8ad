"""Parameters as steps compute with them: out of an optimizer and into one, all or none, and so from one storage into another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.storage import STORAGES
from fastopt.storage.split import SPLIT24, SPLIT32, parted

pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")

Array = np.ndarray[Any, Any]
BFLOAT16 = STORAGES["bfloat16"].dtype


def alike(a: Array, b: Array) -> bool:
    return bool((a.view(np.uint16) == b.view(np.uint16)).all())


@pytest.mark.parametrize("bits", [32, 24])
def test_float32_converts_both_ways(bits: int, tmp_path: Any) -> None:
    """Parameters by `load_master_params`, states by `convert`."""
    rng = np.random.default_rng(3)
    whole = rng.standard_normal(700).astype(np.float32)
    plain = fastopt.Adam(whole)
    for _ in range(3):
        plain.step(rng.standard_normal(700).astype(np.float32))
    plain.save(tmp_path / "plain")
    narrow = np.zeros(700, BFLOAT16)
    split = fastopt.Adam(narrow, master_bits=bits, grad_dtype="float32")
    with pytest.raises(ValueError, match="float32"):
        split.load(tmp_path / "plain")
    split.load(tmp_path / "plain", convert=True)
    split.load_master_params(whole)
    kept = split.master_params()
    assert kept.dtype == np.float32
    assert np.abs(kept / whole - 1).max() <= (0 if bits == 32 else 2.0**-16)
    assert alike(narrow, parted(SPLIT32 if bits == 32 else SPLIT24, whole, BFLOAT16)[0])
    g = rng.standard_normal(700).astype(np.float32)
    plain.step(g)
    split.step(g)
    if bits == 32:
        assert (split.master_params().view(np.uint32) == whole.view(np.uint32)).all()
    split.save(tmp_path / "split")
    back = fastopt.Adam(np.zeros(700, np.float32))
    back.load(tmp_path / "split", convert=True)
    back.load_master_params(split.master_params())
    assert (back.master_params() == split.master_params()).all()
    assert back.steps == 4
    assert (back.state_dict()["state"]["m"] == split.state_dict()["state"]["m"]).all()


def test_a_bfloat16_checkpoint_converts_both_ways() -> None:
    """Corrections begin at 0; what was drawn, or kept in 24 bits, goes into 32 as it is, and back to the nearest."""
    narrow = np.random.default_rng(0).standard_normal(500).astype(BFLOAT16)
    optimizers = [
        fastopt.Adam(narrow.copy()),
        fastopt.Adam(narrow.copy(), master_bits=24),
        fastopt.Adam(narrow.copy(), master_bits=32),
    ]
    for _ in range(3):
        for optimizer in optimizers:
            optimizer.step(np.random.default_rng(4).standard_normal(500).astype(BFLOAT16))
    for giver in optimizers:
        for bits in (None, 24, 32):
            p = np.asarray(giver.params).copy()
            taker = fastopt.Adam(p, master_bits=bits)
            taker.load_state_dict(giver.state_dict(), convert=True)
            error = np.abs(taker.master_params() - giver.master_params())
            unit = np.abs(giver.master_params()) * 2.0 ** -(8 if bits is None else 16 if bits == 24 else 40)
            assert (error <= unit).all(), bits


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        (np.ones(3), TypeError, r"^values: expected a NumPy array of float32 or bfloat16, received float64$"),
        (np.ones(4, np.float32), ValueError, r"^values has shape \(4,\), its parameter params has shape \(3,\)$"),
        ([np.ones(3, np.float32)], TypeError, r"^values"),
    ],
)
def test_master_params_that_do_not_fit(values: Any, error: type[Exception], words: str) -> None:
    p = np.ones(3, BFLOAT16)
    optimizer = fastopt.Adam(p, master_bits=32)
    with pytest.raises(error, match=words):
        optimizer.load_master_params(values)
    assert (p == 1).all()


def test_all_master_params_or_none() -> None:
    params = [np.ones(3, BFLOAT16), np.ones(4, BFLOAT16)]
    optimizer = fastopt.Adam(params, master_bits=32)
    with pytest.raises(ValueError, match=r"^values\[1\] has shape \(5,\)"):
        optimizer.load_master_params([np.zeros(3, np.float32), np.zeros(5, np.float32)])
    assert all((p == 1).all() for p in params)


@pytest.mark.parametrize("order", ["C", "F"])
def test_master_params_of_any_layout(order: Any) -> None:
    rng = np.random.default_rng(5)
    p = np.zeros((7, 11), BFLOAT16, order=order)
    optimizer = fastopt.Adam(p, master_bits=32)
    values = rng.standard_normal((7, 11)).astype(np.float32)
    optimizer.load_master_params(values)
    assert (optimizer.master_params() == values).all()
    assert alike(p.reshape(-1), parted(SPLIT32, values.reshape(-1), BFLOAT16)[0])
