"""Memory as addresses and sizes: overlaps are found in any order, and named."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from fastopt.extents import Extents

Span = tuple[int, int, str]
PIECES: list[Span] = [(1000 + 10 * i, 10, f"piece {i}") for i in range(10)]


def extents(spans: Iterable[Span]) -> Extents:
    spans = list(spans)
    return Extents([span[0] for span in spans], [span[1] for span in spans], lambda i: spans[i][2])


def refuse(extents: Extents, *spans: Span) -> None:
    extents.refuse([span[0] for span in spans], [span[1] for span in spans], lambda i: spans[i][2])


def test_spans_that_touch_do_not_overlap() -> None:
    found = extents(reversed(PIECES))
    assert found.low.tolist() == list(range(1000, 1100, 10))
    assert found.high.tolist() == list(range(1010, 1110, 10))
    assert len(extents([*PIECES, (1035, 0, "empty")]).low) == 10
    assert len(extents([]).low) == 0


@pytest.mark.parametrize("span", [(1009, 2), (1095, 1), (1000, 1), (900, 300), (999, 2)])
def test_any_overlap_is_found(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="overlap in memory: expected arrays that share no element"):
        extents([*PIECES, (*span, "more")])


def test_a_long_one_over_a_short_one_with_another_after_it() -> None:
    with pytest.raises(ValueError, match=r"^a and c overlap"):
        extents([(0, 50, "a"), (60, 10, "b"), (40, 1, "c")])


def test_what_is_written_may_not_overlap_itself() -> None:
    with pytest.raises(ValueError, match=r"^a and b overlap"):
        extents([(0, 10, "a"), (9, 1, "b")])


def test_extents_refuse_what_meets_them_and_name_both() -> None:
    found = extents([*PIECES, (5000, 100, "far")])
    refuse(found, (900, 100, "before"), (1100, 10, "behind"), (5050, 0, "empty"), (5100, 1, "touching"))
    refuse(found)
    for start, size, message in (
        (999, 2, "g and piece 0"),
        (1099, 5, "piece 9 and g"),
        (1029, 5, "piece 2 and g"),
        (5050, 1, "far and g"),
        (1020, 10, "g and piece 2"),
        (0, 10_000, "g and piece 0"),
    ):
        with pytest.raises(ValueError, match=rf"^{message} overlap in memory"):
            refuse(found, (900, 10, "good"), (start, size, "g"), (5000, 9, "another"))
    refuse(extents([]), (0, 10, "g"))


def test_several_together_are_one() -> None:
    parts = [extents(PIECES[3:]), extents([]), extents([(1100, 5, "behind"), (7, 0, "empty"), (8, 2, "before")]), extents(PIECES[:3])]
    together = Extents.together(parts)
    assert together.low.tolist() == [8, *range(1000, 1110, 10)]
    for start, name in ((9, "before"), (1001, "piece 0"), (1035, "piece 3"), (1099, "piece 9"), (1104, "behind")):
        with pytest.raises(ValueError, match=rf"^{name} and g overlap"):
            refuse(together, (start, 1, "g"))
    refuse(together, (10, 900, "g"), (1105, 3, "h"))
    with pytest.raises(ValueError, match=r"^piece 4 and more overlap"):
        Extents.together([extents(PIECES), extents([(5000, 4, "far"), (1041, 1, "more")])])
