"""Between other work: the rest and the product come before every step that is timed, and are not timed with it."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import pytest

from bench import test_between as between
from bench.interleave import Contender, Rounds


def test_each_step_has_its_own_rest_or_product_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Contender] = {}

    def kept(contenders: Mapping[str, Contender], budget: float) -> Rounds:
        given.update(contenders)
        return Rounds({name: [1.0] for name in contenders}, dict.fromkeys(contenders, 1))

    monkeypatch.setattr(between, "interleave", kept)
    row = between._measured(1_000, 1, 0.0)
    assert list(row.seconds) == between.CONTENDERS
    assert row.subject == "fastopt: in a loop"
    assert (row["elements"], row["rest"], row["side"]) == (1_000, between.REST, between.SIDE)

    done: list[str] = []
    monkeypatch.setattr(time, "sleep", lambda seconds: done.append(f"rest {seconds}"))
    monkeypatch.setattr(np, "matmul", lambda a, b, out: done.append(f"product {a.shape} {b.shape} {out.shape}"))
    expected = {
        "in a loop": [],
        "after a rest": [f"rest {between.REST}"] * 3,
        "20 from a rest": [f"rest {between.REST}"] * 2,
        "between products": [f"product {(between.SIDE,) * 2} {(between.SIDE,) * 2} {(between.SIDE,) * 2}"] * 3,
    }
    for name, contender in given.items():
        assert (contender.lead_in > 0) == name.endswith("in a loop"), name
        done.clear()
        contender.block(20 if contender.burst == 20 else 2)  # and the one before the clock starts
        assert done == expected[name.split(": ")[1]], name


def test_polling_threads_are_waited_for_after_products_and_after_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: dict[str, float] = {}

    def kept(contenders: Mapping[str, Contender], budget: float) -> Rounds:
        waits.update({name: contender.settle * contender.polls for name, contender in contenders.items()})
        return Rounds({name: [1.0] for name in contenders}, dict.fromkeys(contenders, 1))

    monkeypatch.setattr(between, "interleave", kept)
    between._measured(1_000, 1, 0.0)
    for name, seconds in waits.items():
        assert (seconds == between.BLAS_SETTLES) == name.endswith("between products"), name
        assert (seconds > 0) == (not name.startswith("fastopt") or name.endswith("between products")), name
