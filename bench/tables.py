"""The report's tables, as Markdown. Every row of the record is in one of them, those that fastopt loses too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import markdown
from .markdown import NONE, bytes_of, mark, or_none, table, time_of, timing
from .ours import REFERENCE, ordered
from .records import Record, Row, ratio

__all__ = ["between", "calls", "distance_of", "drop_ins", "every_step", "first_steps", "machine", "peers", "stages", "steps", "training"]

IN_BETWEEN = ("in a loop", "after a rest", "20 from a rest", "between products")
"""What goes before a step; a contender of `bench.test_between` is named by who makes it and this."""


def _where(row: Row, caches: dict[str, int]) -> str:
    """The smallest memory that holds a row's working set."""
    fitting = [level for level, size in caches.items() if row["working_set"] <= size]
    return f"{bytes_of(row['working_set'])}, {fitting[0] if fitting else 'memory'}"


def machine(record: Record) -> str:
    """What was measured on."""
    m = record.machine
    rows = [
        ("CPU", f"{m['cpu']}, {m['cores']} cores, {m['threads']} threads used"),
        ("caches", ", ".join(f"{level} {bytes_of(size)}" for level, size in m["caches"].items()) or "not known"),
        ("kernels", f"cython: x86-64 {m['isa']}, threads {'yes' if m['has_threads'] else 'no'}" if m["isa"] else "cython: not built"),
        ("system", f"{m['system']}, Python {m['python']}"),
    ]
    return markdown.machine(record, rows, ", load {load}, profile {profile}")


def peers(record: Record) -> str:
    """Adam beside the peers, and who is absent."""
    rows = record.group("peers")
    text = markdown.peers(rows, lambda row: _where(row, record.machine["caches"]), "too slow to be measured here.")
    named = ", ".join(f"{name} ({reason})" for name, reason in rows[0]["absent"].items()) if rows else ""
    return text + (f"Absent: {named}.\n" if named else "No peer was absent.\n" * bool(rows))


def steps(record: Record) -> str:
    """For each rule in float32: time, GB/s and percent of the ceiling over the sizes, best backend."""
    rows = [r for r in record.group("step") if r["dtype"] == "float32"]
    best = ordered({r["backend"] for r in rows})[:1]
    text = markdown.rules(f"{''.join(best)}, float32", [r for r in rows if r["backend"] in best], _share)
    return text + "\nTime of a step; GB/s; percent of the slower ceiling: `t`, the traffic's, or `a`, the arithmetic's. `~`: wide spread.\n"


def _share(row: Row) -> str:
    percent, limit = row.percent_of_ceiling(), row.limit()
    return "no ceiling" if percent is None or limit is None else f"{percent:.0f} % {limit[0]}"


def every_step(record: Record) -> str:
    """All rows of the step's benchmark."""
    body = []
    for r in record.group("step"):
        for name in r.steps:
            percent = r.percent_of_ceiling(name)
            cells = [r["rule"], name, r["dtype"], r["label"], _where(r, record.machine["caches"]), *timing(r, name)]
            cells += [f"{r['elements'] / r.median(name) / 1e6:,.0f}", f"{r.gigabytes_per_second(name):.1f}"]
            body.append([*cells, f"{percent:.0f}" if percent is not None else "-", r.limit() or "-", r["threads"]])
    head = ["rule", "backend", "dtype", "parameters", "working set", "step", "quartiles"]
    return or_none([*head, "M parameters/s", "GB/s", "% of ceiling", "which", "threads"], body)


def first_steps(record: Record) -> str:
    """Import, construction and first step in new processes."""
    body = []
    for r in record.group("first step"):
        medians = {name: float(np.median([s[name] for s in r["samples"]])) for name in r["samples"][0]}
        worst = max(s["build"] + s["first step"] for s in r["samples"])
        parts = [medians[name] for name in ("import", "build", "first step")]
        times = [time_of(seconds) for seconds in (*parts, parts[1] + parts[2], worst)]
        body.append([r["backend"], r["cache"], f"{r['elements']:,}", *times])
    head = ["backend", "kernel cache", "parameters", "import fastopt", "build Adam", "first step", "build + step", "slowest"]
    return or_none(head, body)


def training(record: Record) -> str:
    """Whole training steps on real data, with the reference's update and with the fused ones."""
    body = []
    for r in record.group("training"):
        reference = r.seconds[REFERENCE]
        for backend, seconds in sorted(r.seconds.items(), key=lambda found: found[0] != REFERENCE):  # the reference first
            speedup = "1 (reference)" if backend == REFERENCE else str(ratio(reference, seconds))
            median = float(np.median(seconds))
            body.append(
                [
                    r["workload"] + ", all parts" * (r.info.get("sweep") == "parts"),
                    r["width"],
                    f"{r['parameters']:,}",
                    f"{r['batch']:,}",
                    backend,
                    time_of(median) + mark(r, backend),
                    f"{r['batch'] / median:,.0f}",
                    time_of(r["steps_per_epoch"] * median),
                    f"{100 * r.own[backend]['update_share']:.0f} %",
                    speedup,
                    f"{r.own[backend]['losses']['values'][-1]:.6f}",
                    distance_of(r["round_trips"]),
                ]
            )
    head = ["workload", "width", "parameters", "batch", "backend", "training step", "samples/s", "epoch"]
    head += ["update's share", "faster by", "last loss", "round trip"]
    return or_none(head, body)


def distance_of(round_trips: Sequence[float | None]) -> str:
    """How far apart the CPUs were, round by round: the quartiles."""
    known = [nanoseconds for nanoseconds in round_trips if nanoseconds is not None]
    quartiles = [f"{value:.0f}" for value in np.percentile(known, [25, 75])] if known else ["-"]
    return " to ".join(dict.fromkeys(quartiles)) + " ns" * bool(known)


def between(record: Record) -> str:
    """A step in a loop, after a rest and between matrix products, each beside the loop and beside the peer."""
    rows = record.group("between")
    body = []
    for r in rows:
        for who in dict.fromkeys(name.split(": ")[0] for name in r.seconds):
            cells = []
            for when in IN_BETWEEN:
                name = f"{who}: {when}"
                beside = "" if when == IN_BETWEEN[0] else f"; {ratio(r.seconds[name], r.seconds[f'{who}: {IN_BETWEEN[0]}'])}"
                cells.append(time_of(r.median(name)) + mark(r, name) + beside)
            body.append([r["label"], who, *cells])
    if not rows:
        return NONE
    rest, side = 1e3 * rows[0]["rest"], rows[0]["side"]
    text = f"\nA rest is {rest:.0f} ms, a product one of {side} x {side} matrices of float32. Behind the time: how many times longer"
    return table(["parameters", "", *IN_BETWEEN], body) + text + " than in a loop, in turns.\n"


def calls(record: Record) -> str:
    """What is not the kernel's: functional steps, building an optimizer, a step of next to nothing, two dtypes, checkpoints."""
    return markdown.calls(["call", "", "time", "times the first's"], record.group("calls"), lambda row: [row["label"]])


def stages(record: Record) -> str:
    """What each stage of a step costs, beside what its bytes say."""
    body = []
    rows = record.group("stages")
    for row in rows:
        plain = row.subject
        for name in row.seconds:
            moved = row["moved"].get(name)
            times = ratio(row.seconds[name], row.seconds[plain])
            of_bytes = "-"
            if moved is not None:
                of_bytes = f"{times.median * row['moved'][plain] / moved:.2f}"
            cells = [row["label"], name, "-" if moved is None else f"{moved:g}", time_of(row.median(name)) + mark(row, name)]
            body.append([*cells, "1" if name == plain else str(times), of_bytes])
    return or_none(["parameters", "", "bytes a parameter", "time", "times the first's", "of what its bytes say"], body)


def drop_ins(record: Record) -> str:
    """Work through another library's interface, with fastopt's step and with its own."""
    head = ["work", "parameters", "seconds of a", "", "time", "times the first's"]
    return markdown.calls(head, record.group("drop-ins"), lambda row: [row["label"], f"{row['elements']:,}", row["unit"]])
