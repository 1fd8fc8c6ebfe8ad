"""What pictures are made of: panels, contours, ways over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import drawing

pytest.importorskip("matplotlib", reason="matplotlib is not installed")


def test_panels_come_row_by_row_and_share_their_scales(tmp_path: Path) -> None:
    with drawing.figure(tmp_path / "a.png", 4, 3, 2, rows=3, shared=True) as axes:
        assert len(axes) == 6
        axes[1].plot([0, 100], [0, 7])
        assert {axis.get_ylim() for axis in axes} == {axes[1].get_ylim()}
        assert {axis.get_xlim() for axis in axes} == {axes[1].get_xlim()}
        first, second, third = (axes[k].get_position() for k in range(3))
        assert first.y0 == second.y0 > third.y0
        assert first.x0 == third.x0 < second.x0
    with drawing.figure(tmp_path / "b.png", 4, 3, 2, shared=True) as axes:  # one row: the vertical scale alone
        axes[1].plot([0, 100], [0, 7])
        assert axes[0].get_ylim() == axes[1].get_ylim()
        assert axes[0].get_xlim() != axes[1].get_xlim()


def test_a_drawing_that_fails_leaves_no_figure_behind(tmp_path: Path) -> None:
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    with pytest.raises(ZeroDivisionError), drawing.figure(tmp_path / "a.png", 4, 3):
        raise ZeroDivisionError
    assert pyplot.get_fignums() == before
    assert not (tmp_path / "a.png").exists()


def test_letters_are_large_enough_for_a_phone() -> None:
    """A capital letter is 0.73 of the letters' size, an inch 72 points, a phone 390 pixels wide."""
    assert 0.73 * drawing.LETTERS / 72 * 390 / drawing.WIDTH > 8.0


def test_contours_are_where_the_function_has_their_levels(tmp_path: Path) -> None:
    with drawing.figure(tmp_path / "a.png", 4, 3) as (axis,):
        drawing.contours(axis, lambda x, y: x * x / 4.0 + y * y, (-4.0, 4.0), (-2.0, 2.0), [2.0, 0.5, 1.0])
        (drawn,) = axis.collections
        assert drawn.levels.tolist() == [0.5, 1.0, 2.0]
        for level, path in zip(drawn.levels, drawn.get_paths(), strict=True):
            x, y = path.vertices.T
            assert len(x) > 20
            np.testing.assert_allclose(x * x / 4.0 + y * y, level, rtol=1e-2)
        axis.plot([-9.0, 9.0], [-9.0, 9.0])  # what leaves the ranges does not widen them
        assert axis.get_xlim() == (-4.0, 4.0)
        assert axis.get_ylim() == (-2.0, 2.0)


def test_a_way_has_a_ring_where_it_begins_and_a_square_where_it_ends(tmp_path: Path) -> None:
    points = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    with drawing.figure(tmp_path / "a.png", 4, 3) as (axis,):
        drawing.path_on(axis, points, {"color": "#D55E00", "marker": "D"}, ms=3)
        line, ring, square = axis.lines
        assert line.get_xydata().tolist() == points.tolist()
        assert (line.get_color(), line.get_marker(), line.get_markersize()) == ("#D55E00", "D", 3)
        assert (ring.get_marker(), ring.get_xydata().tolist()) == ("o", [[0.0, 1.0]])
        assert (square.get_marker(), square.get_xydata().tolist()) == ("s", [[4.0, 5.0]])
        assert square.get_markerfacecolor() == "#D55E00"
