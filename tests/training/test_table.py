"""Rows under headings."""

from __future__ import annotations

from fastopt.training.table import table


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    assert table(["a", "long"], [["123", "x"], ["4", "yz"]]) == "a    long\n123  x\n4    yz"


def test_columns_without_anything_are_left_out() -> None:
    assert table(["a", "note", "b"], [["1", "", "2"]]) == "a  b\n1  2"
    assert table(["a", "note"], []) == "a  note"
