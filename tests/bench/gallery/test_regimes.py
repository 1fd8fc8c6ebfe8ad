"""Four learning rates and what the package calls them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.gallery import regimes
from fastopt.training import regimes_of

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


def test_the_four_rates_are_the_four_regimes() -> None:
    """At the picture's own size, in a third of a second. At a rate of 1 the CPU (the last bits of products) says whether it overshoots."""
    found = regimes_of(regimes.losses(regimes.RATES, 30))
    assert {rate: verdict.regime for rate, verdict in found.items()} == {30.0: "diverges", 2.0: "plateaus", 0.1: "good", 0.01: "slow"}


def test_all_begin_alike_and_the_same_comes_again() -> None:
    first = regimes.losses((1.0, 0.01), 2)
    assert first[1.0][0] == first[0.01][0]
    assert first[1.0][1] != first[0.01][1]
    assert len(first[1.0]) == 3
    assert regimes.losses((1.0, 0.01), 2) == first


def test_the_picture_has_the_verdicts_of_its_run(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.svg"
    caption = regimes.draw(path, 8)
    drawn = path.read_text()
    for rate, verdict in regimes_of(regimes.losses(regimes.RATES, 8)).items():
        assert f"<!-- {rate:g}: {verdict.regime} -->" in drawn
        assert f"**{rate:g}** {verdict.regime}: {verdict.cause}" in caption
