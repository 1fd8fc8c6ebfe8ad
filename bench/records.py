"""Reading a record (pytest-benchmark's JSON) back as rows with the figures that a report needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOISY", "Ratio", "Record", "Row", "load", "ratio"]

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
    """One benchmark: its description, and the seconds of every contender, round by round."""

    info: dict[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.info[key]

    @cached_property
    def seconds(self) -> dict[str, NDArray[Any]]:
        """Seconds a step, one value a round."""
        return {name: np.array(values) for name, values in self.info["seconds"].items()}

    def median(self, name: str | None = None) -> float:
        """Seconds a step of a contender; of the subject where none is named."""
        return float(np.median(self.seconds[name or self["subject"]]))

    def noisy(self, name: str | None = None) -> bool:
        """Whether the quartiles lie far apart."""
        values = self.seconds[name or self["subject"]]
        first, third = np.percentile(values, [25, 75])
        return bool(third - first > NOISY * np.median(values))

    def gigabytes_per_second(self, name: str | None = None) -> float:
        """The traffic that a step must cause at the least, over its time."""
        return float(self["elements"] * self["bytes_per_parameter"] / self.median(name) / 1e9)

    def percent_of_ceiling(self, name: str | None = None) -> float | None:
        """The probe's time over the contender's, in percent; None where there is no probe."""
        if "ceiling" not in self.seconds:
            return None
        return 100 * ratio(self.seconds["ceiling"], self.seconds[name or self["subject"]]).median


@dataclass(frozen=True)
class Record:
    """A whole run."""

    machine: dict[str, Any]
    date: str
    rows: list[Row]

    def group(self, name: str) -> list[Row]:
        """The rows of one module: "step", "peers", "training" or "first step"."""
        return [row for row in self.rows if row["group"] == name]


def load(path: Path) -> Record:
    """Reads a record. Raises ValueError if it is not one of these benchmarks."""
    content = json.loads(path.read_text())
    if "fastopt" not in content.get("machine_info", {}):
        raise ValueError(f"{path}: expected the JSON of a run of these benchmarks; its machine_info has no entry `fastopt`")
    rows = [Row(benchmark["extra_info"]) for benchmark in content["benchmarks"] if benchmark["extra_info"].get("group")]
    return Record(content["machine_info"]["fastopt"], content["datetime"], rows)
