"""Time of a step over storages, beside what their bytes say; and how far the updates are from float32's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fastopt
from fastopt import storage
from fastopt.host import threads
from fastopt.host.launched import round_trip

from ..arrays import Array, filled
from ..drawing import COLOURS, GREY, INK, LETTERS, WIDTH, figure, of_rows
from ..interleave import Contender, interleave
from ..machine import describe
from ..markdown import bytes_of, mark, table, time_of
from ..peers import BETAS, EPS, LR, Handed, Peer
from ..records import Row, ratio, row_of
from ..tables import distance_of
from .effort import Effort
from .peers import absent, present
from .storages import FLOAT32, PARAMETERS, Given, built, bytes_moved, here, said

__all__ = ["TITLE", "apart", "away", "draw", "legend", "measured", "panel", "ways"]

TITLE = "Time of a step, beside what the bytes say"

CHECKED, STEPS = 65_536, 100
"""Elements and steps that updates are compared over."""


def ways() -> list[Given]:
    """The storages of states with parameters and gradients of each dtype; float32 throughout is the first."""
    return [_with(parameters, given) for parameters in PARAMETERS for given in here()]


def _with(parameters: str, given: Given) -> Given:
    """A storage with parameters of that dtype, which stands in its name where it is not float32."""
    return given if parameters == "float32" else given._replace(label=f"{parameters} p; {given.label}", parameters=parameters)


def optimizer_of(way: Given, p: Array) -> Any:
    """Adam as the peers make it."""
    return built(fastopt.Adam, p, way, lr=LR, betas=BETAS, eps=EPS)


def measured(ways: Sequence[Given], size: int, seconds: float, peers: Sequence[type[Peer]] = ()) -> Row:
    """Steps over so many parameters, in turns; the bytes that each moves stand beside its times."""
    values, slopes = filled(size, np.float32, 0), filled(size, np.float32, 1)
    contenders, bytes_of_way = {}, {}
    arrays: dict[str, tuple[Array, Array]] = {}
    for way in ways:
        if way.parameters not in arrays:  # where parameters are matters to none, and to have them once saves memory
            arrays[way.parameters] = way.array(values), way.array(slopes)
        p, g = arrays[way.parameters]
        optimizer = optimizer_of(way, p)
        contenders[way.label] = _stepping(optimizer, g)
        bytes_of_way[way.label] = bytes_moved(optimizer)
    for kind in peers:
        peer = Handed(kind, [values.copy()], [slopes.copy()], threads=threads.resolve(None))
        contenders[kind.name] = Contender(peer.step, polls=kind.polls)
    before = round_trip()
    rounds = interleave(contenders, seconds)
    return row_of(rounds, label=f"{size:,}", elements=size, moved=bytes_of_way, round_trips=[before, round_trip()])


def apart(rows: Sequence[Row]) -> str:
    """How far apart the CPUs were while these rows were measured, in a sentence."""
    found = ", ".join(f"{distance_of(row['round_trips'])} about {row['label']} parameters" for row in rows)
    return f" A cache line's round trip between the CPUs, which have a way to memory in common where they are near: {found}."


def _stepping(optimizer: Any, g: Array) -> Contender:
    return Contender(lambda: optimizer.step(g))


def _gradients() -> Iterator[Array]:
    """Normal ones, whose sizes are spread over two powers of ten from element to element, and drift."""
    generator = np.random.default_rng(7)
    sizes = 10.0 ** generator.uniform(-3, -1, CHECKED)
    for step in range(STEPS):
        yield (sizes * (1.0 + step / STEPS) * generator.standard_normal(CHECKED)).astype(np.float32)


def away(make: Callable[[Array, Array], tuple[Callable[[Array], object], Callable[[], Array]]]) -> float:
    """How far parameters are from where float32's Adam takes them: the root mean square over that of the whole way, in percent.

    `make(p, g)` gives a function that makes a step with a gradient, and one that tells the parameters as they are then.
    """
    begun = np.random.default_rng(8).standard_normal(CHECKED).astype(np.float32)
    begun = begun.astype(storage.STORAGES["bfloat16"].dtype).astype(np.float32)  # which every dtype can hold
    expected = begun.copy()
    reference = optimizer_of(FLOAT32, expected)
    step: Any = None
    for gradient in _gradients():
        if step is None:
            step, result = make(begun.copy(), gradient)
        step(gradient)
        reference.step(gradient)
    with np.errstate(all="ignore"):
        error = np.mean(np.square((result() - expected).astype(np.float64)))
        return float(100.0 * np.sqrt(error / np.mean(np.square((expected - begun).astype(np.float64)))))


def away_of_way(way: Given) -> float:
    """Of one of the package's ways."""

    def make(p: Array, g: Array) -> tuple[Callable[[Array], object], Callable[[], Array]]:
        kept = way.array(p)
        optimizer = optimizer_of(way, kept)
        return lambda gradient: optimizer.step(way.array(gradient)), lambda: kept.astype(np.float32)

    return away(make)


def away_of_peer(kind: type[Peer]) -> float:
    """Of one of others'."""

    def make(p: Array, g: Array) -> tuple[Callable[[Array], object], Callable[[], Array]]:
        peer = Handed(kind, [p], [g.copy()])

        def step(gradient: Array) -> None:
            peer.new_gradients([gradient.copy()])
            peer.step()

        return step, lambda: peer.result()[0]

    return away(make)


def draw(path: Path, effort: Effort) -> str:
    """Draws a panel for each size, with a line for each storage: its time, and where its bytes would have it."""
    errors = {way.label: away_of_way(way) for way in ways()} | {kind.name: away_of_peer(kind) for kind in present()}
    rows = [measured(ways(), size, effort.seconds, present()) for size in effort.sizes]
    names = list(rows[0].seconds)
    with figure(path, WIDTH, 1.6 + (0.42 * len(names) + 0.6) * len(rows), size=LETTERS, rows=len(rows)) as axes:
        for axis, row in zip(axes, rows, strict=True):
            panel(axis, row, names)
        axes[-1].set(xlabel="time of a step, of float32's")
        legend(axes[0])
    moved, first = rows[0]["moved"], rows[0].subject
    head = [
        "parameters and states",
        "the bytes say",
        *(f"{row['label']}: {what}" for row in rows for what in ("time", "of float32's")),
        "updates away",
    ]
    body = []
    for name in names:
        say = f"{moved[name] / moved[first]:.2f}" if name in moved else ""
        cells = [
            (time_of(row.median(name)) + mark(row, name), str(ratio(row.times(name), row.times(first))) if name != first else "1")
            for row in rows
        ]
        body.append([name, say, *(cell for both in cells for cell in both), _error(errors[name])])
    body += [[name, "", *(["absent"] * (2 * len(rows))), why] for name, why in absent().items()]
    machine = describe()
    caches = ", ".join(f"{name} {bytes_of(size)}" for name, size in machine["caches"].items())
    sets = ", ".join(f"{row['label']} parameters of float32 are {bytes_of(16 * row['elements'])}" for row in rows)
    return (
        f"Adam on one tensor, all in turns within one run, {machine['threads']} threads. A name is the storage of the states, and behind "
        "`p` that of parameters and gradients where it is not float32. A tick is where the bytes of the table above would have it; "
        "ratios are medians of rounds, with a 95 % interval; `~` stands where quartiles are more than 15 % of the median apart. *Updates "
        f"away*: how far {CHECKED:,} parameters are after {STEPS} steps from where float32 takes them under the same gradients, of the "
        "way that they went. (A bfloat16 parameter loses an update that is less than half of its last place, which most "
        f"are.)\n\n{table(head, body)}\nMeasured on {machine['cpu']}, {machine['cores']} cores, {caches}, fastopt at "
        f"{machine['revision'] or 'no commit'}, with whatever else ran there; `fastopt bench` measures with care. With gradients and "
        f"states {sets}: what a cache holds is not limited by memory, and there the arithmetic of a storage shows.{apart(rows)}{said()}"
    )


def _error(percent: float) -> str:
    if not np.isfinite(percent):
        return "no number"
    return f"{percent:.2g} %" if percent < 1_000 else "over 1,000 %"


def panel(axis: Any, row: Row, names: list[str]) -> None:
    """Medians with their intervals; a peer beyond half again the package's longest stands at the edge, with its number."""
    first, moved = row.subject, row["moved"]
    found = {name: ratio(row.times(name), row.times(first)) for name in names}
    edge = 1.5 * max(found[name].median for name in moved)
    for line, (name, own) in enumerate(found.items()):
        ours = name in moved
        colour, marker = (COLOURS[0], "o") if ours else (COLOURS[1], "s")
        if own.median > edge:
            axis.plot(0.97 * edge, line, ls="", ms=10, marker=">", color=colour)
            axis.annotate(f"{own.median:.1f} ", (0.94 * edge, line), ha="right", va="center", color=INK)
        else:
            axis.plot([own.low, min(own.high, edge)], [line, line], color=colour, lw=3, alpha=0.5, solid_capstyle="butt")
            axis.plot(own.median, line, ls="", ms=9, marker=marker, color=colour)
        if ours:
            axis.plot(moved[name] / moved[first], line, "|", ms=20, mew=2.5, color=INK, zorder=1)
    axis.axvline(1, color=GREY, lw=1)
    axis.set_title(f"{row['label']} parameters", loc="left", fontsize="medium")
    for label, marker, colour in (("fastopt", "o", COLOURS[0]), ("others", "s", COLOURS[1]), ("what the bytes say", "|", INK)):
        axis.plot([], [], ls="", ms=10, mew=2.5 if marker == "|" else None, marker=marker, color=colour, label=label)
    axis.set_xlim(0, edge)
    of_rows(axis, names)


def legend(axis: Any) -> None:
    """What the marks of a panel are, above all panels."""
    axis.figure.legend(*axis.get_legend_handles_labels(), frameon=False, loc="outside upper left", ncols=2)
