"""The tables of a GPU's report, as Markdown. Rows that fastopt loses stay in; rows that are not there are named."""

from __future__ import annotations

from .. import markdown
from ..markdown import NONE, bytes_of, or_none, table, time_of, timing
from ..records import Record, Row, ratio
from .contenders import COPY, SUBJECT
from .profiles import row_label

__all__ = ["every_step", "launches", "left_out", "machine", "peers", "percent_of_copy", "steps", "targets", "where"]


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
    rows = [("GPU", gpu["name"])]
    if "multiprocessors" in gpu:
        kind = f"compute capability {gpu['compute_capability']}, {gpu['multiprocessors']} multiprocessors"
        rows += [("kind", kind), ("memory", f"{bytes_of(gpu['memory_bytes'])}, L2 {bytes_of(gpu['l2_bytes'])}")]
        rows += [("driver", f"{gpu['driver'] or 'not known'}, CUDA {gpu['driver_cuda']}")]
    rows += [("host", f"{m['cpu']}, {m['cores']} cores, {m['system']}, Python {m['python']}"), ("arrays", f"of {m['arrays']}")]
    return markdown.machine(record, rows, f" UTC, load {{load}}, profile {{profile}}, took {m.get('took', '(not to its end)')} s")


def peers(record: Record) -> str:
    """Adam beside the peers, and who is timed by another clock."""
    rows = record.group("peers")
    text = markdown.peers(rows, lambda row: where(row, _l2(record)), "not measured, see below.")
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
    head = ["Adam, float32", "parameters", "", "time", f"times {SUBJECT}"]
    text = markdown.calls(head, record.group("launch"), lambda row: [row["label"], f"{row['elements']:,}"])
    text += "\nThe host's time is that of the calls alone, enqueued and not waited for; the device's is that between two events around a"
    return text + " block of steps, in which it may wait for the host.\n"


def steps(record: Record) -> str:
    """For each dtype and rule: time, GB/s and percent of the copy's bandwidth over the sizes."""
    found = record.group("step")
    tables = [
        markdown.rules(dtype, [r for r in found if r["dtype"] == dtype], lambda row: f"{percent_of_copy(row):.0f} %")
        for dtype in dict.fromkeys(r["dtype"] for r in found)
    ]
    text = "Time of a step; GB/s; percent of the copy's bandwidth. `-`: not measured, see below; `~`: wide spread.\n"
    return "\n".join([*tables, text]) if tables else NONE


def every_step(record: Record) -> str:
    """All rows of the rules."""
    body = []
    for r in record.group("step"):
        share = ratio(r.seconds[COPY], r.seconds[SUBJECT])
        interval = f"{100 * share.median:.0f} ({100 * share.low:.0f} to {100 * share.high:.0f})"
        cells = [*timing(r), f"{r.gigabytes_per_second():,.1f}", interval, time_of(r.median(COPY))]
        body.append([r["rule"], r["dtype"], r["label"], where(r, _l2(record)), *cells])
    return or_none(["rule", "dtype", "parameters", "working set", "step", "quartiles", "GB/s", "% of the copy", "copy"], body)
