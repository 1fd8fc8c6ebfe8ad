"""The tables of a GPU's report, as Markdown. Rows that fastopt loses stay in; rows that are not there are named."""

from __future__ import annotations

import numpy as np

from ..records import Record, Row, ratio
from ..tables import bytes_of, mark, table, time_of
from .contenders import COPY, SUBJECT
from .profiles import row_label

__all__ = ["every_step", "launches", "left_out", "machine", "peers", "percent_of_copy", "steps", "targets", "where"]

NONE = "No such rows in this record.\n"


def percent_of_copy(row: Row, name: str = SUBJECT) -> float:
    """The time of the copy over that of a contender, in percent."""
    return 100 * ratio(row.seconds[COPY], row.seconds[name]).median


def where(row: Row, l2: int) -> str:
    """A row's working set, and whether the L2 cache holds it; a simulated device has none."""
    level = "" if not l2 else ", L2" if row["working_set"] <= l2 else ", memory"
    return bytes_of(row["working_set"]) + level


def _l2(record: Record) -> int:
    return int(record.machine["device"]["l2_bytes"])


def machine(record: Record) -> str:
    """What was measured on."""
    m, gpu = record.machine, record.machine["device"]
    versions = ", ".join(f"{name} {version}" for name, version in m["packages"].items() if version)
    rows = [("GPU", gpu["name"])]
    if "multiprocessors" in gpu:
        kind = f"compute capability {gpu['compute_capability']}, {gpu['multiprocessors']} multiprocessors"
        rows += [("kind", kind), ("memory", f"{bytes_of(gpu['memory_bytes'])}, L2 {bytes_of(gpu['l2_bytes'])}")]
        rows += [("driver", f"{gpu['driver'] or 'not known'}, CUDA {gpu['driver_cuda']}")]
    rows += [
        ("host", f"{m['cpu']}, {m['cores']} cores, {m['system']}, Python {m['python']}"),
        ("arrays", f"of {m['arrays']}"),
        ("packages", versions),
        ("revision", m["revision"] or "not a checkout"),
        ("when", f"{record.date[:16]} UTC, load {m['load']}, profile {m['profile']}, took {m.get('took', '(not to its end)')} s"),
    ]
    return table(["", ""], [(f"**{name}**", text) for name, text in rows])


def peers(record: Record) -> str:
    """Adam beside the peers: fastopt's time, and how many times longer each other one took."""
    rows = record.group("peers")
    if not rows:
        return NONE
    others = [name for name in dict.fromkeys(n for r in rows for n in r.seconds) if name != SUBJECT]
    body = []
    for row in rows:
        cells = [str(ratio(row.seconds[n], row.seconds[SUBJECT])) + mark(row, n) if n in row.seconds else "-" for n in others]
        body.append([row["label"], where(row, _l2(record)), time_of(row.median()) + mark(row, SUBJECT), *cells])
    text = table(["tensors x parameters", "working set", SUBJECT, *others], body)
    text += f"\nColumns after {SUBJECT}: times {SUBJECT}'s time, the median of the rounds' ratios and its 95 % interval; above 1"
    text += " fastopt is faster, below 1 it loses. `-`: not measured, see below. `~`: quartiles more than 15 % of the median apart.\n"
    for name in dict.fromkeys(n for r in rows for n, clock in r["clocks"].items() if clock != r["clocks"][SUBJECT]):
        text += f"{name} works on streams of its own: its blocks are timed by the host, until all is done.\n"
    return text


def left_out(record: Record) -> str:
    """Everything that was not measured, and why."""
    lines = [f"- {name}: {reason}" for name, reason in record.machine["absent"].items()]
    lines += [f"- {name} at {row['label']}: {reason}" for row in record.group("peers") for name, reason in row["left_out"].items()]
    lines += [f"- {row['label']}: {row['reason']}" for row in record.machine["skipped"]]
    return "\n".join(lines) + "\n" if lines else "Nothing.\n"


def targets(record: Record) -> str:
    """The figures that the project holds itself to on a GPU, as this run has them."""
    beside = {row["label"]: row for row in record.group("peers")}
    calls = {row["label"]: row for row in record.group("launch")}
    large = row_label(10**8)
    wanted = [
        (f"{large}: share of the copy's bandwidth", beside.get(large), COPY, 0.92),
        (f"{large}: torch fused / {SUBJECT}", beside.get(large), "torch fused", 1 / 1.02),
        (f"1,000 x 1,000: torch fused / {SUBJECT}", beside.get("1,000 x 1,000"), "torch fused", 1.3),
        (f"host's cost of a call at 1,000 parameters: torch fused / {SUBJECT}", _of_thousand(calls), "torch fused", 1.0),
    ]
    body = []
    for what, row, other, least in wanted:
        if row is None or other not in row.seconds:
            body.append([what, f"{least:.2f}", "not measured", "**not known**"])
            continue
        found = ratio(row.seconds[other], row.seconds[SUBJECT])
        body.append([what, f"{least:.2f}", str(found), "yes" if found.median >= least else "**no**"])
    return table(["Adam, float32", "at least", "measured", "held"], body)


def _of_thousand(calls: dict[str, Row]) -> Row | None:
    row = calls.get("a call of step()")
    return row if row is not None and row["elements"] == 1_000 else None


def launches(record: Record) -> str:
    """What a call costs, with and without a graph."""
    body = []
    for row in record.group("launch"):
        for name in row.seconds:
            beside = "1" if name == SUBJECT else str(ratio(row.seconds[name], row.seconds[SUBJECT]))
            body.append([row["label"], f"{row['elements']:,}", name, time_of(row.median(name)) + mark(row, name), beside])
    text = table(["Adam, float32", "parameters", "", "time", f"times {SUBJECT}"], body) if body else NONE
    text += "\nThe host's time is that of the calls alone, enqueued and not waited for; the device's is that between two events around a"
    return text + " block of steps, in which it may wait for the host.\n"


def steps(record: Record) -> str:
    """For each dtype and rule: time, GB/s and percent of the copy's bandwidth over the sizes."""
    text = ""
    for dtype in dict.fromkeys(r["dtype"] for r in record.group("step")):
        rows = [r for r in record.group("step") if r["dtype"] == dtype]
        labels = list(dict.fromkeys(r["label"] for r in sorted(rows, key=lambda r: r["elements"])))
        body = []
        for rule in dict.fromkeys(r["rule"] for r in rows):
            own = {r["label"]: r for r in rows if r["rule"] == rule}
            body.append([rule, *(_cell(own[label]) if label in own else "-" for label in labels)])
        text += table([dtype, *labels], body) + "\n"
    if not text:
        return NONE
    return text + "Time of a step; GB/s; percent of the copy's bandwidth. `-`: not measured, see below; `~`: wide spread.\n"


def _cell(row: Row) -> str:
    return f"{time_of(row.median())}; {row.gigabytes_per_second():,.1f}; {percent_of_copy(row):.0f} %{mark(row, SUBJECT)}"


def every_step(record: Record) -> str:
    """All rows of the rules."""
    body = []
    for r in record.group("step"):
        quartiles = " to ".join(time_of(x) for x in np.percentile(r.seconds[SUBJECT], [25, 75]))
        share = ratio(r.seconds[COPY], r.seconds[SUBJECT])
        interval = f"{100 * share.median:.0f} ({100 * share.low:.0f} to {100 * share.high:.0f})"
        cells = [time_of(r.median()) + mark(r, SUBJECT), quartiles, f"{r.gigabytes_per_second():,.1f}", interval]
        body.append([r["rule"], r["dtype"], r["label"], where(r, _l2(record)), *cells, time_of(r.median(COPY))])
    head = ["rule", "dtype", "parameters", "working set", "step", "quartiles", "GB/s", "% of the copy", "copy"]
    return table(head, body) if body else NONE
