"""What two processes do together with the drop-ins, and find out: each function here is run by both, in order, and asserts on its own.

    python -m tests.interop.torch.ranks RANK SIZE FOLDER

Each rank writes to FOLDER/RANK.json what became of each function: "passed", or its traceback. The functions are those of `replicated`
and of `parts`, which enter themselves by `together`.
"""

from __future__ import annotations

import json
import sys
import traceback
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

from tests.interop.torch import parts, replicated
from tests.interop.torch.together import RANKS, TOGETHER

__all__ = ["RANKS", "TOGETHER", "parts", "replicated"]


def main(rank: int, size: int, folder: Path) -> None:
    """Runs all of them."""
    torch.set_num_threads(1)
    where = f"file://{folder}/meeting"
    distributed.init_process_group("gloo", init_method=where, rank=rank, world_size=size, timeout=timedelta(seconds=30))
    found = {}
    for function in TOGETHER:
        try:
            function(folder)
            found[function.__name__] = "passed"
        except BaseException:  # pytest's own for what was not raised, too
            found[function.__name__] = traceback.format_exc()
            break  # the ranks are no longer at one
    (folder / f"{rank}.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
