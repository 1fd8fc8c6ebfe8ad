"""A kernel is one thing: made once, named by all that decides what is compiled."""

from __future__ import annotations

from fastopt.backends import cython_backend
from fastopt.kernel import AHEAD
from fastopt.rules.entry import RULES
from tests.kernels import kernel


def test_made_once_for_a_rule_and_its_storages() -> None:
    assert kernel("adam") is kernel("adam")
    others = cython_backend.ahead(RULES["adam"])
    assert len({id(own) for own in others}) == len(others) == 2 * len(AHEAD)
    assert kernel("sgd", state="bfloat16") is kernel("sgd", state="float32"), "a rule without states has none to store"


def test_names_tell_kernels_apart() -> None:
    kernels = {id(own): own.name for rule in RULES.values() for own in cython_backend.ahead(rule)}
    assert len(set(kernels.values())) == len(kernels)
    assert kernel("adam", coupled=True).name == "adam_l2_float32"
    assert kernel("momentum", False, "bfloat16", "float16", "float32").name == "momentum_bfloat16_float16_float32"


def test_what_it_computes_in_and_moves() -> None:
    mixed = kernel("adam", False, "bfloat16", "float16", "float32")
    assert (mixed.compute, mixed.gradient.name) == ("float32", "float16")
    assert mixed.bytes_per_parameter == 2 * 2 + 2 + 2 * (4 + 4)
    assert kernel("adam", dtype="float64").compute == "float64"
    assert kernel("adam").bytes_per_parameter == RULES["adam"].bytes_per_parameter(4) == 28
    assert kernel("sgd").bytes_per_parameter == 12
    assert kernel("adam").scalar_count == len(RULES["adam"].scalar_names) + 2
