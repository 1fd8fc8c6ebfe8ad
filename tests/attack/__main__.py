"""The whole attack.

python -m tests.attack                  # for an hour: everything once, then calls at random until it is over
python -m tests.attack --minutes 0      # everything once
python -m tests.attack forks races      # some of it
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from tests.attack.catalogue import ATTACKS
from tests.attack.fuzz import calls_at_random
from tests.attack.outcome import Outcome

PART = 0.05
"""Of the calls of the whole attack, what one process makes."""
BATCHES = 100_000
"""Batches that are kept for each part: more than it can need."""


def main() -> int:
    """Runs the attack, each part in a process of its own, and prints what was tried. 1 if anything did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__.partition("\n")[0])
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=f"some of {', '.join(ATTACKS)}; all if none is named")
    parser.add_argument("--size", type=float, default=1.0, help="a share of the counts of each (default 1)")
    parser.add_argument("--minutes", type=float, default=60.0, help="calls at random go on until then (default 60)")
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.attacks) - set(ATTACKS)
    if unknown:
        parser.error(f"there is no attack {', '.join(sorted(unknown))}; attacks are {', '.join(ATTACKS)}")
    if options.part is not None:
        outcome = _here(options.attacks[0], options.size, options.part)
        print(json.dumps({"counts": outcome.counts, "faults": outcome.faults, "left_out": outcome.left_out}))
        return 0
    return _all(options.attacks or list(ATTACKS), options.size, options.minutes)


def _here(name: str, size: float, part: int) -> Outcome:
    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    return calls_at_random(size, say, part * BATCHES) if name == "calls" else ATTACKS[name](size, say)


def _elsewhere(name: str, size: float, part: int) -> Outcome:
    """An attack in a process of its own, which it may well bring down."""
    command = [sys.executable, "-m", "tests.attack", name, "--size", str(size), "--part", str(part)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return Outcome(faults=[f"{name}, part {part}: the process ended with {done.returncode}: {done.stderr[-2000:]}"])
    return Outcome(Counter(found["counts"]), found["faults"], found["left_out"])


def _all(names: list[str], size: float, minutes: float) -> int:
    began, parts = time.monotonic(), Counter[str]()
    totals, spent = {name: Outcome() for name in names}, Counter[str]()
    waiting = [name for name in names if name != "calls"] + ["calls"] * (round(size / PART) or 1) * ("calls" in names)
    running: dict[Future[Outcome], tuple[str, float]] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                name = waiting.pop(0)
                share = min(size, PART) if name == "calls" else size
                running[pool.submit(_elsewhere, name, share, parts[name])] = name, time.monotonic()
                parts[name] += 1
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                name, since = running.pop(future)
                found, total = future.result(), totals[name]
                spent[name] += round(time.monotonic() - since)
                total.counts += found.counts
                total.faults += found.faults
                total.left_out += found.left_out
                counts = ", ".join(f"{count:,} {what}" for what, count in total.counts.items())
                print(f"{time.monotonic() - began:5.0f} s  {len(total.faults)} faults  {name}: {counts}", flush=True)
                for fault in found.faults:
                    print(f"         FAULT {fault}", flush=True)
                if name == "calls" and not waiting and time.monotonic() - began < 60 * minutes:
                    waiting.append("calls")
    print("\n| attack | what was tried | did not hold | s |\n|---|---|---|---|")
    for name, total in totals.items():
        counts = ", ".join(f"{count:,} {what}" for what, count in total.counts.items())
        print(f"| {name} | {counts} | {len(total.faults)} | {spent[name]} |")
    for total in totals.values():
        for reason in total.left_out:
            print(f"\nleft out: {reason}")
    return int(any(total.faults for total in totals.values()))


if __name__ == "__main__":
    sys.exit(main())
