"""A record turned into a folder that a person wants to look at: a page of Markdown, all rows in a second one, and plots."""

from __future__ import annotations

from pathlib import Path

from . import plots, records, tables
from .targets import targets

__all__ = ["write"]

PAGE = """# fastopt: benchmark report

Written by `fastopt report` from [record.json](record.json), the record of one run of `fastopt bench`.
How to read it: a *step* is one call of the public `step()`, its gradients' addresses gathered and checked. *GB/s* counts the
bytes that a step must move at the least (each array read once, and written once where it changes). A step has two *ceilings*, timed
in turns with it, with no call around them: the *traffic* is a kernel that moves the same bytes and only adds; the *arithmetic* is the
step's own kernel on so few elements that they stay in the first-level cache. The *ceiling* is the slower one, round by round.
A percent or two above 100 is where arrays happen to lie. Ratios are medians of the ratios of rounds that alternate within one process;
times of different rows come from different moments of a machine that may be shared, so compare ratios rather than times.

## Machine

{machine}
## Beside the systems people use

{peers}
### What we hold ourselves to

{targets}
## The step

{steps}
Every rule, backend, dtype and size: [steps.md](steps.md).

## Between other work

The same float32 Adam step, on the same arrays, in a loop of nothing but steps, after a rest, as the mean of 20 in a row after one, and
after a matrix product of NumPy's, whose threads may still be on the cores. Training is like the last three. What one step after a rest
takes longer than the 20 is mostly the caches', which others have used meanwhile. PyTorch's own products run in the threads that
its optimizer uses, and would cost it less than NumPy's do.

{between}
## What a call costs

What is not the kernel's work: a step by `fastopt.functional`, building an Adam, a step of a hundred parameters, a list of tensors of
which every second one is float64, beside the same list in one dtype and beside an optimizer for each dtype, the options of a step, and
saving and loading the state, in memory and in a file (fastopt's is on the disk when `save` returns, `torch.save` leaves that to the
system). The last column says how many times longer than the first contender of its call each other one takes; below 1 it is faster.

{calls}
## Stages of a step

Adam with what else a training step asks of it, each in the pass that steps, or in one that looks at gradients before it. *All of them* are
unscaling, clipping by the global norm, decoupled decay, a moving average of the parameters and gradients left as 0; PyTorch does the same
in calls of its own, each of which goes over its arrays once more. The last column is the time beside the first row's, over the bytes
beside the first row's: 1 where a stage costs its bytes and nothing else.

{stages}
## Behind other libraries' interfaces

Each library's own class and the drop-in of its interface, doing the same work: a step alone, or a whole training step, with forward and
backward pass by the library itself, which the optimizer cannot make faster.

{drop_ins}
## Training on real data

The same network from the same start over the same mini-batches, once with NumPy's update and once with the fused one; the
losses were compared bit for bit while this was measured. Epochs are estimated from the steps timed, where an epoch has more.
The round trip is that of a cache line between two CPUs, its quartiles over the rounds: where it is far above the other rows', the host
of a virtual machine had them far apart, and all that they share cost more.
The reference is NumPy as it is usually written, a new array for every operation; at 512 x 512 most of its time is the system
handing memory out page by page. Beside it stands NumPy in place, the best that NumPy can do: `out=`, kept buffers, and pieces whose
scratch stays in the cache. Rows of *all parts* are of a network with batch normalization, dropout and L2.

{training}
## The first step

In new processes; `build` is the constructor, which imports the backend and, with numba, compiles or loads the kernel.

{first_steps}
## Pictures

{pictures}
"""


def write(record_path: Path, folder: Path) -> Path:
    """Writes README.md, steps.md and the plots into a folder; returns the page's path. A GPU's record has a page of its own.

    Into another folder than the record's it goes with the record, in the form that is committed.
    """
    record = records.load(record_path)
    folder.mkdir(parents=True, exist_ok=True)
    if folder.resolve() != record_path.parent.resolve():
        records.save(record, folder / "record.json")
        record = records.load(folder / "record.json")  # so that the page can be written again from what lies beside it
    if "device" in record.machine:
        from .device import page as of_gpu

        return of_gpu.write(record, folder)
    pictures = plots.draw_all(record, folder)
    page = folder / "README.md"
    page.write_text(
        PAGE.format(
            machine=tables.machine(record),
            peers=tables.peers(record),
            targets=targets(record),
            steps=tables.steps(record),
            between=tables.between(record),
            calls=tables.calls(record),
            stages=tables.stages(record),
            drop_ins=tables.drop_ins(record),
            training=tables.training(record),
            first_steps=tables.first_steps(record),
            pictures="\n".join(f"{caption}\n\n![{caption}]({name})\n" for name, caption in pictures),
        )
    )
    (folder / "steps.md").write_text("# Every rule, backend, dtype and size\n\n" + tables.every_step(record))
    return page
