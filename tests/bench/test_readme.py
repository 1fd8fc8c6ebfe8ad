"""The figures in the README are written from the baseline's record."""

from __future__ import annotations

from bench.baseline import BASELINE
from bench.in_place import NAME
from bench.readme import figures, replaced
from bench.records import Record, Row, load
from tests.documents import ROOT


def test_the_figures_are_those_of_the_baseline() -> None:
    text = (ROOT / "README.md").read_text()
    assert replaced(text, load(BASELINE)) == text


def test_training_beside_numpy_at_its_best_is_told_where_it_was_measured() -> None:
    record = load(BASELINE)
    trained = [row for row in record.group("training") if row["label"] == "digits-512x512-batch16"]
    assert len(trained) == 1
    (row,) = (Row(row.info, row.seconds | {NAME: 2.5 * row.seconds[row.subject]}, row.own) for row in trained)
    rows = [*record.group("peers"), row]
    said = "Beside NumPy's own operations in place, with kept buffers, it is 2.5 times faster."
    assert said in figures(Record(record.machine, record.date, rows))
    without = [*record.group("peers"), Row(row.info, {name: row.seconds[name] for name in row.seconds if name != NAME}, row.own)]
    assert said.split(",")[0] not in figures(Record(record.machine, record.date, without))
