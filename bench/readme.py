"""The figures in the README, written from the baseline's record: `python -m bench.readme`, or `make readme-figures`."""

from __future__ import annotations

from .baseline import BASELINE, ROOT
from .in_place import NAME
from .markdown import others, table, time_of
from .ours import OURS, REFERENCE
from .records import Record, load, ratio
from .tables import distance_of

__all__ = ["figures", "replaced"]

BEGIN, END = "<!-- figures: begin (written from the baseline by `make readme-figures`) -->\n", "<!-- figures: end -->"


def figures(record: Record) -> str:
    """Adam beside its peers, and digits at batch 16, in a few lines."""
    rows = record.group("peers")
    subject = rows[0].subject
    names = [name for name in others(rows) if not name.startswith(OURS)]
    body = []
    for row in rows:
        ratios = [f"{ratio(row.times(name), row.times(subject)).median:.2f}" if name in row else "-" for name in names]
        body.append([row["label"], time_of(row.median()), *ratios])
    machine = record.machine
    text = f"float32 Adam through the public `step()`, on {machine['threads']} cores of an {machine['cpu']}. The columns after fastopt's "
    text += "time say how many times longer the others took, in turns within one run (below 1, fastopt loses); the *ceiling* is what "
    text += f"the memory traffic alone takes, or the arithmetic alone, whichever is slower. Measured at {machine['revision']}.\n\n"
    text += table(["tensors x parameters", subject, *names], body)
    training = [r for r in record.group("training") if (r["workload"], r["batch"], r["width"], r["sweep"]) == ("digits", 16, 512, "batch")]
    for row in training:
        faster = ratio(row.seconds[REFERENCE], row.seconds[row.subject])
        share, left = (100 * row.own[name]["update_share"] for name in (REFERENCE, row.subject))
        text += "\nTraining a NumPy network on scikit-learn's digits (512 x 512, batch 16): replacing NumPy's update makes the whole\n"
        text += f"step {faster.median:.1f} times faster, with losses equal to the last bit; the update's share of the step falls from\n"
        text += f"{share:.0f} % to {left:.0f} %. "
        if NAME in row:
            best = ratio(row.seconds[NAME], row.seconds[row.subject])
            text += f"Beside NumPy's own operations in place, with kept buffers, it is {best.median:.1f} times faster.\n"
        text += f"(A cache line's round trip between the CPUs took {distance_of(row['round_trips'])};\n"
        text += "where a host puts them five times as far apart, both parts of the step cost more.)\n"
    return text


def replaced(readme: str, record: Record) -> str:
    """The README with the figures of a record between its two marks."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + figures(record) + END + after


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(replaced(path.read_text(), load(BASELINE)))
