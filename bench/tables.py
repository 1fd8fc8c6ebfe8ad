"""The report's tables, as Markdown. Every row of the record is in one of them, those that fastopt loses too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from .records import Record, Row, ratio

__all__ = [
    "between",
    "bytes_of",
    "calls",
    "distance_of",
    "every_step",
    "first_steps",
    "machine",
    "mark",
    "peers",
    "steps",
    "table",
    "time_of",
    "training",
]

IN_BETWEEN = ("in a loop", "after a rest", "20 from a rest", "between products")
"""What goes before a step; a contender of `bench.test_between` is named by who makes it and this."""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; all columns but the first are set to the right."""
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] + ["--:"] * (len(head) - 1)) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def time_of(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} us"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def bytes_of(count: float) -> str:
    """A size in the unit that suits it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")


def _where(row: Row, caches: dict[str, int]) -> str:
    """The smallest memory that holds a row's working set."""
    fitting = [level for level, size in caches.items() if row["working_set"] <= size]
    return f"{bytes_of(row['working_set'])}, {fitting[0] if fitting else 'memory'}"


def machine(record: Record) -> str:
    """What was measured on."""
    m = record.machine
    versions = ", ".join(f"{name} {version}" for name, version in m["packages"].items() if version)
    rows = [
        ("CPU", f"{m['cpu']}, {m['cores']} cores, {m['threads']} threads used"),
        ("caches", ", ".join(f"{level} {bytes_of(size)}" for level, size in m["caches"].items()) or "not known"),
        ("kernels", f"cython: x86-64 {m['isa']}, threads {'yes' if m['has_threads'] else 'no'}" if m["isa"] else "cython: not built"),
        ("system", f"{m['system']}, Python {m['python']}"),
        ("packages", versions),
        ("revision", m["revision"] or "not a checkout"),
        ("when", f"{record.date[:16]}, load {m['load']}, profile {m['profile']}"),
    ]
    return table(["", ""], [(f"**{name}**", text) for name, text in rows])


def peers(record: Record) -> str:
    """Adam beside the peers: fastopt's time, and how many times longer each other one took."""
    rows = record.group("peers")
    if not rows:
        return "No such rows in this record.\n"
    subject = rows[0].subject
    others = [name for name in dict.fromkeys(n for r in rows for n in r.seconds) if name != subject]
    body = []
    for row in rows:
        cells = [str(ratio(row.seconds[n], row.seconds[subject])) + mark(row, n) if n in row.seconds else "-" for n in others]
        body.append([row["label"], _where(row, record.machine["caches"]), time_of(row.median()) + mark(row, subject), *cells])
    missing = rows[0]["absent"]
    text = table(["tensors x parameters", "working set", subject, *others], body)
    text += f"\nColumns after {subject}: times {subject}'s time, the median of the rounds' ratios and its 95 % bootstrap interval;"
    text += " above 1 fastopt is faster, below 1 it loses. `-`: too slow to be measured here."
    named = ", ".join(f"{name} (needs {module})" for name, module in missing.items())
    return text + (f" Absent: {named}.\n" if missing else " No peer was absent.\n")


def mark(row: Row, name: str) -> str:
    """The mark of a wide spread."""
    return " ~" if row.noisy(name) else ""


def steps(record: Record) -> str:
    """For each rule in float32: time, GB/s and percent of the ceiling over the sizes, best backend."""
    rows = [r for r in record.group("step") if r["dtype"] == "float32"]
    backend = next((b for b in ("cython", "numba", "numpy") if any(r["backend"] == b for r in rows)), None)
    rows = [r for r in rows if r["backend"] == backend]
    labels = list(dict.fromkeys(r["label"] for r in rows))
    body = []
    for rule in dict.fromkeys(r["rule"] for r in rows):
        own = {r["label"]: r for r in rows if r["rule"] == rule}
        body.append([rule, *(_step_cell(own[label]) for label in labels)])
    text = table([f"{backend}, float32", *labels], body) if body else "No such rows in this record.\n"
    return text + "\nTime of a step; GB/s; percent of the traffic ceiling. `~`: quartiles more than 15 % of the median apart.\n"


def _step_cell(row: Row) -> str:
    percent = row.percent_of_ceiling()
    share = f"{percent:.0f} %" if percent is not None else "no probe"
    return f"{time_of(row.median())}; {row.gigabytes_per_second():.1f}; {share}{mark(row, row.subject)}"


def every_step(record: Record) -> str:
    """All rows of the step's benchmark."""
    body = []
    for r in record.group("step"):
        quartiles = " to ".join(time_of(x) for x in np.percentile(r.seconds[r.subject], [25, 75]))
        percent = r.percent_of_ceiling()
        body.append(
            [
                r["rule"],
                r["backend"],
                r["dtype"],
                r["label"],
                _where(r, record.machine["caches"]),
                time_of(r.median()) + mark(r, r.subject),
                quartiles,
                f"{r['elements'] / r.median() / 1e6:,.0f}",
                f"{r.gigabytes_per_second():.1f}",
                f"{percent:.0f}" if percent is not None else "-",
                r["threads"],
            ]
        )
    head = ["rule", "backend", "dtype", "parameters", "working set", "step", "quartiles"]
    head += ["M parameters/s", "GB/s", "% of ceiling", "threads"]
    return table(head, body)


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
    return table(head, body) if body else "No such rows in this record.\n"


def training(record: Record) -> str:
    """Whole training steps on real data, with the reference's update and with the fused ones."""
    body = []
    for r in record.group("training"):
        reference = r.seconds["numpy"]
        for backend, seconds in sorted(r.seconds.items(), key=lambda found: found[0] != "numpy"):  # the reference first
            speedup = "1 (reference)" if backend == "numpy" else str(ratio(reference, seconds))
            median = float(np.median(seconds))
            body.append(
                [
                    r["workload"],
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
    return table(head, body) if body else "No such rows in this record.\n"


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
        return "No such rows in this record.\n"
    rest, side = 1e3 * rows[0]["rest"], rows[0]["side"]
    text = f"\nA rest is {rest:.0f} ms, a product one of {side} x {side} matrices of float32. Behind the time: how many times longer"
    return table(["parameters", "", *IN_BETWEEN], body) + text + " than in a loop, in turns.\n"


def calls(record: Record) -> str:
    """What is not the kernel's: functional steps, building an optimizer, a step of next to nothing, two dtypes."""
    body = []
    for r in record.group("calls"):
        for name in r.seconds:
            beside = "1" if name == r.subject else str(ratio(r.seconds[name], r.seconds[r.subject]))
            body.append([r["label"], name, time_of(r.median(name)) + mark(r, name), beside])
    return table(["call", "", "time", "times the first's"], body) if body else "No such rows in this record.\n"
