"""Reading a record back as rows with the figures that a report needs, and writing it as short as it can be.

A run writes pytest-benchmark's JSON. What is committed (`save`) has a row a line and in it what the report is made of, nothing else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .interleave import Rounds

__all__ = ["CEILING", "CEILINGS", "NOISY", "Ratio", "Record", "Row", "entries", "load", "ratio", "row_of", "save"]

CEILINGS = ("traffic", "arithmetic")
"""The contenders that are no step, but what a step cannot be faster than (`bench.ceiling`)."""

CEILING = "ceiling"
"""How the slower one of them is called."""

NOISY = 0.15
"""A row whose quartiles lie further apart than this share of the median is marked."""


@dataclass(frozen=True)
class Ratio:
    """How many times longer one contender took than another: the median of the rounds' ratios, with a 95 % interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        digits = 2 if self.median < 10 else 1
        return f"{self.median:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def ratio(of: NDArray[Any], to: NDArray[Any]) -> Ratio:
    """Compares two contenders round by round. With too few rounds for a bootstrap, the interval is all there was."""
    from scipy.stats import bootstrap

    pairs = of / to
    if len(pairs) < 8 or np.ptp(pairs) == 0:
        return Ratio(float(np.median(pairs)), float(pairs.min()), float(pairs.max()))
    found = bootstrap((pairs,), np.median, n_resamples=999, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return Ratio(float(np.median(pairs)), float(found.low), float(found.high))


@dataclass(frozen=True)
class Row:
    """One cell: its description, and the seconds of every contender, round by round. The first contender is the subject."""

    info: dict[str, Any]
    """What all of its contenders share."""

    seconds: dict[str, NDArray[Any]]
    """Seconds a step, one value a round."""

    own: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What else there is to say of single contenders."""

    def __getitem__(self, key: str) -> Any:
        return self.info[key]

    @property
    def subject(self) -> str:
        """The contender that the others stand beside."""
        return next(iter(self.seconds))

    @property
    def steps(self) -> list[str]:
        """The contenders that make steps: all but the ceilings."""
        return [name for name in self.seconds if name not in CEILINGS]

    def about(self, contender: str) -> dict[str, Any]:
        """What stands beside the figures of a contender in the record; `load` puts the row together by it."""
        names = {"subject": self.subject, "contender": contender, "contenders": list(self.seconds)}
        return self.info | names | {"own": self.own.get(contender, {})}

    def __contains__(self, name: str) -> bool:
        """Whether there are times of a contender or of the ceiling."""
        return name in self.seconds or (name == CEILING and any(each in self.seconds for each in CEILINGS))

    def times(self, name: str) -> NDArray[Any]:
        """Seconds of a contender or of the ceiling, which is the slower one of those there are, round by round."""
        if name != CEILING:
            return self.seconds[name]
        slower: NDArray[Any] = np.max([self.seconds[each] for each in CEILINGS if each in self.seconds], axis=0)
        return slower

    def limit(self) -> str | None:
        """Which of the ceilings that is."""
        return max((name for name in CEILINGS if name in self.seconds), key=self.median, default=None)

    def median(self, name: str | None = None) -> float:
        """Seconds a step of a contender; of the subject where none is named."""
        return float(np.median(self.times(name or self.subject)))

    def noisy(self, name: str | None = None) -> bool:
        """Whether the quartiles lie far apart."""
        values = self.times(name or self.subject)
        first, third = np.percentile(values, [25, 75])
        return bool(third - first > NOISY * np.median(values))

    def gigabytes_per_second(self, name: str | None = None) -> float:
        """The traffic that a step must cause at the least, over its time."""
        return float(self["elements"] * self["bytes_per_parameter"] / self.median(name) / 1e9)

    def percent_of_ceiling(self, name: str | None = None) -> float | None:
        """The ceiling's time over the contender's, in percent; None where there is none."""
        return 100 * ratio(self.times(CEILING), self.times(name or self.subject)).median if CEILING in self else None


@dataclass(frozen=True)
class Record:
    """A whole run."""

    machine: dict[str, Any]
    date: str
    rows: list[Row]

    def group(self, name: str) -> list[Row]:
        """The rows of one kind: "step", "peers", "training", "first step", "calls", "drop-ins" or "between"."""
        return [row for row in self.rows if row["group"] == name]


def row_of(rounds: Rounds, **info: Any) -> Row:
    """What was timed in turns as a row with a description."""
    own = {name: {"steps_per_round": steps} for name, steps in rounds.steps.items()}
    return Row(info, {name: np.array(values) for name, values in rounds.seconds.items()}, own)


def entries(cell: str, row: Row) -> list[dict[str, Any]]:
    """A row as pytest-benchmark writes it, for what runs without pytest."""
    from pytest_benchmark.stats import Stats

    written: list[dict[str, Any]] = []
    for contender, seconds in row.seconds.items():
        stats = Stats()
        stats.data.extend(seconds.tolist())
        name = f"{cell}[{contender}]"
        described: dict[str, Any] = {"group": cell, "name": name, "fullname": name, "params": None, "param": contender, "options": {}}
        figures = stats.as_dict() | {"data": stats.data, "iterations": 1}
        written.append({**described, "extra_info": row.about(contender), "stats": figures})
    return written


def load(path: Path) -> Record:
    """Reads a record in either form. Raises ValueError if it is not one of these benchmarks.

    A cell of which a run of chosen tests has some contenders only has nothing to stand beside, and is no row.
    """
    content = json.loads(path.read_text())
    if "fastopt" not in content.get("machine_info", {}):
        raise ValueError(f"{path}: expected the JSON of a run of these benchmarks; its machine_info has no entry `fastopt`")
    rows = [_read(**row) for row in content["rows"]] if "rows" in content else _gathered(content["benchmarks"], path)
    return Record(content["machine_info"]["fastopt"], content["datetime"], rows)


DIGITS = 6
"""Significant digits of what is committed: a hundredth of the last one that a report shows."""

LEFT_OUT = ("steps_per_round", "update_seconds")
"""What no report shows of a contender."""


def save(record: Record, path: Path) -> None:
    """Writes a record in the form that is committed: a row a line."""
    head = json.dumps({"machine_info": {"fastopt": record.machine}, "datetime": record.date, "rows": []})
    path.write_text(head.removesuffix("]}") + "\n" + ",\n".join(map(_written, record.rows)) + "\n]}\n")


def _written(row: Row) -> str:
    own = {name: {key: value for key, value in about.items() if key not in LEFT_OUT} for name, about in row.own.items()}
    content = {"info": row.info, "seconds": {name: values.tolist() for name, values in row.seconds.items()}}
    return json.dumps(_rounded(content | {"own": {name: about for name, about in own.items() if about}}))


def _read(info: dict[str, Any], seconds: dict[str, list[float]], own: dict[str, Any]) -> Row:
    return Row(info, {name: np.array(values) for name, values in seconds.items()}, own)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def _gathered(benchmarks: list[dict[str, Any]], path: Path) -> list[Row]:
    cells: dict[str, dict[str, Any]] = {}
    for entry in benchmarks:
        if "contender" not in entry["extra_info"]:
            raise ValueError(
                f"{path}: expected an entry for each contender, and {entry.get('name')} names none; `fastopt bench` writes them"
            )
        cells.setdefault(entry["group"], {})[entry["extra_info"]["contender"]] = entry
    return [row for entries in cells.values() if (row := _together(entries)) is not None]


def _together(entries: dict[str, Any]) -> Row | None:
    info = dict(next(iter(entries.values()))["extra_info"])
    names = info.pop("contenders")
    if set(names) != set(entries):
        return None
    for key in ("subject", "contender", "own"):
        del info[key]
    seconds = {name: np.array(entries[name]["stats"]["data"]) for name in names}
    return Row(info, seconds, {name: entries[name]["extra_info"]["own"] for name in names})
