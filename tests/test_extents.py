"""Memory as spans of addresses: overlaps are found in any order, and named."""

from __future__ import annotations

import pytest

from fastopt.extents import Extents, Span, refuse_overlap

PIECES = [Span(1000 + 10 * i, 10, f"piece {i}") for i in range(10)]


def test_spans_that_touch_do_not_overlap() -> None:
    refuse_overlap(reversed(PIECES))
    refuse_overlap([*PIECES, Span(1035, 0, "empty")])
    refuse_overlap([])


@pytest.mark.parametrize("span", [(1009, 2), (1095, 1), (1000, 1), (900, 300), (999, 2)])
def test_any_overlap_is_found(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="overlap in memory: expected arrays that share no element"):
        refuse_overlap([*PIECES, Span(*span, "more")])


def test_a_long_one_over_a_short_one_with_another_after_it() -> None:
    with pytest.raises(ValueError, match=r"^a and c overlap"):
        refuse_overlap([Span(0, 50, "a"), Span(60, 10, "b"), Span(40, 1, "c")])


def test_what_is_written_may_not_overlap_itself() -> None:
    with pytest.raises(ValueError, match=r"^a and b overlap"):
        Extents([Span(0, 10, "a"), Span(9, 1, "b")])


def test_extents_refuse_what_meets_them_and_name_both() -> None:
    extents = Extents([*PIECES, Span(5000, 100, "far")])
    extents.refuse([Span(900, 100, "before"), Span(1100, 10, "behind"), Span(5050, 0, "empty"), Span(5100, 1, "touching")])
    extents.refuse([])
    for span in (Span(999, 2, "g"), Span(1099, 5, "g"), Span(5050, 1, "g"), Span(0, 10_000, "g")):
        with pytest.raises(ValueError, match="overlap") as caught:
            extents.refuse([Span(900, 10, "good"), span])
        assert "g" in str(caught.value).split(" overlap")[0].split(" and ")
    Extents([]).refuse([Span(0, 10, "g")])
