"""Files that are not what was written: checkpoints altered, compiled kernels damaged, disks that are full."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import fastopt
from tests.attack.outcome import Outcome, Say
from tests.documents import ROOT

__all__ = ["altered_checkpoints", "damaged_caches", "full_disks", "use_a_rule"]

WORDS = [
    b"fastopt 3",
    b"digest",
    b'\\"lr\\": 0.25',
    b'\\"lr\\"',
    b'\\"steps\\": 1',
    b"adam",
    b"0.9",
    b"null",
    b"true",
    b"false",
    b"F32",
    b"F64",
]
"""What a file of Adam's holds, which are put in the place of each other."""


def altered(whole: bytes, trial: int, rng: np.random.Generator) -> bytes:
    """A bit turned, bytes put in or taken out, the end cut off, or words of the metadata exchanged."""
    content = bytearray(whole)
    at = int(rng.integers(len(content)))
    if trial % 5 == 0:
        content[at] ^= 1 << int(rng.integers(8))
    elif trial % 5 == 1:
        content[at:at] = rng.bytes(int(rng.integers(1, 9)))
    elif trial % 5 == 2:
        del content[at : at + int(rng.integers(1, 9))]
    elif trial % 5 == 3:
        del content[at:]
    else:
        word, instead = (WORDS[int(k)] for k in rng.integers(len(WORDS), size=2))
        content = bytearray(bytes(content).replace(word, instead[: len(word)].ljust(len(word))))
    return bytes(content)


def altered_checkpoints(size: float, say: Say) -> Outcome:
    """A file is refused in a ValueError that names it, with nothing changed, or it holds what was saved."""
    outcome, rng = Outcome(), np.random.default_rng(0)

    def build(lr: float) -> fastopt.Adam:
        return fastopt.Adam([{"params": {"w": np.ones(5, np.float32)}}, {"params": {"b": np.ones(3)}, "lr": lr}])

    opt = build(0.25)
    opt.step([{"w": np.full(5, 0.5, np.float32)}, {"b": np.full(3, 0.5)}])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run")
        opt.save(path)
        whole, saved = path.read_bytes(), repr(opt.state_dict())
        other = build(0.125)
        untouched = repr(other.state_dict())
        for trial in range(int(5000 * size)):
            content = altered(whole, trial, rng)
            if content == whole:
                continue
            outcome.counts["altered checkpoints"] += 1
            path.write_bytes(content)
            try:
                other.load(path)
            except ValueError as error:
                outcome.counts["of them refused"] += 1
                outcome.holds(str(path) in str(error), f"altered checkpoint {trial}: the error does not name the file: {error}")
                outcome.holds(repr(other.state_dict()) == untouched, f"altered checkpoint {trial}: refused, with something changed")
            except Exception as error:  # what is no ValueError is not documented
                outcome.faults.append(f"altered checkpoint {trial}: {type(error).__name__}: {error}")
            else:
                outcome.holds(repr(other.state_dict()) == saved, f"altered checkpoint {trial}: taken, with other values")
                other = build(0.125)
            if trial % 1000 == 999:
                say(f"altered checkpoints: {trial + 1}")
    return outcome


USES = """
import sys
import numpy as np
import fastopt

@fastopt.rule(hyperparameters={"shift": 0.25})
def kept_on_disk(p, g, lr, shift):
    return (p - lr * g + shift,)

p = np.ones(3)
fastopt.Optimizer(p, kept_on_disk, 0.5, backend=sys.argv[1]).step(np.ones(3))
print(p[0])
"""
"""Compiles a rule or finds it in the folder, and prints 0.75."""


def use_a_rule(backend: str, folder: Path, *, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """A process that uses a rule with a folder of compiled kernels, once `before` has been done in it."""
    script = folder.parent / "uses_a_rule.py"  # a file, since Numba's cache and Python read the text of a rule there
    script.write_text(before + USES, encoding="utf-8")
    # the tree under test, and not one that is installed
    own = {**os.environ, "PYTHONPATH": str(ROOT), "FASTOPT_CACHE_DIR": str(folder), **environment}
    return subprocess.run([sys.executable, str(script), backend], env=own, capture_output=True, text=True, check=False, timeout=120)


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flipped(at: float) -> Callable[[bytes], bytes]:
    def flip(content: bytes) -> bytes:
        place = int(at * (len(content) - 1))
        return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]

    return flip


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "flipped in the middle": _flipped(0.5),
    "cut": _cut,
    "empty": lambda content: b"",
    "flipped at the start": _flipped(0.0),
    "flipped at the end": _flipped(1.0),
    "zeros": lambda content: bytes(len(content)),
    "longer": lambda content: content + b"\0",
}


def damaged_caches(size: float, say: Say) -> Outcome:
    """What was kept and is not what it was is never run: it is compiled again, which is said once where a file was altered."""
    outcome = Outcome()
    endings = {"numba": (".nbi", ".nbc", ".py", ".seal"), "cython": (".so", ".seal")}
    for backend in (name for name in endings if fastopt.available_backends()[name] is True):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, "cache")
            first = use_a_rule(backend, folder)
            outcome.holds((first.stdout, first.stderr) == ("0.75\n", ""), f"{backend}: {first.stderr}")
            kept = {path.suffix: path for path in folder.rglob("*") if path.suffix in endings[backend]}
            outcome.holds(set(kept) == set(endings[backend]), f"{backend} keeps {kept}")
            tried = [(ending, name) for name in DAMAGES for ending in endings[backend]]
            for ending, name in tried[: max(len(endings[backend]), round(len(tried) * size))]:
                kept[ending].write_bytes(DAMAGES[name](kept[ending].read_bytes()))
                found = use_a_rule(backend, folder)
                what = f"{backend}: {ending} {name}"
                outcome.holds(found.stdout == "0.75\n", f"{what}: {found.returncode} {found.stderr[-500:]}")
                said = "are damaged; compiling them again" in found.stderr
                outcome.holds(said == (ending not in (".py", ".seal")), f"{what}: {found.stderr or 'nothing was said'}")
                outcome.counts[f"damaged {ending} files"] += 1
            last = use_a_rule(backend, folder)
            outcome.holds((last.stdout, last.stderr) == ("0.75\n", ""), f"{backend}: not mended: {last.stderr}")
            say(f"damaged caches: {dict(outcome.counts)}")
    return outcome


LIMITED = """
import resource, signal, sys
import numba.core.caching  # what Python itself keeps on disk
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
"""


def full_disks(size: float, say: Say) -> Outcome:
    """A limit to the size of files, so that writing fails in the middle: kernels are compiled for this process, and nothing is left."""
    outcome = Outcome()
    if sys.platform == "win32":
        outcome.left_out.append("full disks: there are no limits to the size of files here")
        return outcome
    if fastopt.available_backends()["numba"] is not True:
        outcome.left_out.append("full disks: numba cannot be used here")
        return outcome
    limits = [0, 200, 8000, 1, 50, 1000, 2000, 4000, 16000, 32000, 64000, 128000]
    for limit in limits[: max(3, round(len(limits) * size))]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, "cache")
            found = use_a_rule("numba", folder, before=LIMITED.format(limit=limit), PYTHONDONTWRITEBYTECODE="1")
            outcome.holds(found.stdout == "0.75\n", f"disk full at {limit} bytes: {found.returncode} {found.stderr[-500:]}")
            left = [path.name for path in folder.rglob("*.tmp")]
            outcome.holds(not left, f"disk full at {limit} bytes: {left} were left")
            outcome.counts["full disks"] += 1
    say(f"full disks: {outcome.counts['full disks']}")
    return outcome
